#ifndef GQA_PASSES_GPU_KERNELFRAME_H
#define GQA_PASSES_GPU_KERNELFRAME_H

#include "passes/SequenceLength.h"
#include "passes/gpu/AttentionKernel.h"
#include "passes/gpu/SharedLayout.h"
#include "passes/gpu/TileBuilder.h"

namespace mlir::gqa {

/// What the parts of the attention kernel's builder share: where a block and its warps stand, how long the sequence is,
/// and arithmetic.
struct KernelFrame {
  /// Begins the kernel; the builder goes on where it ends.
  KernelFrame(OpBuilder &b, const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule, KernelOperands &operands);

  const GlobalTensor &getTensor(OpOperand &operand) { return operands.getTensor(operand.getOperandNumber()); }
  Value getScalar(KernelScalar scalar) { return operands.getScalar(unsigned(scalar)); }
  /// This batch entry's element of an operand.
  Value loadElement(OpOperand &operand);

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
  gqa_gpu::ScheduleAttr schedule;
  KernelOperands &operands;
  SharedLayout layout;
  AttentionPlace place;
  int64_t warpKeys; ///< keys of a block for each key warp

  Value shared;                                     ///< the address of shared memory
  Value rowWarp, keyWarp, split, firstRow, warpRow; ///< i32
  OpFoldResult positions;                           ///< query positions in all
  OpFoldResult keys;                                ///< of every sequence
  SequenceLength sequence;
  OpFoldResult offset; ///< where the first row stands; null where nothing is masked by position

private:
  void setPlace();
  void setLength();
  OpFoldResult getSize(Dim dim, KernelScalar scalar);
  OpFoldResult loadClamped(MutableOperandRange operand);
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_KERNELFRAME_H
