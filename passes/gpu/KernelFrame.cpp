#include "passes/gpu/KernelFrame.h"

namespace mlir::gqa {

using namespace gqa_gpu;

KernelFrame::KernelFrame(OpBuilder &b, const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule,
                         KernelOperands &operands)
    : b(b), loc(operands.kernel.getLoc()), math{b, loc}, shape(shape), op(shape.op), schedule(schedule),
      operands(operands), layout(shape, schedule), place{b, loc, shape, {}, {}, {}},
      warpKeys(schedule.getN() / schedule.getKeyWarps()) {
  b.setInsertionPointToStart(&operands.kernel.getBody().front());
  setPlace();
  setLength();
}

void KernelFrame::setPlace() {
  Type i32 = b.getI32Type();
  shared = SharedMemoryOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 3));
  Value warp = arith::ShRUIOp::create(b, loc, ThreadIdOp::create(b, loc, i32), place.i32(5));
  rowWarp = arith::RemUIOp::create(b, loc, warp, place.i32(schedule.getRowWarps()));
  keyWarp = arith::DivUIOp::create(b, loc, warp, place.i32(schedule.getRowWarps()));
  Value tile = BlockIdOp::create(b, loc, i32, 0);
  place.heads = BlockIdOp::create(b, loc, i32, 1);
  place.batch = BlockIdOp::create(b, loc, i32, 2);
  positions = getSize(Dim::m, KernelScalar::m);
  // Of paged keys, the host says that there are none without pages.
  keys = op.getBlockTable() ? OpFoldResult(toIndex(getScalar(KernelScalar::n))) : getSize(Dim::n, KernelScalar::n);
  place.rows = mul(toI32(positions), shape.getTileHeads());
  if (schedule.getSplit()) {
    Value splits = getScalar(KernelScalar::splits);
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
OpFoldResult KernelFrame::getSize(Dim dim, KernelScalar scalar) {
  int64_t extent = getStaticExtent(shape.maps, op.getOperands(), dim);
  if (!ShapedType::isDynamic(extent))
    return math.constant(extent);
  return toIndex(getScalar(scalar));
}

void KernelFrame::setLength() {
  sequence = SequenceLength::get(math, op, keys, loadClamped(op.getKvLenMutable()), loadClamped(op.getLengthMutable()));
  if (op.isMaskedByPosition())
    offset = buildFirstPosition(math, op, sequence, positions, loadClamped(op.getOffsetMutable()));
}

Value KernelFrame::loadElement(OpOperand &operand) {
  return getTensor(operand).load(b, loc, place.getIndices(b, op.getMap(operand), Value()));
}

/// The same of an integer, near enough to 0 for an index of 32 bits; null if there is no such operand.
OpFoldResult KernelFrame::loadClamped(MutableOperandRange operand) {
  if (operand.empty())
    return {};
  Value element = loadElement(*operand.begin());
  if (!element.getType().isInteger(64))
    element = arith::ExtSIOp::create(b, loc, b.getI64Type(), element);
  element = arith::MinSIOp::create(b, loc, element, place.i64(kFarPosition));
  element = arith::MaxSIOp::create(b, loc, element, place.i64(-kFarPosition));
  return toIndex(element);
}

} // namespace mlir::gqa
