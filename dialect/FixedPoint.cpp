#include "dialect/FixedPoint.h"

#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

namespace {

/// Rows whose elements are all smaller count as zeros: the unit's inverse stays finite.
constexpr double kLeastMagnitude = 1e-30;

Value buildF32(OpBuilder &b, Location loc, double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
}

/// max over k of |rows[m, k]|, NaN if one is.
Value buildLargestMagnitude(OpBuilder &b, Location loc, MappedTensor rows, AffineMap rowMap) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(rows.tensor.getType()).getShape();
  Value empty = tensor::EmptyOp::create(b, loc, shape, b.getF32Type());
  Value magnitudes = buildGeneric(b, loc, rows, {empty, rows.map}, [](OpBuilder &nested, Location l, ValueRange args) {
    return math::AbsFOp::create(nested, l, args[0]).getResult();
  });
  Value start = buildEmptyF32(b, loc, rowMap, rows, 0.0);
  return buildGeneric(b, loc, MappedTensor{magnitudes, rows.map}, {start, rowMap},
                      [](OpBuilder &nested, Location l, ValueRange args) {
                        return arith::MaximumFOp::create(nested, l, args[1], args[0]).getResult();
                      });
}

} // namespace

RowUnits buildRowUnits(OpBuilder &b, Location loc, MappedTensor rows, double largest) {
  AffineMap rowMap = getDimsMap(b.getContext(), {getDims(rows.map).front()});
  auto perRow = [&](Value input, BodyBuilder body) -> MappedTensor {
    return {buildGeneric(b, loc, MappedTensor{input, rowMap}, {buildEmptyF32(b, loc, rowMap, rows), rowMap}, body),
            rowMap};
  };
  Value magnitude = buildLargestMagnitude(b, loc, rows, rowMap);
  MappedTensor unit = perRow(magnitude, [largest](OpBuilder &nested, Location l, ValueRange args) -> Value {
    Value bounded = arith::MaximumFOp::create(nested, l, args[0], buildF32(nested, l, kLeastMagnitude));
    return arith::MulFOp::create(nested, l, bounded, buildF32(nested, l, 1.0 / largest));
  });
  MappedTensor inverse = perRow(unit.tensor, [](OpBuilder &nested, Location l, ValueRange args) -> Value {
    return arith::DivFOp::create(nested, l, buildF32(nested, l, 1.0), args[0]);
  });
  return {unit, inverse};
}

Value buildFixed(OpBuilder &b, Location loc, Value value, Value inverse) {
  Value number = arith::MulFOp::create(b, loc, value, inverse);
  number = math::RoundEvenOp::create(b, loc, number);
  return arith::FPToSIOp::create(b, loc, b.getI32Type(), number);
}

Value buildFromFixed(OpBuilder &b, Location loc, Value number, Value unit, Value old) {
  if (old)
    return math::FmaOp::create(b, loc, number, unit, old);
  return arith::MulFOp::create(b, loc, number, unit);
}

} // namespace mlir::gqa
