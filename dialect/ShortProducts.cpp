#include "dialect/ShortProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

namespace {

using utils::IteratorType;

/// The largest number of a row.
constexpr double kMaxShort = 32767;

ArrayRef<int64_t> getShape(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getShape(); }

/// `tensor` with dimension `dim` of two split so that its last parts have the extents `inner`.
Value buildSplit(OpBuilder &b, Location loc, Value tensor, unsigned dim, ArrayRef<int64_t> inner) {
  SmallVector<int64_t> shape;
  SmallVector<ReassociationIndices> groups;
  for (auto [i, extent] : llvm::enumerate(getShape(tensor))) {
    SmallVector<int64_t> parts = {extent};
    if (i == dim) {
      for (int64_t part : inner)
        parts.front() /= part;
      llvm::append_range(parts, inner);
    }
    groups.push_back(llvm::to_vector(llvm::seq<int64_t>(shape.size(), shape.size() + parts.size())));
    llvm::append_range(shape, parts);
  }
  auto type = RankedTensorType::get(shape, getElementTypeOrSelf(tensor));
  return tensor::ExpandShapeOp::create(b, loc, type, tensor, groups);
}

/// sum + first * second, integers of any width.
void buildMultiplyAdd(OpBuilder &b, Location loc, ValueRange args) {
  auto widen = [&](Value value) -> Value { return arith::ExtSIOp::create(b, loc, b.getI32Type(), value); };
  Value product = arith::MulIOp::create(b, loc, widen(args[0]), widen(args[1]));
  linalg::YieldOp::create(b, loc, arith::AddIOp::create(b, loc, args[2], product).getResult());
}

} // namespace

Value buildZeroSums(OpBuilder &b, Location loc, ArrayRef<int64_t> shape) {
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  Value empty = tensor::EmptyOp::create(b, loc, shape, b.getI32Type());
  return linalg::FillOp::create(b, loc, zero, empty).getResult(0);
}

ShortRows buildShortRows(OpBuilder &b, Location loc, MappedTensor rows) {
  RowUnits units = buildRowUnits(b, loc, rows, kMaxShort);
  Value empty = tensor::EmptyOp::create(b, loc, getShape(rows.tensor), b.getI16Type());
  Value numbers = buildGeneric(b, loc, {rows, units.inverse}, {empty, rows.map},
                               [](OpBuilder &nested, Location l, ValueRange args) -> Value {
                                 Value fixed = buildFixed(nested, l, args[0], args[1]);
                                 return arith::TruncIOp::create(nested, l, nested.getI16Type(), fixed);
                               });
  return {numbers, units.unit};
}

Value buildShortDots(OpBuilder &b, Location loc, Value rows, Value keys) {
  int64_t m = getShape(rows)[0], n = getShape(keys)[0];
  AffineExpr row, key, lane, step, part;
  bindDims(b.getContext(), row, key, lane, step, part);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(5, 0, results, b.getContext()); };
  auto split = [&](Value tensor) { return buildSplit(b, loc, tensor, 1, {kShortLanes, kShortsPerLane}); };
  Value zeros = buildZeroSums(b, loc, {m, n, kShortLanes});
  auto partial = linalg::GenericOp::create(
      b, loc, zeros.getType(), ValueRange{split(rows), split(keys)}, zeros,
      ArrayRef<AffineMap>{map({row, step, lane, part}), map({key, step, lane, part}), map({row, key, lane})},
      ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::parallel, IteratorType::reduction,
               IteratorType::reduction},
      buildMultiplyAdd);
  AffineMap all = b.getMultiDimIdentityMap(3);
  return linalg::GenericOp::create(b, loc, RankedTensorType::get({m, n}, b.getI32Type()), partial.getResult(0),
                                   buildZeroSums(b, loc, {m, n}), ArrayRef<AffineMap>{all, all.getMajorSubMap(2)},
                                   ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::reduction},
                                   [](OpBuilder &nested, Location l, ValueRange args) {
                                     linalg::YieldOp::create(
                                         nested, l, arith::AddIOp::create(nested, l, args[1], args[0]).getResult());
                                   })
      .getResult(0);
}

Value buildShortContraction(OpBuilder &b, Location loc, Value rows, Value values, Value init) {
  AffineExpr row, lane, word, part;
  bindDims(b.getContext(), row, lane, word, part);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, b.getContext()); };
  return linalg::GenericOp::create(
             b, loc, init.getType(),
             ValueRange{buildSplit(b, loc, rows, 1, kShortsPerLane), buildSplit(b, loc, values, 0, kShortsPerLane)},
             init, ArrayRef<AffineMap>{map({row, word, part}), map({word, part, lane}), map({row, lane})},
             ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::reduction, IteratorType::reduction},
             buildMultiplyAdd)
      .getResult(0);
}

Value buildFromShorts(OpBuilder &b, Location loc, Value sums, MappedTensor unit, MappedTensor out, bool isAdded) {
  return buildGeneric(
      b, loc, {MappedTensor{sums, out.map}, unit}, out, [&](OpBuilder &nested, Location l, ValueRange args) {
        return buildFromFixed(nested, l, buildToF32(nested, l, args[0]), args[1], isAdded ? args.back() : Value());
      });
}

} // namespace mlir::gqa
