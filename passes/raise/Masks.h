#ifndef GQA_PASSES_RAISE_MASKS_H
#define GQA_PASSES_RAISE_MASKS_H

#include "passes/raise/Trace.h"

namespace mlir::gqa::raise {

/// An integer: a constant and multiples of expressions that vary along neither rows nor keys.
struct Offset {
  int64_t constant = 0;
  SmallVector<std::pair<int64_t, ExprRef>> terms;
};

/// `offset` as an expression of type i64.
ExprRef getOffset(const Offset &offset, Exprs &exprs);

/// a - b, if it is a constant.
std::optional<int64_t> getDifference(const Offset &a, const Offset &b, const Loops &loops);

/// Masks sorted by what they say of row m and key n.
struct PositionMasks {
  SmallVector<Offset> uppers, lowers; ///< n <= m + upper; n >= m + lower
  SmallVector<Offset> lengths;        ///< n < length
  SmallVector<ExprRef> others;        ///< everything else; true where a key is visible
};

/// Takes conditions apart into comparisons of positions. They hold all at once: a conjunction is two conditions.
class MaskReader {
public:
  MaskReader(Tracer &tracer, Loop keyLoop) : tracer(tracer), keyLoop(keyLoop) {}

  /// The loop that some condition compares with the keys, among `rows`.
  std::optional<Loop> findRowLoop(ArrayRef<ExprRef> masks, ArrayRef<Loop> rows);

  /// Offsets and lengths are made of expressions that `isPerBatch`; comparisons with others stay as they are.
  PositionMasks read(ArrayRef<ExprRef> masks, std::optional<Loop> rowLoop,
                     llvm::function_ref<bool(ExprRef)> isPerBatch);

private:
  /// index + terms <= 0
  struct Inequality {
    Linear index;
    SmallVector<std::pair<int64_t, ExprRef>> terms;
  };
  /// A condition that is no conjunction: inequalities that hold all at once, if it is such.
  struct Clause {
    ExprRef condition;
    SmallVector<Inequality> inequalities;
  };

  void split(ExprRef condition, bool isNegated, SmallVectorImpl<Clause> &clauses);
  std::optional<SmallVector<Inequality>> readComparison(ExprRef compare, bool isNegated);
  std::optional<Inequality> readSum(ExprRef expr);
  bool addInequality(const Inequality &inequality, std::optional<Loop> rowLoop, PositionMasks &masks,
                     llvm::function_ref<bool(ExprRef)> isPerBatch);

  Tracer &tracer;
  Loop keyLoop;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_MASKS_H
