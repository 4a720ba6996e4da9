#include "passes/KeyBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

/// Positions and distances stay within this, so that sums of them fit i32.
constexpr int64_t kFarPosition = int64_t(1) << 30;

static int64_t clampDistance(int64_t distance) { return std::min<int64_t>(distance, kFarPosition); }

KeyBlocks::KeyBlocks(AttentionTask &task, TileLoader &loader)
    : task(task), loader(loader), b(task.b), loc(task.loc), op(task.op), math(task.math) {
  if (op.getBlockTable())
    pages.emplace(task, loader);
  setLengths();
  if (op.isMaskedByPosition())
    setPositions();
}

void KeyBlocks::setLengths() {
  kvLen = length = task.keyExtent;
  if (std::optional<MappedTensor> lengths = task.operand(op.getKvLenMutable()))
    kvLen = length = clampIndex(loadIndex(*lengths), math.constant(0), task.keyExtent);
  std::optional<MappedTensor> tokens = task.operand(op.getLengthMutable());
  if (!tokens)
    return;
  length = clampIndex(loadIndex(*tokens), math.constant(0), math.constant(kFarPosition));
  OpFoldResult stored = math.constant(op.getRingSinksAttr().getInt() + op.getRingSlotsAttr().getInt());
  kvLen = math.min(length, math.min(stored, task.keyExtent));
}

void KeyBlocks::setPositions() {
  OpFoldResult offset = math.constant(0);
  if (std::optional<MappedTensor> offsets = task.operand(op.getOffsetMutable()))
    offset = loadIndex(*offsets);
  else if (op.getAlignment() == Alignment::BottomRight)
    offset = math.sub(length, task.extent(Dim::m));
  firstPosition = math.add(offset, task.range(Dim::m).offset);
  positions = buildPositions();
}

/// The element of a per-batch operand for this task.
OpFoldResult KeyBlocks::loadIndex(MappedTensor perBatch) {
  SmallVector<Value> indices;
  if (hasDim(perBatch.map, Dim::b))
    indices.push_back(math.value(task.range(Dim::b).offset));
  Value element = tensor::ExtractOp::create(b, loc, perBatch.tensor, indices);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), element).getResult();
}

OpFoldResult KeyBlocks::clampIndex(OpFoldResult index, OpFoldResult low, OpFoldResult high) {
  return math.max(math.min(index, high), low);
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

/// The ring that holds the keys, seen from rows up to `lastPosition`.
Ring KeyBlocks::getRing(OpFoldResult lastPosition) {
  std::optional<int64_t> left;
  if (op.getWindowLeft())
    left = clampDistance(*op.getWindowLeft());
  return {op.getRingSinksAttr().getInt(), op.getRingSlotsAttr().getInt(), length, firstPosition, lastPosition, left};
}

KeyBlocks::BlockRange KeyBlocks::getBlocks(OpFoldResult begin, OpFoldResult end) {
  OpFoldResult lastPosition = math.add(math.add(firstPosition, task.range(Dim::m).size), -1);
  OpFoldResult low = begin, high = math.min(end, kvLen);
  OpFoldResult fullLow = low, fullHigh = high;
  auto boundAbove = [&](int64_t distance) {
    high = math.min(high, math.add(lastPosition, distance + 1));
    fullHigh = math.min(fullHigh, math.add(firstPosition, distance + 1));
  };
  if (isRingByPosition()) {
    std::tie(fullLow, fullHigh) = getFullSlots(math, getRing(lastPosition), low, high);
  } else {
    if (op.getCausal())
      boundAbove(0);
    if (op.getWindowRight())
      boundAbove(clampDistance(*op.getWindowRight()));
    if (op.getWindowLeft()) {
      int64_t left = clampDistance(*op.getWindowLeft());
      low = math.max(low, math.add(firstPosition, -left));
      fullLow = math.max(fullLow, math.add(lastPosition, -left));
    }
  }
  int64_t n = task.schedule.getN();
  BlockRange blocks;
  blocks.end = high;
  blocks.low = math.floorDiv(low, n);
  blocks.high = math.max(math.ceilDiv(high, n), blocks.low);
  blocks.fullLow = math.min(math.ceilDiv(fullLow, n), blocks.high);
  blocks.fullHigh = math.max(math.floorDiv(math.min(fullHigh, high), n), blocks.fullLow);
  return blocks;
}

SoftmaxState KeyBlocks::build(OpFoldResult begin, OpFoldResult end) {
  MappedTensor query = loadQuery();
  BlockRange blocks = getBlocks(begin, end);
  int64_t n = task.schedule.getN();

  SoftmaxState state = buildInitialState(b, loc, task.accMap, task.rowMap, task.accSizes(), task.rowSizes());
  state = buildBlockLoop(blocks.fullLow, blocks.fullHigh, state, [&](Value block, const SoftmaxState &current) {
    task.range(Dim::n) = {math.mul(block, n), math.constant(n), n};
    return buildBlock(query, current, /*isEdge=*/false);
  });
  if (!hasEdges())
    return state;

  // One loop runs over the edge blocks on both sides of the full ones.
  OpFoldResult leftEdges = math.sub(blocks.fullLow, blocks.low);
  OpFoldResult edges = math.add(leftEdges, math.sub(blocks.high, blocks.fullHigh));
  OpFoldResult skipped = math.sub(blocks.fullHigh, blocks.fullLow);
  return buildBlockLoop(math.constant(0), edges, state, [&](Value edge, const SoftmaxState &current) {
    Value isRight = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, edge, math.value(leftEdges));
    Value skip = arith::SelectOp::create(b, loc, isRight, math.value(skipped), math.value(math.constant(0)));
    OpFoldResult start = math.mul(math.add(math.add(edge, skip), blocks.low), n);
    OpFoldResult size = math.max(math.min(math.constant(n), math.sub(blocks.end, start)), math.constant(0));
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
  return loader.loadTile(*operand, dims);
}

std::optional<MappedTensor> KeyBlocks::loadKeyScale(bool isEdge) {
  std::optional<MappedTensor> scale = task.operand(op.getKeyScaleMutable());
  if (scale && hasDim(scale->map, Dim::dqk))
    return std::nullopt; // on the query
  return loadKeys(scale, std::nullopt, isEdge);
}

/// gqa.online_attention on the block that range(n) selects.
SoftmaxState KeyBlocks::buildBlock(MappedTensor query, const SoftmaxState &state, bool isEdge) {
  SmallVector<Value> operands = {query.tensor};
  SmallVector<AffineMap> blockMaps = {query.map};
  SmallVector<int32_t> segments = {1};
  auto addOptional = [&](std::optional<MappedTensor> operand) {
    segments.push_back(operand ? 1 : 0);
    if (!operand)
      return;
    operands.push_back(operand->tensor);
    blockMaps.push_back(operand->map);
  };
  bool isMasked = isEdge && op.isMaskedByPosition();
  Dim keyRow = hasDim(op.getKeyMap(), Dim::dqk2) ? Dim::dqk2 : Dim::dqk;
  Dim valueRow = hasDim(op.getValueMap(), Dim::dv2) ? Dim::dv2 : Dim::dv;
  addOptional(loadKeys(MappedTensor{op.getKey(), op.getKeyMap()}, keyRow, isEdge));
  addOptional(loadKeys(MappedTensor{op.getValue(), op.getValueMap()}, valueRow, isEdge));
  addOptional(loader.loadScoreOperand(task.operand(op.getBiasMutable())));
  addOptional(loader.loadScoreOperand(task.operand(op.getMaskMutable())));
  addOptional(isEdge ? std::optional(buildKeyBound()) : std::nullopt);
  addOptional(isMasked ? std::optional(MappedTensor{positions, task.rowMap}) : std::nullopt);
  addOptional(loadKeyScale(isEdge));
  addOptional(loadKeys(task.operand(op.getValueScaleMutable()), std::nullopt, isEdge));
  addOptional(isMasked && isRingByPosition() ? std::optional(buildRingPositions()) : std::nullopt);
  segments.push_back(3);
  for (const MappedTensor &output : {state.acc, state.max, state.sum}) {
    operands.push_back(output.tensor);
    blockMaps.push_back(output.map);
  }
  segments.push_back(isEdge ? 1 : 0);
  if (isEdge)
    operands.push_back(math.value(task.range(Dim::n).offset));

  SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(blockMaps)),
                                            b.getNamedAttr("scale", op.getScaleAttr()),
                                            b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
  auto copyAttribute = [&](StringRef name, bool condition) {
    if (Attribute attribute = condition ? op->getAttr(name) : Attribute())
      attributes.push_back(b.getNamedAttr(name, attribute));
  };
  copyAttribute("softcap", true);
  for (StringRef name : {"causal", "window_left", "window_right"})
    copyAttribute(name, isMasked);
  if (isMasked && isRingByPosition())
    attributes.push_back(b.getNamedAttr("sinks", op.getRingSinksAttr()));
  if (task.schedule.getDot())
    attributes.push_back(b.getNamedAttr("dot", b.getUnitAttr()));

  TypeRange types = ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor}.getTypes();
  auto online = OnlineAttentionOp::create(b, loc, types, operands, attributes);
  return {{online.getResult(0), task.accMap}, {online.getResult(1), task.rowMap}, {online.getResult(2), task.rowMap}};
}

/// The end of the keys, as the rank-0 kv_len of a block. It stands for the padding of the block, too.
MappedTensor KeyBlocks::buildKeyBound() {
  OpFoldResult end = math.add(task.range(Dim::n).offset, task.range(Dim::n).size);
  Value bound = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(end));
  return {tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), bound), task.dimsMap({})};
}

/// The position of each key of a block of a ring, as i32. With `past` tokens beside the sinks, slot i of the ring holds
/// the token of round past / slots, or, from past mod slots on, that of the round before.
MappedTensor KeyBlocks::buildRingPositions() {
  Ring ring = getRing(firstPosition);
  int64_t sinks = ring.sinks, slots = ring.slots;
  OpFoldResult round = math.roundDown(ring.getPast(math), slots);
  auto toI32 = [&](OpFoldResult value) -> Value {
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(value));
  };
  Value firstKey = toI32(task.range(Dim::n).offset), thisRound = toI32(round);
  Value previousRound = toI32(math.add(round, -slots)), zero = toI32(math.constant(0));
  Value firstSlot = toI32(math.constant(sinks));
  Value cursor = toI32(ring.getCursor(math));
  AffineMap map = task.dimsMap({Dim::n});
  Value empty = tensor::EmptyOp::create(b, loc, ArrayRef{task.range(Dim::n).extent}, b.getI32Type());
  Value result = buildGeneric(b, loc, {}, {empty, map}, [&](OpBuilder &nested, Location l, ValueRange) -> Value {
    Value key = linalg::IndexOp::create(nested, l, 0);
    key = arith::AddIOp::create(nested, l, arith::IndexCastOp::create(nested, l, nested.getI32Type(), key), firstKey);
    auto isBelow = [&](Value bound) { return arith::CmpIOp::create(nested, l, arith::CmpIPredicate::slt, key, bound); };
    Value rounds = arith::SelectOp::create(nested, l, isBelow(cursor), thisRound, previousRound);
    rounds = arith::SelectOp::create(nested, l, isBelow(firstSlot), zero, rounds);
    return arith::AddIOp::create(nested, l, key, rounds);
  });
  return {result, map};
}

} // namespace mlir::gqa
