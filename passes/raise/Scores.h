#ifndef GQA_PASSES_RAISE_SCORES_H
#define GQA_PASSES_RAISE_SCORES_H

#include "passes/raise/Trace.h"

#include <string>

namespace mlir::gqa::raise {

/// Why a match ended, and where: "this op " and the reason.
struct Mismatch {
  Operation *op;
  std::string reason;
};

/// A summand.
struct SignedTerm {
  double sign;
  ExprRef expr;
};

/// `expr` as a sum.
SmallVector<SignedTerm> getSummands(ExprRef expr);

/// What is done to the products of query and key before the softmax: each step may appear once or not at all, in this
/// order: scale, softcap, biases, masks.
struct Scores {
  ExprRef products = nullptr; ///< the load of the contraction
  double scale = 1;
  SmallVector<ExprRef> factors; ///< further factors, which do not vary along the keys
  std::optional<double> softcap;
  SmallVector<ExprRef> biases;
  SmallVector<ExprRef> masks; ///< true where a key is visible
  SmallVector<SignedTerm>
      shifts;                 ///< added, but the same for all keys of a row: without effect, unless the sum lacks it
  bool lacksRowTerms = false; ///< biases came with more that is the same for all keys of a row
};

/// A select fill that no score can compete with: a masked key then has no weight in a row that has any other key.
bool isMaskFill(double fill);

/// Reads the exponents of a softmax, fully expanded, as `scores`; `keyLoop` is the loop over keys. The products are the
/// contraction that is the first to vary along the keys.
class ScoreMatcher {
public:
  ScoreMatcher(Tracer &tracer, Loop keyLoop, Scores &scores) : tracer(tracer), keyLoop(keyLoop), scores(scores) {}

  std::optional<Mismatch> match(ExprRef exponent, double factor);

private:
  std::optional<Mismatch> peel(ExprRef expr, double factor);
  std::optional<Mismatch> peelSum(ExprRef expr, double factor);
  std::optional<Mismatch> peelFactor(ExprRef expr, double factor);
  std::optional<Mismatch> peelCap(ExprRef expr, double factor);
  std::optional<Mismatch> peelMask(ExprRef select, double factor);
  std::optional<Mismatch> peelGate(ExprRef product, ExprRef inner, ExprRef gate, double factor);
  std::optional<Mismatch> matchGates();
  /// An added term: masks if all it says is 0 or a masking fill, a bias otherwise.
  void addTerm(ExprRef expr, double factor);
  void addBias(ExprRef expr, double factor);
  ExprRef dropRowTerms(ExprRef expr);

  bool isProducts(ExprRef expr);
  bool hasProducts(ExprRef expr);

  Tracer &tracer;
  Loop keyLoop;
  Scores &scores;
  /// Products that make scores 0 where the condition is false: these must be masked as well.
  SmallVector<std::pair<Operation *, ExprRef>> gates;
  DenseMap<ExprRef, bool> containsProducts;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_SCORES_H
