#ifndef GQA_PASSES_PAIRPRODUCTS_H
#define GQA_PASSES_PAIRPRODUCTS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

/// Products of pairs of bf16, as `vdpbf16ps` makes them: the linalg ops that OnlineDecomposition writes for them, and
/// their vector form.
namespace mlir::gqa {

/// out[row, lane] += rows[..., half] * lanes[pair, lane, half] over loops (row, lane, pair, half) with two halves.
bool isPairContraction(linalg::LinalgOp op);

/// out[pair, lane, half] = in[pair, half, lane], converted to bf16: brings the halves of pairs together.
bool isPairInterleave(linalg::LinalgOp op);

/// The vector form of a block of one pair: one dot-product instruction per row and vector of lanes.
Value vectorizePairContraction(RewriterBase &rewriter, linalg::LinalgOp op);

/// The vector form of a block of one pair.
Value vectorizePairInterleave(RewriterBase &rewriter, linalg::LinalgOp op);

} // namespace mlir::gqa

#endif // GQA_PASSES_PAIRPRODUCTS_H
