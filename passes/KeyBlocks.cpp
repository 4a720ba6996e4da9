#include "passes/KeyBlocks.h"
#include "passes/OnlineBlock.h"
#include "passes/RingPositions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

KeyBlocks::KeyBlocks(AttentionTask &task, TileLoader &loader)
    : task(task), loader(loader), b(task.b), loc(task.loc), op(task.op), math(task.math) {
  if (op.getBlockTable())
    pages.emplace(task, loader);
  sequence = task.loadLength(task.range(Dim::b).offset);
  if (op.isMaskedByPosition())
    setPositions();
}

void KeyBlocks::setPositions() {
  OpFoldResult offset = task.loadIndex(op.getOffsetMutable(), task.range(Dim::b).offset);
  offset = buildFirstPosition(math, op, sequence, task.extent(Dim::m), offset);
  firstPosition = math.add(offset, task.range(Dim::m).offset);
  positions = buildPositions();
}

/// The position of each row of the tile, as i32.
Value KeyBlocks::buildPositions() {
  Value first = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(firstPosition));
  Value empty = tensor::EmptyOp::create(b, loc, task.rowTileSizes(), b.getI32Type());
  unsigned rank = task.rowDims.size();
  auto generic = linalg::GenericOp::create(b, loc, empty.getType(), ValueRange{}, empty, b.getMultiDimIdentityMap(rank),
                                           SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
                                           [&](OpBuilder &nested, Location l, ValueRange) {
                                             Value position = first;
                                             for (auto [loop, dim] : llvm::enumerate(task.rowDims))
                                               if (dim == Dim::m) {
                                                 Value row = linalg::IndexOp::create(nested, l, loop);
                                                 row = arith::IndexCastOp::create(nested, l, nested.getI32Type(), row);
                                                 position = arith::AddIOp::create(nested, l, first, row);
                                               }
                                             linalg::YieldOp::create(nested, l, position);
                                           });
  return loader.flattenRows(generic.getResult(0), b.getI32IntegerAttr(0));
}

//===-- Loops -----------------------------------------------------------------------------------------------------===//

SoftmaxState KeyBlocks::build(OpFoldResult begin, OpFoldResult end) {
  MappedTensor query = loadQuery();
  int64_t n = task.schedule.getN();
  OpFoldResult lastPosition;
  if (op.isMaskedByPosition())
    lastPosition = math.add(math.add(firstPosition, task.range(Dim::m).size), -1);
  KeyRange blocks = KeyRange::get(math, op, begin, end, sequence, firstPosition, lastPosition, n);

  SoftmaxState state = buildInitialState(b, loc, task.accMap, task.rowMap, task.accSizes(), task.rowSizes());
  state = buildBlockLoop(blocks.fullLow, blocks.fullHigh, state, [&](Value block, const SoftmaxState &current) {
    task.range(Dim::n) = {math.mul(block, n), math.constant(n), n};
    return buildBlock(query, current, /*isEdge=*/false);
  });
  if (!hasEdges())
    return state;

  // One loop runs over the edge blocks on both sides of the full ones.
  OpFoldResult edges = blocks.getNumEdges(math);
  return buildBlockLoop(math.constant(0), edges, state, [&](Value edge, const SoftmaxState &current) {
    OpFoldResult start = math.mul(blocks.getEdge(math, edge), n);
    OpFoldResult size = math.max(math.min(math.constant(n), math.sub(blocks.lastKey, start)), math.constant(0));
    task.range(Dim::n) = {start, size, n};
    return buildBlock(query, current, /*isEdge=*/true);
  });
}

/// Whether some block may need masks by position or padding.
bool KeyBlocks::hasEdges() {
  std::optional<int64_t> keys = getConstantIntValue(task.keyExtent);
  return op.isMaskedByPosition() || op.getKvLen() || op.getLength() || !keys || *keys % task.schedule.getN() != 0;
}

SoftmaxState KeyBlocks::buildBlockLoop(OpFoldResult begin, OpFoldResult end, const SoftmaxState &init,
                                       function_ref<SoftmaxState(Value, const SoftmaxState &)> body) {
  auto loop = scf::ForOp::create(b, loc, math.value(begin), math.value(end), math.value(math.constant(1)),
                                 ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor});
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  auto getState = [&](ValueRange tensors) -> SoftmaxState {
    return {{tensors[0], task.accMap}, {tensors[1], task.rowMap}, {tensors[2], task.rowMap}};
  };
  SoftmaxState state = body(loop.getInductionVar(), getState(loop.getRegionIterArgs()));
  scf::YieldOp::create(b, loc, ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor});
  return getState(loop.getResults());
}

//===-- Blocks ----------------------------------------------------------------------------------------------------===//

/// The task's query rows; scales of key channels are as good on the query.
MappedTensor KeyBlocks::loadQuery() {
  MappedTensor query = loader.loadRows({op.getQuery(), op.getQueryMap()}, {Dim::dqk});
  std::optional<MappedTensor> scale = task.operand(op.getKeyScaleMutable());
  if (!scale || !hasDim(scale->map, Dim::dqk))
    return query;
  MappedTensor channels = loader.loadTile(*scale, {Dim::dqk});
  MappedTensor output{buildEmptyF32(b, loc, query.map, query), query.map};
  return {buildGeneric(b, loc, {query, channels}, output,
                       [](OpBuilder &nested, Location l, ValueRange args) -> Value {
                         return arith::MulFOp::create(nested, l, buildToF32(nested, l, args[0]), args[1]);
                       }),
          query.map};
}

/// The block of a key, value or scale: [n], [n, row], or, where it does not vary over keys, [].
std::optional<MappedTensor> KeyBlocks::loadKeys(std::optional<MappedTensor> operand, std::optional<Dim> row,
                                                bool isEdge) {
  if (!operand)
    return std::nullopt;
  if (hasDim(operand->map, Dim::slot))
    return pages->load(*operand, row, isEdge);
  SmallVector<Dim> dims;
  if (hasDim(operand->map, Dim::n))
    dims.push_back(Dim::n);
  if (row)
    dims.push_back(*row);
  MappedTensor tile = loader.loadTile(*operand, dims);
  // Padding has made a tile of its own of a block at an edge.
  return row && !isEdge && shouldPack(*operand, *row) ? pack(tile) : tile;
}

/// Whether other heads lie between one key and the next, and a copy of the block costs less than that: such rows, often
/// a power of two apart, share few sets of the first-level cache, and push each other out while many query rows read
/// them. Not so for two bytes per element, whose rows are half as long.
bool KeyBlocks::shouldPack(MappedTensor operand, Dim row) {
  constexpr int64_t kRowsWorthPacking = 32;
  if (!cast<RankedTensorType>(operand.tensor.getType()).getElementType().isF32() ||
      task.schedule.getLanes() != Lanes::Row || task.schedule.getRows() < kRowsWorthPacking)
    return false;
  SmallVector<Dim> dims = getDims(operand.map);
  auto fromKey = ArrayRef(llvm::find(dims, Dim::n), dims.end());
  return fromKey.back() == row && llvm::any_of(fromKey, [&](Dim dim) {
           return (dim == Dim::hkv || dim == Dim::b) && getConstantIntValue(task.extent(dim)) != 1;
         });
}

/// A copy of `tile`, row by row.
MappedTensor KeyBlocks::pack(MappedTensor tile) {
  auto type = cast<RankedTensorType>(tile.tensor.getType());
  return {bufferization::AllocTensorOp::create(b, loc, type, ValueRange{}, /*copy=*/tile.tensor), tile.map};
}

std::optional<MappedTensor> KeyBlocks::loadKeyScale(bool isEdge) {
  std::optional<MappedTensor> scale = task.operand(op.getKeyScaleMutable());
  if (scale && hasDim(scale->map, Dim::dqk))
    return std::nullopt; // on the query
  return loadKeys(scale, std::nullopt, isEdge);
}

/// gqa.online_attention on the block that range(n) selects.
SoftmaxState KeyBlocks::buildBlock(MappedTensor query, const SoftmaxState &state, bool isEdge) {
  Dim keyRow = hasDim(op.getKeyMap(), Dim::dqk2) ? Dim::dqk2 : Dim::dqk;
  Dim valueRow = hasDim(op.getValueMap(), Dim::dv2) ? Dim::dv2 : Dim::dv;
  OnlineBlock block;
  block.query = query;
  block.key = *loadKeys(MappedTensor{op.getKey(), op.getKeyMap()}, keyRow, isEdge);
  block.value = *loadKeys(MappedTensor{op.getValue(), op.getValueMap()}, valueRow, isEdge);
  block.bias = loader.loadScoreOperand(task.operand(op.getBiasMutable()));
  block.mask = loader.loadScoreOperand(task.operand(op.getMaskMutable()));
  if (isEdge) {
    block.kvLen = buildKeyBound();
    block.keyStart = math.value(task.range(Dim::n).offset);
  }
  if (isEdge && op.isMaskedByPosition())
    block.positions = MappedTensor{positions, task.rowMap};
  block.keyScale = loadKeyScale(isEdge);
  block.valueScale = loadKeys(task.operand(op.getValueScaleMutable()), std::nullopt, isEdge);
  if (isEdge && isRingByPosition(op))
    block.keyPositions = buildRingPositions();
  block.dot = task.schedule.getDot();
  block.shorts = task.schedule.getShorts();
  return buildOnlineBlock(b, op, block, state);
}

/// The end of the keys, as the rank-0 kv_len of a block. It stands for the padding of the block, too.
MappedTensor KeyBlocks::buildKeyBound() {
  OpFoldResult end = math.add(task.range(Dim::n).offset, task.range(Dim::n).size);
  Value bound = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(end));
  return {tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), bound), task.dimsMap({})};
}

/// The position of each key of a block of a ring, as i32.
MappedTensor KeyBlocks::buildRingPositions() {
  RingPositions ring(math, sequence.tokens, op.getRingSinksAttr().getInt(), op.getRingSlotsAttr().getInt());
  Value firstKey = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(task.range(Dim::n).offset));
  AffineMap map = task.dimsMap({Dim::n});
  Value empty = tensor::EmptyOp::create(b, loc, ArrayRef{task.range(Dim::n).extent}, b.getI32Type());
  Value result = buildGeneric(b, loc, {}, {empty, map}, [&](OpBuilder &nested, Location l, ValueRange) -> Value {
    Value key = linalg::IndexOp::create(nested, l, 0);
    key = arith::AddIOp::create(nested, l, arith::IndexCastOp::create(nested, l, nested.getI32Type(), key), firstKey);
    return ring.get(nested, l, key);
  });
  return {result, map};
}

} // namespace mlir::gqa
