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

AffineMap getRowMap(MappedTensor rows) { return getDimsMap(rows.map.getContext(), {getDims(rows.map).front()}); }

ArrayRef<int64_t> getShape(MappedTensor rows) { return cast<RankedTensorType>(rows.tensor.getType()).getShape(); }

MappedTensor buildMagnitudes(OpBuilder &b, Location loc, MappedTensor rows) {
  Value empty = tensor::EmptyOp::create(b, loc, getShape(rows), b.getF32Type());
  return {buildGeneric(b, loc, rows, {empty, rows.map},
                       [](OpBuilder &nested, Location l, ValueRange args) {
                         return math::AbsFOp::create(nested, l, args[0]).getResult();
                       }),
          rows.map};
}

/// max over k of magnitudes[m, k], NaN if one is.
Value buildLargest(OpBuilder &b, Location loc, MappedTensor magnitudes) {
  Value start = buildEmptyF32(b, loc, getRowMap(magnitudes), magnitudes, 0.0);
  return buildGeneric(b, loc, magnitudes, {start, getRowMap(magnitudes)},
                      [](OpBuilder &nested, Location l, ValueRange args) {
                        return arith::MaximumFOp::create(nested, l, args[1], args[0]).getResult();
                      });
}

} // namespace

RowUnits buildRowUnits(OpBuilder &b, Location loc, MappedTensor rows, double largest) {
  AffineMap rowMap = getRowMap(rows);
  auto perRow = [&](Value input, BodyBuilder body) -> MappedTensor {
    return {buildGeneric(b, loc, MappedTensor{input, rowMap}, {buildEmptyF32(b, loc, rowMap, rows), rowMap}, body),
            rowMap};
  };
  MappedTensor unit = perRow(buildLargest(b, loc, buildMagnitudes(b, loc, rows)),
                             [largest](OpBuilder &nested, Location l, ValueRange args) -> Value {
                               Value bounded =
                                   arith::MaximumFOp::create(nested, l, args[0], buildF32(nested, l, kLeastMagnitude));
                               return arith::MulFOp::create(nested, l, bounded, buildF32(nested, l, 1.0 / largest));
                             });
  MappedTensor inverse = perRow(unit.tensor, [](OpBuilder &nested, Location l, ValueRange args) -> Value {
    return arith::DivFOp::create(nested, l, buildF32(nested, l, 1.0), args[0]);
  });
  return {unit, inverse};
}

Value buildHasOutlier(OpBuilder &b, Location loc, MappedTensor rows, double ratio) {
  MappedTensor magnitudes = buildMagnitudes(b, loc, rows);
  Value largest = buildLargest(b, loc, magnitudes);
  MappedTensor zero = {buildEmptyF32(b, loc, getRowMap(rows), rows, 0.0), getRowMap(rows)};
  Value sum = buildAccumulate(b, loc, magnitudes, zero);
  Value factor = buildF32(b, loc, ratio / static_cast<double>(getShape(rows)[1]));
  Value hasOutlier = arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
  for (int64_t row = 0; row < getShape(rows)[0]; ++row) {
    Value index = arith::ConstantIndexOp::create(b, loc, row);
    auto get = [&](Value perRow) -> Value { return tensor::ExtractOp::create(b, loc, perRow, index); };
    Value bound = arith::MulFOp::create(b, loc, get(sum), factor);
    Value isOutlier = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, get(largest), bound);
    hasOutlier = arith::OrIOp::create(b, loc, hasOutlier, isOutlier);
  }
  return hasOutlier;
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
