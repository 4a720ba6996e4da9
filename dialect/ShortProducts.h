#ifndef GQA_DIALECT_SHORTPRODUCTS_H
#define GQA_DIALECT_SHORTPRODUCTS_H

#include "dialect/FixedPoint.h"

/// Products of rows with keys and values of 8 or 4 bits, in integers of 16 bits: dot products of two such numbers
/// (`vpdpwssd` of AVX-512 VNNI) multiply twice as much as those of f32, and bytes take one conversion instead of two.
/// Rows keep more bits than f16 and bf16 have, but fewer than f32.
namespace mlir::gqa {

/// The parts of a dot product of 16-bit integers: lanes, and numbers in each.
constexpr int64_t kShortLanes = 16, kShortsPerLane = 2;

/// The largest magnitude in a query, as a multiple of their mean, that leaves the others enough of the bits.
constexpr double kMaxShortRatio = 16.0;

/// As many products as 32 bits hold the sum of.
constexpr int64_t kMaxShortProducts = 512;

/// rows[m, k] is unit[m] times numbers[m, k], i16, to 2^-16 of the row's largest magnitude.
struct ShortRows {
  Value numbers;
  MappedTensor unit;
};
ShortRows buildShortRows(OpBuilder &builder, Location loc, MappedTensor rows);

/// The sum over d of rows[m, d] * keys[n, d], i32 [m, n], for keys of i8 and multiples of 32 in d.
Value buildShortDots(OpBuilder &builder, Location loc, Value rows, Value keys);

/// init[m, d] + the sum over n of rows[m, n] * values[n, d], in i32, for values of i8 and even n.
Value buildShortContraction(OpBuilder &builder, Location loc, Value rows, Value values, Value init);

/// What rows with `unit` make of `sums`, i32 [m, x]: written to `out`, f32 [m, x], or, where `isAdded`, added to it.
Value buildFromShorts(OpBuilder &builder, Location loc, Value sums, MappedTensor unit, MappedTensor out, bool isAdded);

/// i32 zeros.
Value buildZeroSums(OpBuilder &builder, Location loc, ArrayRef<int64_t> shape);

} // namespace mlir::gqa

#endif // GQA_DIALECT_SHORTPRODUCTS_H
