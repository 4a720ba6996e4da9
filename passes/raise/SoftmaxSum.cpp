// What the weights of a softmax are divided by, and where they are set to 0.

#include "passes/raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace mlir::gqa::raise {

bool SoftmaxMatcher::hasSameTerms(ArrayRef<SignedTerm> a, ArrayRef<SignedTerm> b) {
  if (a.size() != b.size())
    return false;
  SmallVector<SignedTerm> rest(b);
  for (const SignedTerm &term : a) {
    auto *same = llvm::find_if(rest, [&](const SignedTerm &other) {
      return other.sign == term.sign && isEqual(other.expr, term.expr, tracer.loops);
    });
    if (same == rest.end())
      return false;
    rest.erase(same);
  }
  return true;
}

std::optional<Mismatch> SoftmaxMatcher::matchSum(Operation *op) {
  terms = getSummands(exponent);
  if (divisors.size() > 1)
    return Mismatch{op, "divides the weights more than once"};
  if (divisors.size() == 1)
    return matchDivisor(divisors[0]);
  // exp(scores - log(sum)) divides, too.
  auto *logarithm = llvm::find_if(
      terms, [](const SignedTerm &term) { return term.sign < 0 && skipCasts(term.expr)->isOp<math::LogOp>(); });
  if (logarithm == terms.end())
    return Mismatch{op, "has weights that nothing divides by their sum"};
  hasSum = isSumInExponent = true;
  ExprRef sum = skipCasts(logarithm->expr)->operands[0];
  terms.erase(logarithm);
  return matchDivisor(sum);
}

std::optional<Mismatch> SoftmaxMatcher::matchDivisor(ExprRef divisor) {
  divisor = skipCasts(tracer.expandAll(divisor));
  if (dependsOn(divisor, softmax.keyLoop, tracer.loops))
    return Mismatch{divisor->origin, "divides by something that varies along the keys"};
  if (divisor->isOp<math::AbsFOp>())
    return matchDivisor(divisor->operands[0]);
  // A bound below any sum that a row with a key has: the maximum has the weight 1.
  if (divisor->isAnyOp<arith::MaximumFOp, arith::MaxNumFOp>())
    for (unsigned i : {0u, 1u})
      if (std::optional<double> bound = getNumber(divisor->operands[i]); bound && *bound <= 1e-6)
        return matchDivisor(divisor->operands[1 - i]);
  // A sum of 0 replaced by something else.
  if (divisor->isOp<arith::SelectOp>())
    for (unsigned i : {1u, 2u}) {
      ExprRef test = divisor->operands[0], sum = divisor->operands[3 - i];
      bool isZeroTest = test->isOp<arith::CmpFOp>() && getNumber(test->operands[1]) == 0.0 &&
                        isEqual(skipCasts(test->operands[0]), skipCasts(sum), tracer.loops);
      if (getNumber(divisor->operands[i]) && isZeroTest)
        return matchDivisor(sum);
    }
  if (divisor->isOp<arith::AddFOp>())
    for (unsigned i : {0u, 1u}) {
      ExprRef load = skipCasts(divisor->operands[i]);
      if (load->kind != Expr::Kind::load)
        continue;
      if (std::optional<Mismatch> mismatch = matchSumOp(load))
        return mismatch;
      return matchExtra(divisor->origin, divisor->operands[1 - i]);
    }
  if (divisor->kind != Expr::Kind::load)
    return Mismatch{divisor->origin, "divides the weights by something else than their sum"};
  return matchSumOp(divisor);
}

std::optional<Mismatch> SoftmaxMatcher::matchSumOp(ExprRef load) {
  auto op = load->value.getDefiningOp<linalg::LinalgOp>();
  SmallVector<int64_t> extents = op ? Tracer::getReductionExtents(op) : SmallVector<int64_t>();
  if (extents.size() != 1)
    return Mismatch{load->origin ? load->origin : softmax.root.getDefiningOp(), "is no sum over the keys"};
  ExprRef key = tracer.exprs.getIndex(softmax.keyLoop);
  if (extents[0] == keyExtent) {
    ExprRef summand = openSum(load, {key});
    return summand ? matchSummand(op, summand) : Mismatch{op, "is no sum that starts from 0"};
  }
  if (ShapedType::isDynamic(keyExtent) || extents[0] != keyExtent + 1)
    return Mismatch{op, "sums over another number of keys than the contraction"};
  // One column more, behind the keys or in front of them.
  Type type = key->type;
  std::optional<Mismatch> mismatch;
  for (int64_t first : {0, 1}) {
    ExprRef keys = openSum(load, {tracer.exprs.addIndex(key, tracer.exprs.getNumber(first, type))});
    ExprRef extra = openSum(load, {tracer.exprs.getNumber(first == 0 ? keyExtent : 0, type)});
    if (!keys || !extra)
      return Mismatch{op, "is no sum that starts from 0"};
    mismatch = matchSummand(op, keys);
    if (!mismatch)
      return matchExtra(op, extra);
  }
  return mismatch;
}

std::optional<Mismatch> SoftmaxMatcher::matchSummand(Operation *op, ExprRef summand) {
  Product product;
  flatten(summand, /*isDivisor=*/false, Expand::all, product);
  bool isExponential = product.factors.size() == 1 && product.factors[0]->isAnyOp<math::ExpOp, math::Exp2Op>() &&
                       product.divisors.empty() && product.constant == 1;
  if (!isExponential || product.factors[0]->isOp<math::Exp2Op>() != isBase2)
    return Mismatch{op, "sums something else than the weights"};
  if (!hasSameTerms(getSummands(tracer.expandAll(product.factors[0]->operands[0])), terms))
    return Mismatch{op, "sums something else than the weights over the keys"};
  sumKept = product.kept;
  return std::nullopt;
}

/// What joins the sum is exp(sink - shifts), with the shifts of the weights; a plain number n is exp(log n).
std::optional<Mismatch> SoftmaxMatcher::matchExtra(Operation *op, ExprRef extra) {
  Product product;
  flatten(extra, /*isDivisor=*/false, Expand::all, product);
  SmallVector<SignedTerm> rest;
  if (product.factors.size() == 1 && product.factors[0]->isAnyOp<math::ExpOp, math::Exp2Op>())
    rest = getSummands(tracer.expandAll(product.factors[0]->operands[0]));
  else if (!product.factors.empty())
    return Mismatch{op, "adds something else than an exponential to the sum"};
  if (!product.divisors.empty() || !product.kept.empty() || !(product.constant > 0))
    return Mismatch{op, "adds something else than an exponential to the sum"};
  if (isBase2)
    return Mismatch{op, "adds a power of 2 to the sum"};
  // The shifts of the weights must be there, so that they cancel.
  for (const SignedTerm &shift : terms) {
    if (dependsOn(shift.expr, softmax.keyLoop, tracer.loops))
      continue;
    auto *same = llvm::find_if(rest, [&](const SignedTerm &term) {
      return term.sign == shift.sign && isEqual(term.expr, shift.expr, tracer.loops);
    });
    if (same == rest.end())
      return Mismatch{op, "adds a number to the sum that the row's maximum does not scale"};
    rest.erase(same);
  }
  Type f32 = Float32Type::get(tracer.exprs.getContext());
  if (rest.empty()) {
    softmax.sink = tracer.exprs.getNumber(std::log(product.constant), f32);
    return std::nullopt;
  }
  if (rest.size() != 1 || rest[0].sign < 0 || product.constant != 1)
    return Mismatch{op, "adds something else than one sink to the sum"};
  softmax.sink = rest[0].expr;
  return std::nullopt;
}

//===-- Where weights are 0 ---------------------------------------------------------------------------------------===//

/// Weights set to 0 both where they are multiplied and where they are summed belong to masked keys. Weights of whole
/// rows may be set to 0 if the test is one for a row without keys.
std::optional<Mismatch> SoftmaxMatcher::matchKept(Operation *op) {
  SmallVector<ExprRef> &masks = softmax.scores.masks;
  for (SmallVector<ExprRef> *conditions : {&kept, &sumKept})
    for (ExprRef &condition : *conditions)
      condition = tracer.expandAll(condition);
  auto isAmong = [&](ExprRef condition, ArrayRef<ExprRef> conditions) {
    return llvm::any_of(conditions, [&](ExprRef other) { return isEqual(condition, other, tracer.loops); });
  };
  SmallVector<ExprRef> added;
  auto check = [&](ArrayRef<ExprRef> conditions, ArrayRef<ExprRef> others) {
    for (ExprRef condition : conditions) {
      bool isPerKey = dependsOn(condition, softmax.keyLoop, tracer.loops);
      if (isAmong(condition, masks) || isEmptyRowTest(tracer.exprs.getNot(condition)))
        continue;
      if (!isAmong(condition, others))
        return false;
      if (isPerKey && !isAmong(condition, added))
        added.push_back(condition);
    }
    return true;
  };
  if (!check(kept, sumKept) || !check(sumKept, kept))
    return Mismatch{op, "multiplies weights that are masked after their sum was taken"};
  masks.append(added);
  return std::nullopt;
}

/// Whether `test` is true only for a row all of whose keys are masked.
bool SoftmaxMatcher::isEmptyRowTest(ExprRef test) {
  test = skipCasts(test);
  bool isNegated = test->isOp<arith::XOrIOp>() && getNumber(test->operands[1]) == 1.0;
  ExprRef load = isNegated ? skipCasts(test->operands[0]) : test;
  bool isMinusInfinity = false;
  // A number that is not itself is NaN, and only such rows have one.
  if (load->isOp<arith::CmpFOp>() && isEqual(load->operands[0], load->operands[1], tracer.loops)) {
    auto predicate = cast<arith::CmpFPredicateAttr>(load->attributes.get("predicate")).getValue();
    return isNegated ? predicate == arith::CmpFPredicate::OEQ || predicate == arith::CmpFPredicate::ORD
                     : predicate == arith::CmpFPredicate::UNE || predicate == arith::CmpFPredicate::UNO;
  }
  if (test->isOp<arith::CmpFOp>()) {
    auto predicate = cast<arith::CmpFPredicateAttr>(test->attributes.get("predicate")).getValue();
    isMinusInfinity = getNumber(test->operands[1]) == -INFINITY &&
                      (predicate == arith::CmpFPredicate::OEQ || predicate == arith::CmpFPredicate::UEQ);
    load = skipCasts(test->operands[0]);
  }
  std::optional<Tracer::Step> step = tracer.open(load, {tracer.exprs.getIndex(softmax.keyLoop)});
  if (!step || Tracer::getReductionExtents(step->op)[0] != keyExtent)
    return false;
  ExprRef value = skipCasts(step->value);
  if (value->operands.size() != 2)
    return false;
  bool isFirst = skipCasts(value->operands[0]) == step->accumulator;
  if (!isFirst && skipCasts(value->operands[1]) != step->accumulator)
    return false;
  ExprRef element = tracer.expandAll(value->operands[isFirst ? 1 : 0]);
  if (isMinusInfinity)
    return value->isAnyOp<arith::MaximumFOp, arith::MaxNumFOp>() && isPartOfScores(element);
  if (isNegated)
    return value->isAnyOp<arith::OrIOp, arith::MaxUIOp>() && isMaskedTest(tracer.exprs.getNot(element));
  return value->isAnyOp<arith::AndIOp, arith::MinUIOp>() && isMaskedTest(element);
}

/// Whether `test` is true only for a key that is masked.
bool SoftmaxMatcher::isMaskedTest(ExprRef test) {
  test = skipCasts(test);
  ExprRef visible = tracer.exprs.getNot(test);
  if (llvm::any_of(softmax.scores.masks, [&](ExprRef mask) { return isEqual(mask, visible, tracer.loops); }))
    return true;
  bool isNegated = test->isOp<arith::XOrIOp>();
  ExprRef compare = isNegated ? test->operands[0] : test;
  if (!compare->isOp<arith::CmpFOp>() || getNumber(compare->operands[1]) != -INFINITY)
    return false;
  auto predicate = cast<arith::CmpFPredicateAttr>(compare->attributes.get("predicate")).getValue();
  bool isEquality = predicate == arith::CmpFPredicate::OEQ || predicate == arith::CmpFPredicate::UEQ;
  bool isInequality = predicate == arith::CmpFPredicate::ONE || predicate == arith::CmpFPredicate::UNE;
  return (isNegated ? isInequality : isEquality) && isPartOfScores(compare->operands[0]);
}

/// Whether all summands of `expr` are summands of the scores: if it is -inf, so is the score.
bool SoftmaxMatcher::isPartOfScores(ExprRef expr) {
  return llvm::all_of(getSummands(expr), [&](const SignedTerm &term) {
    return llvm::any_of(terms, [&](const SignedTerm &other) {
      return term.sign == other.sign && isEqual(term.expr, other.expr, tracer.loops);
    });
  });
}

} // namespace mlir::gqa::raise
