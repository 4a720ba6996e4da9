#ifndef GQA_PASSES_NEXTITERATION_H
#define GQA_PASSES_NEXTITERATION_H

#include "mlir/Dialect/SCF/IR/SCF.h"

/// What prefetches of the next block need to know about the code that reads this one.
namespace mlir::gqa {

constexpr int64_t kCacheLineBytes = 64;

/// Into the second-level cache: the first is full of what the block at hand needs.
constexpr unsigned kPrefetchLocality = 2;

/// Whether `op` can be run early, for indices that it will meet later: it is pure, or a load that is safe wherever its
/// index comes from, as of a block table, since the index is bounded.
bool canRunEarly(Operation *op);

/// The views of `base`, from the outermost buffer inwards.
SmallVector<Operation *> getViews(Value base);

/// Values as they will be in the next iteration of a loop, computed beside those of this one.
class NextIteration {
public:
  explicit NextIteration(scf::ForOp loop) : loop(loop) {}

  /// Whether the loop's induction variable decides over `value`, by ops that can be run one iteration early.
  bool moves(Value value);

  /// `value`, which may move or not, one iteration on.
  Value get(Value value);

private:
  scf::ForOp loop;
  DenseMap<Value, Value> computed;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_NEXTITERATION_H
