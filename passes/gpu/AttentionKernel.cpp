// The kernel of attention for chips with mma.sync and cp.async (sm_80 and later).
//
// A block takes `rows` query rows of one head tile, and loops over the blocks of keys that they can see. All its
// threads copy the keys and values of coming blocks to a ring of stages in shared memory, while every warp runs
// gqa.online_attention on its own rows (and, with key warps, its share of the keys) of the block that has arrived.

#include "passes/gpu/AttentionKernel.h"
#include "passes/KeyRange.h"
#include "passes/gpu/TileBuilder.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

namespace {

using namespace gqa_gpu;
using Schedule = gqa_gpu::ScheduleAttr;

/// Where things lie in shared memory, in bytes. The merge of key warps uses the ring's memory again.
struct SharedLayout {
  SharedLayout(const AttentionShape &shape, Schedule schedule) {
    keyPitch = getSharedPitch(shape.getPaddedDqk());
    valuePitch = getSharedPitch(shape.getPaddedDv());
    ring = schedule.getSharedQuery() ? schedule.getRows() * keyPitch : 0;
    stage = schedule.getN() * (keyPitch + valuePitch);
    value = schedule.getN() * keyPitch;
    int64_t rows = schedule.getWarpRows();
    accBytes = 4 * rows * shape.getPaddedDv();
    rowBytes = 4 * 32 * (rows / 8);
    state = accBytes + 2 * rowBytes;
    int64_t states = schedule.getKeyWarps() > 1 ? state * schedule.getThreads() / 32 : 0;
    total = ring + std::max(stage * schedule.getStages(), states);
  }

  int64_t keyPitch, valuePitch;
  int64_t ring;                      ///< where the stages begin, behind the query
  int64_t stage, value;              ///< bytes of one stage, and where the values begin in it
  int64_t state, accBytes, rowBytes; ///< of one warp's running softmax
  int64_t total;
};

class KernelBuilder {
public:
  KernelBuilder(OpBuilder &b, const AttentionShape &shape, Schedule schedule, KernelOperands &operands)
      : b(b), loc(operands.kernel.getLoc()), math{b, loc}, shape(shape), op(shape.op), schedule(schedule),
        operands(operands), layout(shape, schedule), place{b, loc, shape, {}, {}, {}} {
    accMap = getDimsMap(b.getContext(), {Dim::m, Dim::dv});
    rowMap = getDimsMap(b.getContext(), {Dim::m});
    warpKeys = schedule.getN() / schedule.getKeyWarps();
  }

  void build() {
    b.setInsertionPointToStart(&operands.kernel.getBody().front());
    setPlace();
    setPositions();
    setKeyRange();
    query = buildQuery();
    SoftmaxState state = buildKeyLoops();
    if (schedule.getKeyWarps() > 1)
      state = mergeKeyWarps(state);
    schedule.getSplit() ? writePartial(state) : writeResults(state);
    func::ReturnOp::create(b, loc);
  }

private:
  //===-- Place ---------------------------------------------------------------------------------------------------===//

  void setPlace() {
    Type i32 = b.getI32Type();
    shared = SharedMemoryOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 3));
    Value warp = arith::ShRUIOp::create(b, loc, ThreadIdOp::create(b, loc, i32), place.i32(5));
    rowWarp = arith::RemUIOp::create(b, loc, warp, place.i32(schedule.getRowWarps()));
    keyWarp = arith::DivUIOp::create(b, loc, warp, place.i32(schedule.getRowWarps()));
    Value tile = BlockIdOp::create(b, loc, i32, 0);
    place.heads = BlockIdOp::create(b, loc, i32, 1);
    place.batch = BlockIdOp::create(b, loc, i32, 2);
    positions = getSize(Dim::m, KernelScalar::m);
    keys = getSize(Dim::n, KernelScalar::n);
    place.rows = mul(toI32(positions), shape.getTileHeads());
    if (schedule.getSplit()) {
      Value splits = operands.getScalar(unsigned(KernelScalar::splits));
      split = arith::RemUIOp::create(b, loc, tile, splits);
      tile = arith::DivUIOp::create(b, loc, tile, splits);
    }
    if (op.getCausal()) {
      // Blocks with the last rows, which see the most keys, start first.
      Value last = arith::DivUIOp::create(b, loc, add(place.rows, place.i32(-1)), place.i32(schedule.getRows()));
      tile = arith::SubIOp::create(b, loc, last, tile);
    }
    firstRow = mul(tile, schedule.getRows());
    warpRow = add(firstRow, mul(rowWarp, schedule.getWarpRows()));
  }

  /// An extent, as constant where it is known.
  OpFoldResult getSize(Dim dim, KernelScalar scalar) {
    int64_t extent = getStaticExtent(shape.maps, op.getOperands(), dim);
    if (!ShapedType::isDynamic(extent))
      return math.constant(extent);
    return toIndex(operands.getScalar(unsigned(scalar)));
  }

  /// How many keys the batch entry has, and where its first row stands.
  void setPositions() {
    kvLen = keys;
    if (op.getKvLen())
      kvLen = loadClamped(op.getKvLenMutable(), 0, math.value(keys));
    if (!op.isMaskedByPosition())
      return;
    offset = math.constant(0);
    if (op.getOffset())
      offset = loadClamped(op.getOffsetMutable(), -(1 << 30), math.value(math.constant(1 << 30)));
    else if (op.getAlignment() == Alignment::BottomRight)
      offset = math.sub(kvLen, positions);
  }

  /// This batch entry's element of an operand, between `low` and `high` (an index).
  Value loadClamped(MutableOperandRange operand, int64_t low, Value high) {
    OpOperand &use = *operand.begin();
    Value element = getTensor(use).load(b, loc, place.getIndices(b, op.getMap(use), Value()));
    if (!element.getType().isInteger(64))
      element = arith::ExtSIOp::create(b, loc, b.getI64Type(), element);
    Value bound = arith::IndexCastOp::create(b, loc, b.getI64Type(), high);
    element = arith::MinSIOp::create(b, loc, element, bound);
    element = arith::MaxSIOp::create(b, loc, element, place.i64(low));
    return toIndex(element);
  }

  void setKeyRange() {
    OpFoldResult begin = math.constant(0), end = keys, first, last;
    if (schedule.getSplit()) {
      begin = math.mul(toIndex(split), schedule.getSplit());
      end = math.add(begin, schedule.getSplit());
    }
    if (op.isMaskedByPosition()) {
      Value lastRow = place.clampRow(b, add(firstRow, place.i32(schedule.getRows() - 1)));
      first = math.add(offset, math.floorDiv(toIndex(firstRow), shape.getTileHeads()));
      last = math.add(offset, math.floorDiv(toIndex(lastRow), shape.getTileHeads()));
    }
    range = KeyRange::get(math, op, begin, end, {kvLen, kvLen}, first, last, schedule.getN());
    numFull = math.value(range.getNumFull(math));
    numBlocks = math.value(math.add(range.getNumFull(math), range.getNumEdges(math)));
  }

  //===-- Query ---------------------------------------------------------------------------------------------------===//

  /// The warp's query rows: in registers, or null if they stay in shared memory.
  Value buildQuery() {
    const GlobalTensor &tensor = getTensor(op.getQueryMutable());
    if (!schedule.getSharedQuery()) {
      auto type = RankedTensorType::get({schedule.getWarpRows(), shape.getPaddedDqk()}, tensor.element);
      auto load = LoadRowsOp::create(b, loc, type, tensor.pointer, shape.dqk);
      buildAddress(b, load, [&](OpBuilder &nested, Value row) -> RowAddress {
        row = place.clampRow(nested, arith::AddIOp::create(nested, loc, row, warpRow));
        Value offset = tensor.getOffset(nested, loc, place.getIndices(nested, op.getQueryMap(), row));
        return {offset, arith::ConstantIntOp::create(nested, loc, 1, 1)};
      });
      return load.getTile();
    }
    // Joins the first group of copies.
    buildCopy(tensor, shared, schedule.getRows(), shape.dqk, shape.getPaddedDqk(),
              [&](OpBuilder &nested, Value row) -> RowAddress {
                row = arith::AddIOp::create(nested, loc, row, firstRow);
                return {tensor.getOffset(nested, loc, place.getIndices(nested, op.getQueryMap(), row)),
                        place.isRow(nested, row)};
              });
    return {};
  }

  Value getQueryTile() {
    if (query)
      return query;
    Value offset = mul(rowWarp, schedule.getWarpRows() * layout.keyPitch);
    auto type =
        RankedTensorType::get({schedule.getWarpRows(), shape.getPaddedDqk()}, getTensor(op.getQueryMutable()).element);
    return SharedTileOp::create(b, loc, type, advance(shared, offset));
  }

  //===-- Keys ----------------------------------------------------------------------------------------------------===//

  void buildCopy(const GlobalTensor &source, Value destination, int64_t rows, int64_t columns, int64_t width,
                 function_ref<RowAddress(OpBuilder &, Value)> address) {
    auto copy = CopyRowsOp::create(b, loc, source.pointer, destination, rows, columns, width, schedule.getThreads(),
                                   source.element);
    buildAddress(b, copy, address);
  }

  /// The first key of the `number`-th block that is visited: full blocks, then edges.
  Value getFirstKey(Value number) {
    Value full = math.value(math.add(number, range.fullLow));
    Value edge = math.value(range.getEdge(math, math.value(math.sub(number, numFull))));
    Value isFull = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, number, numFull);
    Value block = arith::SelectOp::create(b, loc, isFull, full, edge);
    return math.value(math.mul(block, schedule.getN()));
  }

  /// Begins to copy a block, if there is one, and makes it a group.
  void buildCopyBlock(Value number) {
    Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, number, numBlocks);
    {
      OpBuilder::InsertionGuard guard(b);
      auto branch = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
      Value first = toI32(getFirstKey(number)), end = toI32(kvLen), stage = getStage(number);
      auto copy = [&](OpOperand &operand, Value destination, int64_t columns, int64_t width) {
        const GlobalTensor &tensor = getTensor(operand);
        buildCopy(
            tensor, destination, schedule.getN(), columns, width, [&](OpBuilder &nested, Value row) -> RowAddress {
              Value key = arith::AddIOp::create(nested, loc, row, first);
              Value isKey = arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::slt, key, end);
              return {tensor.getOffset(nested, loc, place.getIndices(nested, op.getMap(operand), Value(), key)), isKey};
            });
      };
      copy(op.getKeyMutable(), stage, shape.dqk, shape.getPaddedDqk());
      copy(op.getValueMutable(), advance(stage, place.i32(layout.value)), shape.dv, shape.getPaddedDv());
    }
    CpAsyncCommitOp::create(b, loc);
  }

  Value getStage(Value number) {
    Value slot = arith::RemUIOp::create(b, loc, toI32(number), place.i32(schedule.getStages()));
    return advance(shared, add(mul(slot, layout.stage), place.i32(layout.ring)));
  }

  SoftmaxState buildKeyLoops() {
    for (int64_t number = 0; number < schedule.getStages() - 1; ++number)
      buildCopyBlock(math.value(math.constant(number)));
    SmallVector<OpFoldResult> accSizes = {math.constant(schedule.getWarpRows()), math.constant(shape.getPaddedDv())};
    SoftmaxState state = buildInitialState(b, loc, accMap, rowMap, accSizes, accSizes[0]);
    state = buildBlockLoop(math.value(math.constant(0)), numFull, state, /*isEdge=*/false);
    if (hasEdges())
      state = buildBlockLoop(numFull, numBlocks, state, /*isEdge=*/true);
    return state;
  }

  /// Whether some block may need masks by position or by the number of keys.
  bool hasEdges() {
    std::optional<int64_t> count = getConstantIntValue(keys);
    return op.isMaskedByPosition() || op.getKvLen() || !count || *count % schedule.getN() != 0;
  }

  SoftmaxState buildBlockLoop(Value begin, Value end, const SoftmaxState &init, bool isEdge) {
    auto loop = scf::ForOp::create(b, loc, begin, end, math.value(math.constant(1)),
                                   ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value number = loop.getInductionVar();
    // After the barrier, the block is there for all warps, and no warp reads the stage of the block before it.
    CpAsyncWaitOp::create(b, loc, schedule.getStages() - 2);
    BarrierOp::create(b, loc);
    buildCopyBlock(math.value(math.add(number, schedule.getStages() - 1)));
    auto online = buildOnlineAttention(number, loop.getRegionIterArgs(), isEdge);
    scf::YieldOp::create(b, loc, online.getResults());
    return {{loop.getResult(0), accMap}, {loop.getResult(1), rowMap}, {loop.getResult(2), rowMap}};
  }

  OnlineAttentionOp buildOnlineAttention(Value number, ValueRange state, bool isEdge) {
    SmallVector<Value> tensors;
    SmallVector<AffineMap> maps;
    SmallVector<int32_t> segments;
    auto addOperand = [&](Value tensor, ArrayRef<Dim> dims) {
      segments.push_back(tensor ? 1 : 0);
      if (!tensor)
        return;
      tensors.push_back(tensor);
      maps.push_back(getDimsMap(b.getContext(), dims));
    };
    Value firstKey = math.value(math.add(getFirstKey(number), toIndex(mul(keyWarp, warpKeys))));
    bool isMasked = isEdge && op.isMaskedByPosition();
    addOperand(getQueryTile(), {Dim::m, Dim::dqk});
    addOperand(buildSharedTile(number, op.getKeyMutable(), 0, layout.keyPitch, shape.getPaddedDqk()),
               {Dim::n, Dim::dqk});
    addOperand(buildSharedTile(number, op.getValueMutable(), layout.value, layout.valuePitch, shape.getPaddedDv()),
               {Dim::n, Dim::dv});
    addOperand(buildScoreTile(op.getBiasMutable(), firstKey), {Dim::m, Dim::n});
    addOperand(buildScoreTile(op.getMaskMutable(), firstKey), {Dim::m, Dim::n});
    addOperand(isEdge ? buildKeyBound() : Value(), {});
    addOperand(isMasked ? buildRowPositions() : Value(), {Dim::m});
    segments.append({0, 0, 0}); // scales and positions of keys
    segments.push_back(3);
    llvm::append_range(tensors, state);
    maps.append({accMap, rowMap, rowMap});
    segments.push_back(isEdge ? 1 : 0);
    if (isEdge)
      tensors.push_back(firstKey);

    SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(maps)),
                                              b.getNamedAttr("scale", op.getScaleAttr()),
                                              b.getNamedAttr("dot", b.getUnitAttr()),
                                              b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
    auto copyAttribute = [&](StringRef name, bool condition) {
      if (Attribute attribute = condition ? op->getAttr(name) : Attribute())
        attributes.push_back(b.getNamedAttr(name, attribute));
    };
    copyAttribute("softcap", true);
    for (StringRef name : {"causal", "window_left", "window_right"})
      copyAttribute(name, isMasked);
    return OnlineAttentionOp::create(b, loc, state.getTypes(), tensors, attributes);
  }

  /// The warp's keys or values of a block.
  Value buildSharedTile(Value number, OpOperand &operand, int64_t offset, int64_t pitch, int64_t width) {
    Value moved = add(mul(keyWarp, warpKeys * pitch), place.i32(offset));
    auto type = RankedTensorType::get({warpKeys, width}, getTensor(operand).element);
    return SharedTileOp::create(b, loc, type, advance(getStage(number), moved));
  }

  /// The warp's part of a bias or mask.
  Value buildScoreTile(MutableOperandRange operand, Value firstKey) {
    if (operand.empty())
      return {};
    OpOperand &use = *operand.begin();
    Value first = toI32(firstKey), last = add(toI32(keys), place.i32(-1));
    const GlobalTensor &tensor = getTensor(use);
    return buildTile(b, loc, {schedule.getWarpRows(), warpKeys}, tensor.element,
                     [&](OpBuilder &nested, Value row, Value column) {
                       row = place.clampRow(nested, arith::AddIOp::create(nested, loc, row, warpRow));
                       Value key = arith::AddIOp::create(nested, loc, column, first);
                       key = arith::MinSIOp::create(nested, loc, key, last);
                       return tensor.load(nested, loc, place.getIndices(nested, op.getMap(use), row, key));
                     });
  }

  /// The end of the keys that are there, as the rank-0 kv_len of a block.
  Value buildKeyBound() {
    return tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), toI32(range.lastKey));
  }

  Value buildRowPositions() {
    Value first = toI32(offset);
    return buildTile(b, loc, schedule.getWarpRows(), b.getI32Type(), [&](OpBuilder &nested, Value row, Value) -> Value {
      row = arith::AddIOp::create(nested, loc, row, warpRow);
      Value heads = arith::ConstantIntOp::create(nested, loc, shape.getTileHeads(), 32);
      return arith::AddIOp::create(nested, loc, arith::DivUIOp::create(nested, loc, row, heads), first);
    });
  }

  //===-- Results -------------------------------------------------------------------------------------------------===//

  /// The states of all warps with the same rows, merged in the order of their keys.
  SoftmaxState mergeKeyWarps(const SoftmaxState &state) {
    CpAsyncWaitOp::create(b, loc, 0);
    BarrierOp::create(b, loc);
    int64_t partOffsets[] = {0, layout.accBytes, layout.accBytes + layout.rowBytes};
    auto getAddress = [&](Value warp, int64_t part) {
      return advance(shared, add(mul(warp, layout.state), place.i32(layout.ring + partOffsets[part])));
    };
    Value warp = add(mul(keyWarp, schedule.getRowWarps()), rowWarp);
    Value tensors[] = {state.acc.tensor, state.max.tensor, state.sum.tensor};
    for (auto [part, tensor] : llvm::enumerate(tensors))
      PutTileOp::create(b, loc, tensor, getAddress(warp, part));
    BarrierOp::create(b, loc);
    auto getState = [&](int64_t number) -> SoftmaxState {
      Value other = add(rowWarp, place.i32(number * schedule.getRowWarps()));
      auto getTile = [&](int64_t part, AffineMap map) -> MappedTensor {
        return {GetTileOp::create(b, loc, tensors[part].getType(), getAddress(other, part)), map};
      };
      return {getTile(0, accMap), getTile(1, rowMap), getTile(2, rowMap)};
    };
    SoftmaxState merged = getState(0);
    for (int64_t number = 1; number < schedule.getKeyWarps(); ++number)
      merged = buildMergeStep(b, loc, merged, getState(number));
    return merged;
  }

  Value isWriter() { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, keyWarp, place.i32(0)); }

  void writeResults(const SoftmaxState &state) {
    std::optional<unsigned> sink;
    if (op.getSink())
      sink = op.getSinkMutable()[0].getOperandNumber();
    unsigned output = op.getOutputsMutable()[0].getOperandNumber();
    ResultWriter{place, operands, output, sink, warpRow, Value(), isWriter(), isWriter(), shape.dv}.write(state);
  }

  void writePartial(const SoftmaxState &state) {
    unsigned first = op.getOutputsMutable()[0].getOperandNumber();
    Value writes = isWriter();
    auto store = [&](Value tile, unsigned number) {
      const GlobalTensor &destination = operands.getTensor(first + number);
      auto rows = StoreRowsOp::create(b, loc, tile, destination.pointer, shape.getPaddedDv());
      buildAddress(b, rows, [&](OpBuilder &nested, Value row) -> RowAddress {
        row = arith::AddIOp::create(nested, loc, row, warpRow);
        SmallVector<Value> indices = {place.batch, place.heads, split, row};
        indices.resize(destination.shape.size());
        return {destination.getOffset(nested, loc, indices),
                arith::AndIOp::create(nested, loc, place.isRow(nested, row), writes)};
      });
    };
    store(state.acc.tensor, 0);
    store(state.max.tensor, 1);
    store(state.sum.tensor, 2);
  }

  //===-- Arithmetic ----------------------------------------------------------------------------------------------===//

  const GlobalTensor &getTensor(OpOperand &operand) { return operands.getTensor(operand.getOperandNumber()); }
  Value add(Value lhs, Value rhs) { return arith::AddIOp::create(b, loc, lhs, rhs); }
  Value mul(Value lhs, int64_t rhs) { return arith::MulIOp::create(b, loc, lhs, place.i32(rhs)); }
  Value toI32(OpFoldResult value) { return arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(value)); }
  Value toIndex(Value value) { return arith::IndexCastOp::create(b, loc, b.getIndexType(), value); }
  /// `address` plus `offset` (i32) bytes.
  Value advance(Value address, Value offset) {
    return LLVM::GEPOp::create(b, loc, address.getType(), b.getI8Type(), address, ArrayRef<LLVM::GEPArg>{offset});
  }

  OpBuilder &b;
  Location loc;
  IndexMath math;
  const AttentionShape &shape;
  AttentionOp op;
  Schedule schedule;
  KernelOperands &operands;
  SharedLayout layout;
  AttentionPlace place;
  AffineMap accMap, rowMap;
  int64_t warpKeys;

  Value shared, rowWarp, keyWarp, split, firstRow, warpRow; // i32 but for `shared`
  OpFoldResult positions, keys, kvLen, offset;
  KeyRange range;
  Value numFull, numBlocks; // index
  Value query;
};

} // namespace

int64_t getSharedBytes(const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule) {
  return SharedLayout(shape, schedule).total;
}

void buildAttentionKernel(OpBuilder &b, const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule,
                          KernelOperands &operands) {
  OpBuilder::InsertionGuard guard(b);
  KernelBuilder(b, shape, schedule, operands).build();
}

} // namespace mlir::gqa
