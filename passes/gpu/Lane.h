#ifndef GQA_PASSES_GPU_LANE_H
#define GQA_PASSES_GPU_LANE_H

#include "dialect/gpu/GQAGpuDialect.h"
#include "passes/gpu/Fragment.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir::gqa {

/// Arithmetic on i32 and addresses, and where the lane that runs the code stands.
struct Lane {
  OpBuilder &b;
  Location loc;
  Value thread, lane, row, column; // row = lane / 4, column = 2 * (lane mod 4)

  Lane(OpBuilder &b, Location loc) : b(b), loc(loc) {
    thread = gqa_gpu::ThreadIdOp::create(b, loc, b.getI32Type());
    lane = bitAnd(thread, 31);
    row = shiftRight(lane, 2);
    column = shiftLeft(bitAnd(lane, 3), 1);
  }

  Value constant(int64_t value) const { return arith::ConstantIntOp::create(b, loc, value, 32); }
  Value add(Value lhs, Value rhs) const { return arith::AddIOp::create(b, loc, lhs, rhs); }
  Value add(Value lhs, int64_t rhs) const { return rhs == 0 ? lhs : add(lhs, constant(rhs)); }
  Value mul(Value lhs, int64_t rhs) const { return arith::MulIOp::create(b, loc, lhs, constant(rhs)); }
  Value bitAnd(Value lhs, int64_t rhs) const { return arith::AndIOp::create(b, loc, lhs, constant(rhs)); }
  Value shiftLeft(Value lhs, int64_t rhs) const { return arith::ShLIOp::create(b, loc, lhs, constant(rhs)); }
  Value shiftRight(Value lhs, int64_t rhs) const { return arith::ShRUIOp::create(b, loc, lhs, constant(rhs)); }
  Value toIndex(Value value) const { return arith::IndexCastOp::create(b, loc, b.getIndexType(), value); }

  /// Row and column of this lane's element at `position`, as i32.
  Value getRow(const FragmentElement &position) const { return add(row, position.getRow()); }
  Value getColumn(const FragmentElement &position) const { return add(column, position.getColumn()); }

  /// `address` plus `offset` (i32) bytes, plus `constant` bytes.
  Value advance(Value address, Value offset, int64_t constant = 0) const {
    Value moved =
        LLVM::GEPOp::create(b, loc, address.getType(), b.getI8Type(), address, ArrayRef<LLVM::GEPArg>{offset});
    if (constant == 0)
      return moved;
    return LLVM::GEPOp::create(b, loc, address.getType(), b.getI8Type(), moved,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(constant)});
  }

  /// The address of element `offset` (i64), then `constant` elements further.
  Value getElement(Value address, Type element, Value offset, int64_t constant = 0) const {
    Value moved = LLVM::GEPOp::create(b, loc, address.getType(), element, address, ArrayRef<LLVM::GEPArg>{offset});
    if (constant == 0)
      return moved;
    return LLVM::GEPOp::create(b, loc, address.getType(), element, moved,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(constant)});
  }
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_LANE_H
