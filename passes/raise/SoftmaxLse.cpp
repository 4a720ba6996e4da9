// The logarithm of the sum of the exponentials as a second result: what merges attention over parts of the keys.

#include "passes/raise/Arrangement.h"
#include "passes/raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <algorithm>

namespace mlir::gqa::raise {

static SignedTerm *findLog(MutableArrayRef<SignedTerm> terms) {
  return llvm::find_if(
      terms, [](const SignedTerm &term) { return term.sign > 0 && skipCasts(term.expr)->isOp<math::LogOp>(); });
}

/// Whether an element of `value` is a logarithm, and perhaps something added to it.
static bool isLogarithm(Value value) {
  Loops loops;
  Tracer tracer(value.getContext(), loops);
  SmallVector<ExprRef> indices;
  for (int64_t extent : cast<RankedTensorType>(value.getType()).getShape())
    indices.push_back(tracer.exprs.getIndex(loops.create(extent)));
  SmallVector<SignedTerm> terms = getSummands(tracer.expandAll(tracer.getLoad(value, indices)));
  return findLog(terms) != terms.end();
}

std::optional<Lse> SoftmaxMatcher::matchLse(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  constexpr unsigned kMaxLoops = 4; // all orders of them are tried
  if (!type || !type.getElementType().isF32() || type.getRank() > kMaxLoops + 1 || !isLogarithm(value))
    return std::nullopt;
  SmallVector<Loop> rows;
  for (Loop root : softmax.rootLoops)
    for (auto [loop, coefficient] : tracer.loops.getIndex(root).getOutermostFirst())
      if (dependsOn(softmax.query, loop, tracer.loops))
        rows.push_back(loop);
  if (rows.size() > kMaxLoops)
    return std::nullopt;
  llvm::sort(rows);
  do {
    std::optional<SmallVector<int64_t>> groupSizes = groupLoops(rows, type.getShape(), tracer.loops);
    if (!groupSizes)
      continue;
    SmallVector<ExprRef> indices;
    ArrayRef<Loop> rest = rows;
    for (int64_t size : *groupSizes) {
      Linear index;
      for (Loop loop : rest.take_front(size))
        index = add(tracer.loops.getIndex(loop), index, tracer.loops.getExtent(loop));
      rest = rest.drop_front(size);
      indices.push_back(tracer.exprs.getIndex(index, IndexType::get(value.getContext())));
    }
    if (isLse(tracer.getLoad(value, indices)))
      return Lse{value, rows, *groupSizes};
  } while (std::next_permutation(rows.begin(), rows.end()));
  return std::nullopt;
}

/// log(sum(exp(scores - shift))) + shift, for the scores of this softmax.
bool SoftmaxMatcher::isLse(ExprRef load) {
  SmallVector<SignedTerm> rest = getSummands(tracer.expandAll(load));
  SignedTerm *logarithm = findLog(rest);
  if (logarithm == rest.end() || isBase2 || softmax.sink || !kept.empty() || !sumKept.empty())
    return false;
  ExprRef sum = skipCasts(skipCasts(logarithm->expr)->operands[0]);
  rest.erase(logarithm);
  if (sum->isOp<math::AbsFOp>()) // of a sum that is not negative
    sum = skipCasts(sum->operands[0]);
  auto op = sum->kind == Expr::Kind::load ? sum->value.getDefiningOp<linalg::LinalgOp>() : linalg::LinalgOp();
  if (!op || Tracer::getReductionExtents(op) != ArrayRef(keyExtent))
    return false;
  ExprRef summand = openSum(sum, {tracer.exprs.getIndex(softmax.keyLoop)});
  if (!summand)
    return false;
  Product product;
  flatten(summand, /*isDivisor=*/false, Expand::all, product);
  bool isExponential = product.factors.size() == 1 && product.factors[0]->isOp<math::ExpOp>() &&
                       product.divisors.empty() && product.kept.empty() && product.constant == 1;
  if (!isExponential)
    return false;
  SmallVector<SignedTerm> left;
  rest.append(getSummands(tracer.expandAll(product.factors[0]->operands[0])));
  for (const SignedTerm &term : rest) {
    auto *opposite = llvm::find_if(left, [&](const SignedTerm &other) {
      return other.sign == -term.sign && isEqual(other.expr, term.expr, tracer.loops);
    });
    if (opposite == left.end())
      left.push_back(term);
    else
      left.erase(opposite);
  }
  // The op's scores lack what raising drops, since it has no effect on the output: shifts inside of factors, terms of
  // rows in biases.
  SmallVector<SignedTerm> scores = llvm::filter_to_vector(
      terms, [&](const SignedTerm &term) { return dependsOn(term.expr, softmax.keyLoop, tracer.loops); });
  size_t shifts = terms.size() - scores.size() + (isSumInExponent ? 1 : 0);
  return softmax.scores.shifts.size() == shifts && !softmax.scores.lacksRowTerms && hasSameTerms(left, scores);
}

} // namespace mlir::gqa::raise
