#ifndef GQA_PASSES_RAISE_SOFTMAX_H
#define GQA_PASSES_RAISE_SOFTMAX_H

#include "passes/raise/Scores.h"

#include "llvm/ADT/DenseSet.h"

namespace mlir::gqa::raise {

/// A product as its factors.
struct Product {
  SmallVector<ExprRef> factors, divisors;
  SmallVector<ExprRef> kept; ///< conditions: where one is false, the product is 0
  double constant = 1;
};

/// A softmax between two contractions:
///   root[...] = sum_key weights[..., key] / sum(weights) * value[..., key, ...], weights = exp(scores)
struct Softmax {
  Value root;
  SmallVector<Loop> rootLoops;                             ///< one per dimension of the result
  ExprRef query = nullptr, key = nullptr, value = nullptr; ///< loads
  Loop keyLoop = 0, depthLoop = 0; ///< the loop over keys; the loop that a product of query and key sums over
  Scores scores;
  ExprRef sink = nullptr; ///< the exponent of what joins the sum of the weights, if not null

  /// All that the result is made of.
  SmallVector<ExprRef> getOperands() const;
};

/// The logarithm of the sum of a softmax's exponentials, one element per row.
struct Lse {
  Value value;
  SmallVector<Loop> loops;         ///< outermost first
  SmallVector<int64_t> groupSizes; ///< how many of them each dimension of `value` runs through
};

/// Matches the softmax whose weights `contraction` multiplies with a value, up to `root`, which is its result or what
/// becomes of that elementwise. `weights` are the ops that exponentials reach without a reduction in between.
class SoftmaxMatcher {
public:
  SoftmaxMatcher(Tracer &tracer, const llvm::DenseSet<Operation *> &weights) : tracer(tracer), weights(weights) {}

  std::optional<Mismatch> match(Value root, linalg::LinalgOp contraction);

  /// Whether `value` is the lse of the matched softmax.
  std::optional<Lse> matchLse(Value value);

  /// Whether there is a sum of exponentials to speak of: a mismatch is worth reporting only then.
  bool isSoftmax() const { return exponent && hasSum; }
  /// Whether there are exponentials, but nothing that divides by their sum.
  bool lacksSum() const { return exponent && !hasSum; }

  Softmax softmax;

private:
  enum class Expand { none, weights, all };
  /// Takes `expr` apart; loads are expanded as `expand` says.
  void flatten(ExprRef expr, bool isDivisor, Expand expand, Product &product);
  /// The summand of a sum over one loop that starts from 0.
  ExprRef openSum(ExprRef load, ArrayRef<ExprRef> reductions);

  // Softmax.cpp: the second contraction and the weights.
  std::optional<Mismatch> matchContraction(linalg::LinalgOp contraction);
  std::optional<Mismatch> matchFactors(Operation *op, const Product &product);

  // SoftmaxSum.cpp: what the weights are divided by.
  std::optional<Mismatch> matchSum(Operation *op);
  std::optional<Mismatch> matchDivisor(ExprRef divisor);
  std::optional<Mismatch> matchSumOp(ExprRef load);
  std::optional<Mismatch> matchSummand(Operation *op, ExprRef summand);
  std::optional<Mismatch> matchExtra(Operation *op, ExprRef extra);
  std::optional<Mismatch> matchKept(Operation *op);
  bool isEmptyRowTest(ExprRef test);
  bool isMaskedTest(ExprRef test);
  bool isPartOfScores(ExprRef expr);
  bool hasSameTerms(ArrayRef<SignedTerm> a, ArrayRef<SignedTerm> b);

  // SoftmaxLse.cpp
  bool isLse(ExprRef load);

  // SoftmaxProducts.cpp: the first contraction, and what the operands are copies of.
  std::optional<Mismatch> matchProducts();
  ExprRef followCopies(ExprRef load, double *scale);
  bool isView(ExprRef load);

  Tracer &tracer;
  const llvm::DenseSet<Operation *> &weights;
  int64_t keyExtent = 0;
  ExprRef exponent = nullptr;    // of the weights, fully expanded
  SmallVector<SignedTerm> terms; // the exponent as a sum, without the logarithm of the sum
  SmallVector<ExprRef> divisors;
  SmallVector<ExprRef> kept, sumKept; // where the weights, and what is summed, are not set to 0
  bool isBase2 = false, hasSum = false, isSumInExponent = false;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_SOFTMAX_H
