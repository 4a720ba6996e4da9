// The kernel of attention for chips with mma.sync and cp.async (sm_80 and later).
//
// A block takes `rows` query rows of one head tile, and loops over the blocks of keys that they can see. All its
// threads copy the keys and values of coming blocks to a ring of stages in shared memory, while every warp runs
// gqa.online_attention on its own rows (and, with key warps, its share of the keys) of the block that has arrived.

#include "passes/gpu/AttentionKernel.h"
#include "passes/OnlineBlock.h"
#include "passes/RingPositions.h"
#include "passes/gpu/KernelResults.h"
#include "passes/gpu/KeyRing.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

namespace {

using namespace gqa_gpu;

class KernelBuilder {
public:
  explicit KernelBuilder(KernelFrame &frame)
      : frame(frame), b(frame.b), loc(frame.loc), math(frame.math), op(frame.op), schedule(frame.schedule),
        place(frame.place), ring(frame) {
    accMap = getDimsMap(b.getContext(), {Dim::m, Dim::dv});
    rowMap = getDimsMap(b.getContext(), {Dim::m});
    if (isRingByPosition(op))
      ringPositions.emplace(math, frame.sequence.tokens, op.getRingSinksAttr().getInt(),
                            op.getRingSlotsAttr().getInt());
  }

  void build() {
    query = buildQuery();
    KernelResults(frame).write(buildKeyLoops());
    func::ReturnOp::create(b, loc);
  }

private:
  //===-- Query ---------------------------------------------------------------------------------------------------===//

  /// The warp's query rows: in registers, or null if they stay in shared memory.
  Value buildQuery() {
    const GlobalTensor &tensor = frame.getTensor(op.getQueryMutable());
    const OperandTile &tile = frame.shape.tiles.query;
    auto getOffset = [&](OpBuilder &nested, Value row) {
      return tensor.getOffset(nested, loc, place.getIndices(nested, op.getQueryMap(), row));
    };
    if (!schedule.getSharedQuery()) {
      auto type = RankedTensorType::get({schedule.getWarpRows(), tile.width}, tile.element);
      auto load = LoadRowsOp::create(b, loc, type, tensor.pointer, tile.columns);
      buildAddress(b, load, [&](OpBuilder &nested, Value row) -> RowAddress {
        row = place.clampRow(nested, arith::AddIOp::create(nested, loc, row, frame.warpRow));
        return {getOffset(nested, row), arith::ConstantIntOp::create(nested, loc, 1, 1)};
      });
      return load.getTile();
    }
    Value copied = tile.isConverted() ? frame.advance(frame.shared, place.i32(frame.layout.ring)) : frame.shared;
    // Joins the first group of copies.
    buildCopyRows(frame, tensor, copied, schedule.getRows(), tile.getCopiedRows(),
                  [&](OpBuilder &nested, Value row) -> RowAddress {
                    row = arith::AddIOp::create(nested, loc, row, frame.firstRow);
                    return {getOffset(nested, row), place.isRow(nested, row)};
                  });
    if (tile.isConverted()) {
      CpAsyncCommitOp::create(b, loc);
      CpAsyncWaitOp::create(b, loc, 0);
      BarrierOp::create(b, loc);
      buildConvertRows(frame, copied, frame.shared, schedule.getRows(), tile);
      BarrierOp::create(b, loc);
    }
    return {};
  }

  Value getQueryTile() {
    if (query)
      return query;
    const OperandTile &tile = frame.shape.tiles.query;
    Value offset = frame.mul(frame.rowWarp, schedule.getWarpRows() * tile.getTilePitch());
    auto type = RankedTensorType::get({schedule.getWarpRows(), tile.width}, tile.element);
    return SharedTileOp::create(b, loc, type, frame.advance(frame.shared, offset));
  }

  //===-- Keys ----------------------------------------------------------------------------------------------------===//

  SoftmaxState buildKeyLoops() {
    for (int64_t number = 0; number < schedule.getStages() - 1; ++number)
      ring.buildCopy(math.value(math.constant(number)));
    SmallVector<OpFoldResult> accSizes = {math.constant(schedule.getWarpRows()),
                                          math.constant(frame.shape.getPaddedDv())};
    SoftmaxState state = buildInitialState(b, loc, accMap, rowMap, accSizes, accSizes[0]);
    state = buildBlockLoop(math.value(math.constant(0)), ring.numFull, state, /*isEdge=*/false);
    if (ring.hasEdges())
      state = buildBlockLoop(ring.numFull, ring.numBlocks, state, /*isEdge=*/true);
    return state;
  }

  SoftmaxState buildBlockLoop(Value begin, Value end, const SoftmaxState &init, bool isEdge) {
    auto loop = scf::ForOp::create(b, loc, begin, end, math.value(math.constant(1)),
                                   ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor});
    auto getState = [&](ValueRange tensors) -> SoftmaxState {
      return {{tensors[0], accMap}, {tensors[1], rowMap}, {tensors[2], rowMap}};
    };
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value number = loop.getInductionVar();
    // After the barrier, the block is there for all warps, and no warp reads the stage of the block before it.
    CpAsyncWaitOp::create(b, loc, schedule.getStages() - 2);
    BarrierOp::create(b, loc);
    ring.buildCopy(math.value(math.add(number, schedule.getStages() - 1)));
    ring.buildConversion(number);
    SoftmaxState state = buildBlock(number, getState(loop.getRegionIterArgs()), isEdge);
    scf::YieldOp::create(b, loc, ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor});
    return getState(loop.getResults());
  }

  SoftmaxState buildBlock(Value number, const SoftmaxState &state, bool isEdge) {
    Value keyOffset = frame.toIndex(frame.mul(frame.keyWarp, frame.warpKeys));
    Value firstKey = math.value(math.add(ring.getFirstKey(number), keyOffset));
    OnlineBlock block;
    block.query = {getQueryTile(), getDimsMap(b.getContext(), {Dim::m, Dim::dqk})};
    block.key = ring.getKeys(number);
    block.value = ring.getValues(number);
    block.bias = buildScoreTile(op.getBiasMutable(), firstKey);
    block.mask = buildScoreTile(op.getMaskMutable(), firstKey);
    block.keyScale = ring.getKeyScale(number);
    block.valueScale = ring.getValueScale(number);
    block.dot = true;
    if (isEdge) {
      block.kvLen = buildKeyBound();
      block.keyStart = firstKey;
    }
    if (isEdge && op.isMaskedByPosition())
      block.positions = buildRowPositions();
    if (isEdge && ringPositions)
      block.keyPositions = buildKeyPositions(firstKey);
    return buildOnlineBlock(b, op, block, state);
  }

  /// The warp's part of a bias or mask, if there is one.
  std::optional<MappedTensor> buildScoreTile(MutableOperandRange operand, Value firstKey) {
    if (operand.empty())
      return std::nullopt;
    OpOperand &use = *operand.begin();
    Value first = frame.toI32(firstKey), last = frame.add(frame.toI32(frame.keys), place.i32(-1));
    const GlobalTensor &tensor = frame.getTensor(use);
    Value tile = buildTile(b, loc, {schedule.getWarpRows(), frame.warpKeys}, tensor.element,
                           [&](OpBuilder &nested, Value row, Value column) {
                             row = place.clampRow(nested, arith::AddIOp::create(nested, loc, row, frame.warpRow));
                             Value key = arith::AddIOp::create(nested, loc, column, first);
                             key = arith::MinSIOp::create(nested, loc, key, last);
                             SmallVector<Value> indices = place.getIndices(nested, op.getMap(use), row, {key, {}, {}});
                             return tensor.load(nested, loc, indices);
                           });
    return MappedTensor{tile, getDimsMap(b.getContext(), {Dim::m, Dim::n})};
  }

  /// The end of the keys that are there, as the rank-0 kv_len of a block.
  MappedTensor buildKeyBound() {
    auto type = RankedTensorType::get({}, b.getI32Type());
    Value bound = tensor::FromElementsOp::create(b, loc, type, frame.toI32(ring.range.lastKey));
    return {bound, getDimsMap(b.getContext(), {})};
  }

  MappedTensor buildRowPositions() {
    Value first = frame.toI32(frame.offset);
    Value tile =
        buildTile(b, loc, schedule.getWarpRows(), b.getI32Type(), [&](OpBuilder &nested, Value row, Value) -> Value {
          row = arith::AddIOp::create(nested, loc, row, frame.warpRow);
          Value heads = arith::ConstantIntOp::create(nested, loc, frame.shape.getTileHeads(), 32);
          Value position = arith::DivUIOp::create(nested, loc, row, heads);
          return arith::AddIOp::create(nested, loc, position, first);
        });
    return {tile, rowMap};
  }

  MappedTensor buildKeyPositions(Value firstKey) {
    Value first = frame.toI32(firstKey);
    Value tile = buildTile(b, loc, frame.warpKeys, b.getI32Type(), [&](OpBuilder &nested, Value key, Value) {
      return ringPositions->get(nested, loc, arith::AddIOp::create(nested, loc, key, first));
    });
    return {tile, getDimsMap(b.getContext(), {Dim::n})};
  }

  KernelFrame &frame;
  OpBuilder &b;
  Location loc;
  IndexMath &math;
  AttentionOp op;
  gqa_gpu::ScheduleAttr schedule;
  const AttentionPlace &place;
  KeyRing ring;
  std::optional<RingPositions> ringPositions;
  AffineMap accMap, rowMap;
  Value query;
};

} // namespace

void buildAttentionKernel(OpBuilder &b, const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule,
                          KernelOperands &operands) {
  OpBuilder::InsertionGuard guard(b);
  KernelFrame frame(b, shape, schedule, operands);
  KernelBuilder(frame).build();
}

} // namespace mlir::gqa
