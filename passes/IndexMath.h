#ifndef GQA_PASSES_INDEXMATH_H
#define GQA_PASSES_INDEXMATH_H

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/IR/Builders.h"

namespace mlir::gqa {

/// Index arithmetic that folds constants, on signed values.
struct IndexMath {
  OpBuilder &b;
  Location loc;

  OpFoldResult constant(int64_t value) const { return b.getIndexAttr(value); }
  OpFoldResult add(OpFoldResult lhs, OpFoldResult rhs) const { return apply(d(0) + d(1), {lhs, rhs}); }
  OpFoldResult add(OpFoldResult lhs, int64_t rhs) const { return apply(d(0) + rhs, {lhs}); }
  OpFoldResult sub(OpFoldResult lhs, OpFoldResult rhs) const { return apply(d(0) - d(1), {lhs, rhs}); }
  OpFoldResult mul(OpFoldResult lhs, int64_t rhs) const { return apply(d(0) * rhs, {lhs}); }
  OpFoldResult floorDiv(OpFoldResult lhs, int64_t rhs) const { return apply(d(0).floorDiv(rhs), {lhs}); }
  OpFoldResult ceilDiv(OpFoldResult lhs, int64_t rhs) const { return apply(d(0).ceilDiv(rhs), {lhs}); }
  OpFoldResult min(OpFoldResult lhs, OpFoldResult rhs) const {
    return affine::makeComposedFoldedAffineMin(b, loc, AffineMap::get(2, 0, {d(0), d(1)}, b.getContext()), {lhs, rhs});
  }
  OpFoldResult max(OpFoldResult lhs, OpFoldResult rhs) const {
    return affine::makeComposedFoldedAffineMax(b, loc, AffineMap::get(2, 0, {d(0), d(1)}, b.getContext()), {lhs, rhs});
  }
  /// The largest multiple of `step` up to `value`.
  OpFoldResult roundDown(OpFoldResult value, int64_t step) const { return apply(d(0).floorDiv(step) * step, {value}); }
  Value value(OpFoldResult ofr) const { return getValueOrCreateConstantIndexOp(b, loc, ofr); }

  /// How much of `extent` the tile of `size` at `offset`, a multiple of `size`, covers.
  OpFoldResult tileSize(OpFoldResult offset, OpFoldResult extent, int64_t size) const {
    std::optional<int64_t> constantExtent = getConstantIntValue(extent);
    if (size == 1 || (constantExtent && *constantExtent % size == 0))
      return constant(size);
    return min(constant(size), sub(extent, offset));
  }

private:
  AffineExpr d(unsigned position) const { return b.getAffineDimExpr(position); }
  OpFoldResult apply(AffineExpr expr, ArrayRef<OpFoldResult> operands) const {
    return affine::makeComposedFoldedAffineApply(b, loc, expr, operands);
  }
};

} // namespace mlir::gqa

#endif // GQA_PASSES_INDEXMATH_H
