#ifndef GQA_PASSES_GPU_TILEBUILDER_H
#define GQA_PASSES_GPU_TILEBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

/// A tile made element by element; `body` gets the row (i32), and for rank 2 the column (i32).
inline Value buildTile(OpBuilder &b, Location loc, ArrayRef<int64_t> shape, Type element,
                       function_ref<Value(OpBuilder &, Value, Value)> body) {
  auto type = RankedTensorType::get(shape, element);
  return tensor::GenerateOp::create(b, loc, type, ValueRange{}, [&](OpBuilder &nested, Location l, ValueRange indices) {
    SmallVector<Value> narrow;
    for (Value index : indices)
      narrow.push_back(arith::IndexCastOp::create(nested, l, nested.getI32Type(), index));
    Value element = body(nested, narrow[0], narrow.size() == 2 ? narrow[1] : Value());
    tensor::YieldOp::create(nested, l, element);
  });
}

struct RowAddress {
  Value offset, isValid; // i64, i1
};

/// Fills the region of an op of rows; `body` gets the row (i32).
template <typename OpTy> void buildAddress(OpBuilder &b, OpTy op, function_ref<RowAddress(OpBuilder &, Value)> body) {
  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&op.getAddress());
  Value row = block->addArgument(b.getI32Type(), op.getLoc());
  RowAddress address = body(b, row);
  gqa_gpu::YieldOp::create(b, op.getLoc(), address.offset, address.isValid);
}

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_TILEBUILDER_H
