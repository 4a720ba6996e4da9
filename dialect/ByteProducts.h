#ifndef GQA_DIALECT_BYTEPRODUCTS_H
#define GQA_DIALECT_BYTEPRODUCTS_H

#include "dialect/FixedPoint.h"

/// Products of f32 rows with keys and values of 8 or 4 bits, in integers. The rows become fixed-point numbers of three
/// bytes, each of which is multiplied like a row of its own: matrix units multiply four bytes where they multiply one
/// f32, and have more rows than a group of query heads fills.
///
/// A word is four bytes that lie side by side, as integer dot products take them.
namespace mlir::gqa {

/// Rows, lanes and words of a register of a matrix unit: 16 rows of 64 bytes.
constexpr int64_t kMatrixTile = 16;

constexpr int64_t kBytesPerWord = 4;

/// rows[m, k] is unit[m] times the sum over i of 256^i * digits[i * rows + m, k] to 2^-24 of the row's largest
/// magnitude.
struct FixedPoint {
  Value digits;      ///< i8 [padded, k]: three times the rows, and up to a multiple of 16 more, which hold anything
  MappedTensor unit; ///< f32 [m]
};

/// `rows` [m, k] in f32 as fixed-point numbers.
FixedPoint buildFixedPoint(OpBuilder &builder, Location loc, MappedTensor rows);

/// `packed`, bytes [n, d / 2] of two 4-bit integers each, as [n, d] of `element`, i8 or f32.
Value buildUnpacked(OpBuilder &builder, Location loc, Value packed, Type element);

/// [rows, k] as words, [k / 4, rows, 4].
Value buildWordsOfRows(OpBuilder &builder, Location loc, Value bytes);

/// [k, lanes] as words of one lane, [k / 4, lanes, 4].
Value buildWordsOfLanes(OpBuilder &builder, Location loc, Value bytes);

/// The sum over k of rows[row, k] * words[k / 4, lane, k % 4], i32 [row, lane].
Value buildWordContraction(OpBuilder &builder, Location loc, Value rows, Value words);

/// What fixed-point rows with `unit` make of `sums`, i32 [padded, x] with a row for each digit: written to `out`, f32
/// [m, x], or, where `isAdded`, added to it.
Value buildFromDigits(OpBuilder &builder, Location loc, Value sums, MappedTensor unit, MappedTensor out, bool isAdded);

/// [n, padded] as [padded, n].
Value buildTransposed(OpBuilder &builder, Location loc, Value sums);

} // namespace mlir::gqa

#endif // GQA_DIALECT_BYTEPRODUCTS_H
