#include "passes/raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace mlir::gqa::raise {

static bool isExponential(ExprRef expr) { return expr->isAnyOp<math::ExpOp, math::Exp2Op>(); }

SmallVector<ExprRef> Softmax::getOperands() const {
  SmallVector<ExprRef> operands = {query, key, value};
  for (const SmallVector<ExprRef> &exprs : {scores.factors, scores.biases, scores.masks})
    operands.append(exprs);
  if (sink)
    operands.push_back(sink);
  return operands;
}

std::optional<Mismatch> SoftmaxMatcher::match(Value root, linalg::LinalgOp contraction) {
  softmax.root = root;
  if (std::optional<Mismatch> mismatch = matchContraction(contraction))
    return mismatch;
  ScoreMatcher scores(tracer, softmax.keyLoop, softmax.scores);
  std::optional<Mismatch> inScores = scores.match(exponent, isBase2 ? std::log(2.0) : 1.0);
  if (std::optional<Mismatch> mismatch = matchSum(contraction))
    return mismatch;
  if (inScores)
    return inScores;
  if (std::optional<Mismatch> mismatch = matchKept(contraction))
    return mismatch;
  return matchProducts();
}

/// `expr` without the numbers that stand in for some of its values.
static ExprRef skipReplacements(ExprRef expr) {
  expr = skipCasts(expr);
  while (expr->isOp<arith::SelectOp>() && (getNumber(expr->operands[1]) || getNumber(expr->operands[2])))
    expr = skipCasts(expr->operands[getNumber(expr->operands[1]) ? 2 : 1]);
  return expr;
}

void SoftmaxMatcher::flatten(ExprRef expr, bool isDivisor, Expand expand, Product &product) {
  expr = skipCasts(expr);
  auto inner = [&](ExprRef part, bool isInverted) { flatten(part, isDivisor != isInverted, expand, product); };
  if (std::optional<double> number = getNumber(expr)) {
    product.constant = isDivisor ? product.constant / *number : product.constant * *number;
    return;
  }
  if (expr->isAnyOp<arith::MulFOp, arith::DivFOp>()) {
    inner(expr->operands[0], false);
    return inner(expr->operands[1], expr->isOp<arith::DivFOp>());
  }
  if (expr->isOp<arith::SelectOp>() && !isDivisor) {
    // Zeros may come as a tensor.
    bool keepsTrue = getNumber(tracer.expandAll(expr->operands[2])) == 0.0;
    if (keepsTrue || getNumber(tracer.expandAll(expr->operands[1])) == 0.0) {
      product.kept.push_back(keepsTrue ? expr->operands[0] : tracer.exprs.getNot(expr->operands[0]));
      return inner(expr->operands[keepsTrue ? 1 : 2], false);
    }
    // Weights are finite: what stands in for infinite ones does not matter.
    ExprRef test = skipCasts(tracer.expandAll(expr->operands[0]));
    bool isInfinityTest =
        test->isOp<arith::CmpFOp>() && std::isinf(getNumber(test->operands[1]).value_or(0)) &&
        cast<arith::CmpFPredicateAttr>(test->attributes.get("predicate")).getValue() == arith::CmpFPredicate::OEQ;
    if (isInfinityTest && getNumber(tracer.expandAll(expr->operands[1])) &&
        isEqual(skipReplacements(test->operands[0]), skipReplacements(tracer.expandAll(expr->operands[2])),
                tracer.loops))
      return inner(expr->operands[2], false);
  }
  if (expr->isOp<arith::UIToFPOp>() && expr->operands[0]->type.isInteger(1) && !isDivisor) {
    product.kept.push_back(expr->operands[0]);
    return;
  }
  if (expr->isOp<math::PowFOp>() && getNumber(tracer.expandAll(expr->operands[0])) == 2.0)
    expr = tracer.exprs.getOp<math::Exp2Op>({expr->operands[1]}, expr->type);
  bool isExpanded = expand == Expand::all || (expand == Expand::weights && weights.contains(expr->origin));
  if (expr->kind == Expr::Kind::load && isExpanded)
    if (ExprRef expanded = tracer.expand(expr))
      return inner(expanded, false);
  (isDivisor ? product.divisors : product.factors).push_back(expr);
}

ExprRef SoftmaxMatcher::openSum(ExprRef load, ArrayRef<ExprRef> reductions) {
  std::optional<Tracer::Step> step = tracer.open(load, reductions);
  if (!step || getNumber(tracer.expandAll(step->init)) != 0.0)
    return nullptr;
  ExprRef sum = skipCasts(step->value);
  if (!sum->isOp<arith::AddFOp>())
    return nullptr;
  for (unsigned i : {0u, 1u})
    if (skipCasts(sum->operands[i]) == step->accumulator)
      return sum->operands[1 - i];
  return nullptr;
}

//===-- The second contraction ------------------------------------------------------------------------------------===//

std::optional<Mismatch> SoftmaxMatcher::matchContraction(linalg::LinalgOp contraction) {
  SmallVector<ExprRef> indices;
  for (int64_t extent : cast<RankedTensorType>(softmax.root.getType()).getShape()) {
    softmax.rootLoops.push_back(tracer.loops.create(extent));
    indices.push_back(tracer.exprs.getIndex(softmax.rootLoops.back()));
  }
  // Outside: a division by the sum may come after the contraction.
  Product outside;
  flatten(tracer.getLoad(softmax.root, indices), /*isDivisor=*/false, Expand::all, outside);
  Operation *rootOp = softmax.root.getDefiningOp();
  if (outside.factors.size() != 1 || outside.factors[0]->origin != contraction)
    return Mismatch{rootOp, "does more to the output than dividing it by a sum"};
  // Inside: one sum over the keys.
  SmallVector<int64_t> extents = Tracer::getReductionExtents(contraction);
  if (extents.size() != 1)
    return Mismatch{contraction, "does not sum over one dimension"};
  keyExtent = extents[0];
  softmax.keyLoop = tracer.loops.create(keyExtent, /*canSplit=*/false);
  ExprRef summand = openSum(outside.factors[0], {tracer.exprs.getIndex(softmax.keyLoop)});
  if (!summand)
    return Mismatch{contraction, "is no sum of products that starts from 0"};
  Product inside = outside;
  inside.factors.clear();
  flatten(summand, /*isDivisor=*/false, Expand::weights, inside);
  return matchFactors(contraction, inside);
}

std::optional<Mismatch> SoftmaxMatcher::matchFactors(Operation *op, const Product &product) {
  Product rest;
  rest.divisors = product.divisors;
  rest.kept = product.kept;
  rest.constant = product.constant;
  SmallVector<ExprRef> exponentials, values;
  for (ExprRef factor : product.factors) {
    if (isExponential(factor))
      exponentials.push_back(factor);
    else if (dependsOn(tracer.expandAll(factor), softmax.keyLoop, tracer.loops))
      values.push_back(factor);
    else
      flatten(factor, /*isDivisor=*/false, Expand::all, rest); // a reciprocal, perhaps
  }
  divisors = rest.divisors;
  kept = rest.kept;
  hasSum = !divisors.empty();
  if (exponentials.empty())
    return Mismatch{op, "multiplies no exponential"};
  isBase2 = exponentials[0]->isOp<math::Exp2Op>();
  exponent = tracer.expandAll(exponentials[0]->operands[0]);
  if (exponentials.size() != 1)
    return Mismatch{op, "multiplies more than one exponential"};
  if (values.size() != 1 || values[0]->kind != Expr::Kind::load)
    return Mismatch{op, "does not multiply the weights with one value"};
  if (!rest.factors.empty())
    return Mismatch{op, "multiplies the weights with something else than a value"};
  if (rest.constant != 1)
    return Mismatch{op, "multiplies the weights with a number"};
  softmax.value = values[0];
  return std::nullopt;
}

} // namespace mlir::gqa::raise
