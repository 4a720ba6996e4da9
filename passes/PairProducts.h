#ifndef GQA_PASSES_PAIRPRODUCTS_H
#define GQA_PASSES_PAIRPRODUCTS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

/// Pairs of elements that lie side by side: the linalg ops that OnlineDecomposition writes for products of pairs of
/// bf16, as `vdpbf16ps` makes them, and for bytes of two 4-bit elements; and their vector form.
namespace mlir::gqa {

/// out[row, lane] += rows[..., half] * lanes[pair, lane, half] over loops (row, lane, pair, half) with two halves.
bool isPairContraction(linalg::LinalgOp op);

/// out[pair, lane, half] = in[pair, half, lane], converted to bf16: brings the halves of pairs together.
bool isPairInterleave(linalg::LinalgOp op);

/// out[lane, pair, half] = in[pair, half, lane], converted to bf16: a matrix of pairs, transposed.
bool isPairTransposition(linalg::LinalgOp op);

/// Rows, lanes and pairs of a matrix register: 16 rows of 64 bytes.
constexpr int64_t kMatrixTile = 16;

/// The mark of a pair contraction that matrix instructions compute: it stays whole until its operands are buffers.
constexpr llvm::StringLiteral kMatrixTiles = "gqa.matrix_tiles";

/// The vector form of a block of one pair: one dot-product instruction per row and vector of lanes.
Value vectorizePairContraction(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a block of one pair.
Value vectorizePairInterleave(RewriterBase &rewriter, linalg::LinalgOp op);

/// out[row, byte, half] = f32 of the 4-bit element `half` of in[row, byte].
bool isNibbleUnpacking(linalg::LinalgOp op);

/// The vector form of a block of one row.
Value vectorizeNibbleUnpacking(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a square block of pairs and lanes.
Value vectorizePairTransposition(RewriterBase &rewriter, linalg::LinalgOp op);

} // namespace mlir::gqa

#endif // GQA_PASSES_PAIRPRODUCTS_H
