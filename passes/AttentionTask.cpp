#include "passes/AttentionTask.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

AttentionTask::AttentionTask(RewriterBase &b, AttentionOp op)
    : b(b), loc(op.getLoc()), op(op), math{b, loc}, schedule(*op.getSchedule()), maps(op.getMaps()) {
  for (Dim dim : getDims(op.getQueryMap()))
    if (dim == Dim::g || dim == Dim::m)
      rowDims.push_back(dim);
  bool rowsInLanes = schedule.getLanes() == Lanes::Row;
  accMap = dimsMap(rowsInLanes ? ArrayRef<Dim>{Dim::dv, Dim::m} : ArrayRef<Dim>{Dim::m, Dim::dv});
  rowMap = dimsMap({Dim::m});
  dqk = getStaticExtent(maps, op.getOperands(), Dim::dqk);
  dv = getStaticExtent(maps, op.getOperands(), Dim::dv);
  for (unsigned dim = 0; dim < kNumDims; ++dim)
    extents.push_back(getExtent(b, loc, maps, op.getOperands(), static_cast<Dim>(dim)));
  keyExtent = buildKeyExtent(math, op);
}

SmallVector<OpFoldResult> AttentionTask::getCounts() {
  return {extent(Dim::b), extent(Dim::hkv), math.ceilDiv(extent(Dim::g), schedule.getG()),
          math.ceilDiv(extent(Dim::m), schedule.getM())};
}

void AttentionTask::place(OpFoldResult batch, OpFoldResult head, OpFoldResult groupTile, OpFoldResult rowTile) {
  if (op.getCausal())
    rowTile = math.sub(math.add(math.ceilDiv(extent(Dim::m), schedule.getM()), -1), rowTile);
  ranges.assign(kNumDims, TileRange());
  range(Dim::b) = {batch, math.constant(1), 1};
  range(Dim::hkv) = {head, math.constant(1), 1};
  range(Dim::g) = clampedRange(math.mul(groupTile, schedule.getG()), extent(Dim::g), schedule.getG());
  range(Dim::m) = clampedRange(math.mul(rowTile, schedule.getM()), extent(Dim::m), schedule.getM());
  auto placeWhole = [&](Dim dim, int64_t size) { range(dim) = {math.constant(0), math.constant(size), size}; };
  placeWhole(Dim::dqk, dqk);
  placeWhole(Dim::dv, dv);
  placeWhole(Dim::dqk2, dqk / 2);
  placeWhole(Dim::dv2, dv / 2);
}

TileRange AttentionTask::clampedRange(OpFoldResult offset, OpFoldResult extent, int64_t tile) {
  std::optional<int64_t> constant = getConstantIntValue(extent);
  if (tile == 1 || (constant && *constant % tile == 0))
    return {offset, math.constant(tile), tile};
  return {offset, math.min(math.constant(tile), math.sub(extent, offset)), tile};
}

std::optional<MappedTensor> AttentionTask::operand(MutableOperandRange range) {
  if (range.empty())
    return std::nullopt;
  OpOperand &present = *range.begin();
  return MappedTensor{present.get(), op.getMap(present)};
}

OpFoldResult AttentionTask::loadIndex(MutableOperandRange range, OpFoldResult batch) {
  std::optional<MappedTensor> perBatch = operand(range);
  if (!perBatch)
    return {};
  SmallVector<Value> indices;
  if (hasDim(perBatch->map, Dim::b))
    indices.push_back(math.value(batch));
  Value element = tensor::ExtractOp::create(b, loc, perBatch->tensor, indices);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), element).getResult();
}

SequenceLength AttentionTask::loadLength(OpFoldResult batch) {
  return SequenceLength::get(math, op, keyExtent, loadIndex(op.getKvLenMutable(), batch),
                             loadIndex(op.getLengthMutable(), batch));
}

SmallVector<OpFoldResult> AttentionTask::accSizes() {
  SmallVector<OpFoldResult> sizes = {math.constant(dv), math.constant(schedule.getRows())};
  if (schedule.getLanes() == Lanes::HeadDim)
    std::swap(sizes[0], sizes[1]);
  return sizes;
}

SmallVector<OpFoldResult> AttentionTask::rowTileSizes() {
  return llvm::map_to_vector(rowDims, [&](Dim dim) { return math.constant(range(dim).extent); });
}

} // namespace mlir::gqa
