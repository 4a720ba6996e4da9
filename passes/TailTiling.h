#ifndef GQA_PASSES_TAILTILING_H
#define GQA_PASSES_TAILTILING_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {

/// How one loop is cut: into as many whole steps of `steps[0]` as fit, then of `steps[1]`, and so on. Each step divides
/// the one before, and the last is 1 unless the extent is static and the others cover it.
struct LoopSteps {
  unsigned loop;
  SmallVector<int64_t> steps;
  /// For a reduction, last in the order: steps of more than 1 are combined lane by lane, and the lanes once at the end.
  bool keepsLanes = false;
};

/// Whether the loops of `op` with `keepsLanes` can be: its outputs have one combiner each, which has a neutral element.
bool canKeepLanes(linalg::LinalgOp op);

/// Replaces `op`, on tensors, by nested sequential loops, outermost first in `order`, around copies of it on tiles of
/// static size.
LogicalResult tileWithTails(RewriterBase &rewriter, linalg::LinalgOp op, ArrayRef<LoopSteps> order);

} // namespace mlir::gqa

#endif // GQA_PASSES_TAILTILING_H
