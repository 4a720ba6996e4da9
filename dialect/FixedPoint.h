#ifndef GQA_DIALECT_FIXEDPOINT_H
#define GQA_DIALECT_FIXEDPOINT_H

#include "dialect/OnlineSoftmax.h"

/// Rows of f32 as fixed-point numbers, integers that each row multiplies by a unit of its own. Sums of products of
/// integers are exact, in whatever order.
namespace mlir::gqa {

struct RowUnits {
  MappedTensor unit, inverse; ///< f32 [m]
};

/// Units that make the largest magnitude in each of `rows`, f32 [m, k], the integer `largest`. NaN and infinity in a
/// row make its unit NaN or infinite.
RowUnits buildRowUnits(OpBuilder &builder, Location loc, MappedTensor rows, double largest);

/// i1: whether the largest magnitude of one of `rows`, f32 [m, k], is more than `ratio` times the mean of its magnitudes.
Value buildHasOutlier(OpBuilder &builder, Location loc, MappedTensor rows, double ratio);

/// `value`, f32, times the inverse of its row's unit, rounded to i32.
Value buildFixed(OpBuilder &builder, Location loc, Value value, Value inverse);

/// `number`, integers in f32, times its row's unit: the new value of an element, or what is added to `old` where given.
Value buildFromFixed(OpBuilder &builder, Location loc, Value number, Value unit, Value old);

} // namespace mlir::gqa

#endif // GQA_DIALECT_FIXEDPOINT_H
