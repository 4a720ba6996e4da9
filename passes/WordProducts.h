#ifndef GQA_PASSES_WORDPRODUCTS_H
#define GQA_PASSES_WORDPRODUCTS_H

#include "dialect/ByteProducts.h"
#include "dialect/ShortProducts.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

/// Words of 32 bits, pairs of bf16, pairs of 16-bit integers or four bytes, whose elements are multiplied with another
/// word's and summed by one instruction (`vdpbf16ps`, `vpdpwssd`, `tdpbf16ps`, `tdpbssd`); and bytes of two 4-bit
/// elements: the linalg ops that OnlineDecomposition, ShortProducts and ByteProducts write for them, and their vector
/// form.
namespace mlir::gqa {

/// out[row, lane] += rows[..., part] * lanes[word, lane, part] over loops (row, lane, word, part).
bool isWordContraction(linalg::LinalgOp op);

/// out[row, lane] += rows[row, word, part] * lanes[word, part, lane], i16 times i8 in i32.
bool isShortContraction(linalg::LinalgOp op);

/// out[row, column, lane] += rows[row, step, lane, part] * columns[column, step, lane, part], i16 times i8 in i32.
bool isShortDot(linalg::LinalgOp op);

/// out[word, lane, part] = in[word, part, lane], which may become bf16 on the way: brings the parts of words together.
bool isWordInterleave(linalg::LinalgOp op);

/// out[lane, pair, half] = in[pair, half, lane], converted to bf16: a matrix of pairs, transposed.
bool isWordTransposition(linalg::LinalgOp op);

/// out[word, lane, part] = in[lane, word, part]: a matrix of whole words, transposed.
bool isWordExchange(linalg::LinalgOp op);

/// The mark of a word contraction that matrix instructions compute: it stays whole until its operands are buffers.
constexpr llvm::StringLiteral kMatrixTiles = "gqa.matrix_tiles";

/// The mark of such a contraction that starts from zeros instead of what its destination holds.
constexpr llvm::StringLiteral kFromZeros = "gqa.from_zeros";

/// The words that a matrix register takes of a row of `words`.
int64_t getMatrixDepth(int64_t words);

/// The vector form of a block of one word, of bf16 or 16-bit integers: one dot-product instruction per row and vector
/// of lanes.
Value vectorizeWordContraction(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a block: one dot-product instruction per row, column and step.
Value vectorizeShortDot(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a block of one word.
Value vectorizeWordInterleave(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a square block of words and lanes.
Value vectorizeWordTransposition(RewriterBase &rewriter, linalg::LinalgOp op);
Value vectorizeWordExchange(RewriterBase &rewriter, linalg::LinalgOp op);

/// out[row, byte, half] = the 4-bit element `half` of in[row, byte], as f32 or i8.
bool isNibbleUnpacking(linalg::LinalgOp op);

/// The vector form of a block of one row.
Value vectorizeNibbleUnpacking(RewriterBase &rewriter, linalg::LinalgOp op);

} // namespace mlir::gqa

#endif // GQA_PASSES_WORDPRODUCTS_H
