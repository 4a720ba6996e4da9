#ifndef GQA_PASSES_RAISE_STRIPREPEATS_H
#define GQA_PASSES_RAISE_STRIPREPEATS_H

#include "passes/raise/Trace.h"

namespace mlir::gqa::raise {

/// Computes tensors anew for one head of each group, where frontends first repeat heads and then compute: normalisation
/// or rotary embedding of repeated keys is a repeat of normalised or rotated keys.
class RepeatStripper {
public:
  RepeatStripper(OpBuilder &b, Tracer &tracer) : b(b), tracer(tracer) {}

  /// Elements 0, group, 2 * group... of `tensor` along `dim`, if each is the same as the group - 1 that follow it; null
  /// otherwise. New ops stand behind those that they are copies of.
  Value strip(Value tensor, unsigned dim, int64_t group);
  /// Erases what was built.
  void undo();

private:
  Value skipCopies(Value tensor);
  Value build(Value tensor, unsigned dim, int64_t group);
  Value buildLinalg(linalg::LinalgOp op, unsigned result, unsigned dim, int64_t group);
  std::optional<SmallVector<Value>> stripExtracts(linalg::LinalgOp op, unsigned loop, int64_t group);
  Value buildElementwise(Operation *op, unsigned dim, int64_t group);
  Value buildCollapse(Operation *op, unsigned dim, int64_t group);
  Value buildExpand(Operation *op, unsigned dim, int64_t group);
  Value buildPieces(Operation *op, unsigned dim, int64_t group);
  Value buildExtract(Operation *op, unsigned dim, int64_t group);
  /// Every `group`-th slice of a tensor that only moves elements, whatever spells it.
  Value buildSlice(Value tensor, unsigned dim, int64_t group);

  OpBuilder &b;
  Tracer &tracer;
  SmallVector<Operation *> created;
  DenseMap<std::pair<Value, std::pair<unsigned, int64_t>>, Value> known;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_STRIPREPEATS_H
