#include "passes/raise/Scores.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

namespace mlir::gqa::raise {

bool isMaskFill(double fill) { return fill <= -1e4; }

static void collectSummands(ExprRef expr, double sign, SmallVectorImpl<SignedTerm> &summands) {
  expr = skipCasts(expr);
  if (expr->isAnyOp<arith::AddFOp, arith::SubFOp>()) {
    collectSummands(expr->operands[0], sign, summands);
    collectSummands(expr->operands[1], expr->isOp<arith::SubFOp>() ? -sign : sign, summands);
  } else if (expr->isOp<arith::NegFOp>()) {
    collectSummands(expr->operands[0], -sign, summands);
  } else if (getNumber(expr) != 0.0) {
    summands.push_back({sign, expr});
  }
}

SmallVector<SignedTerm> getSummands(ExprRef expr) {
  SmallVector<SignedTerm> summands;
  collectSummands(expr, 1, summands);
  return summands;
}

//===-- The products ----------------------------------------------------------------------------------------------===//

/// A load of a sum of products, both of which are read along loops.
bool ScoreMatcher::isProducts(ExprRef expr) {
  if (expr->kind != Expr::Kind::load || !dependsOn(expr, keyLoop, tracer.loops))
    return false;
  auto op = expr->value.getDefiningOp<linalg::LinalgOp>();
  return op && op.getNumReductionLoops() > 0 && op.getNumDpsInputs() >= 2 && op->getNumResults() == 1;
}

bool ScoreMatcher::hasProducts(ExprRef expr) {
  auto [entry, isNew] = containsProducts.try_emplace(expr, false);
  if (!isNew)
    return entry->second;
  bool result = isProducts(expr) || (expr->kind == Expr::Kind::op && llvm::any_of(expr->operands, [&](ExprRef operand) {
                                       return hasProducts(operand);
                                     }));
  return containsProducts[expr] = result;
}

//===-- Masks as numbers
//-------------------------------------------------------------------------------------------===//

namespace {

/// `value` where `condition` holds, 0 elsewhere.
struct Indicator {
  double value;
  ExprRef condition;
};

/// `expr` as an indicator, if it takes no other value than 0 and one more.
std::optional<Indicator> getIndicator(ExprRef expr, Exprs &exprs) {
  expr = skipCasts(expr);
  Type boolean = IntegerType::get(exprs.getContext(), 1);
  if (expr->kind == Expr::Kind::number)
    return Indicator{expr->number, exprs.getNumber(expr->number != 0, boolean)};
  if (expr->kind != Expr::Kind::op)
    return std::nullopt;
  if (expr->operands.size() == 1 && expr->operands[0]->type.isInteger(1) &&
      expr->isAnyOp<arith::UIToFPOp, arith::ExtUIOp>())
    return Indicator{1, expr->operands[0]};
  if (expr->isAnyOp<arith::SIToFPOp, arith::UIToFPOp>())
    return getIndicator(expr->operands[0], exprs);
  if (expr->isOp<arith::NegFOp>()) {
    std::optional<Indicator> inner = getIndicator(expr->operands[0], exprs);
    return inner ? std::optional(Indicator{-inner->value, inner->condition}) : std::nullopt;
  }
  if (expr->isOp<arith::SelectOp>()) {
    std::optional<Indicator> first = getIndicator(expr->operands[1], exprs);
    std::optional<Indicator> second = getIndicator(expr->operands[2], exprs);
    if (!first || !second || (first->value != 0 && second->value != 0 && first->value != second->value))
      return std::nullopt;
    ExprRef condition = expr->operands[0];
    ExprRef inFirst = exprs.getAnd(condition, first->condition);
    ExprRef inSecond = exprs.getAnd(exprs.getNot(condition), second->condition);
    return Indicator{first->value != 0 ? first->value : second->value,
                     exprs.getOp<arith::OrIOp>({inFirst, inSecond}, boolean)};
  }
  bool isSubtraction = expr->isAnyOp<arith::SubFOp, arith::SubIOp>();
  if (!isSubtraction && !expr->isAnyOp<arith::MulFOp, arith::MulIOp>())
    return std::nullopt;
  std::optional<Indicator> first = getIndicator(expr->operands[0], exprs);
  std::optional<Indicator> second = getIndicator(expr->operands[1], exprs);
  if (!first || !second)
    return std::nullopt;
  if (!isSubtraction) {
    // 0 * -inf is no 0, but nobody means that.
    return Indicator{first->value * second->value, exprs.getAnd(first->condition, second->condition)};
  }
  // 1 - indicator
  bool isComplement = getNumber(first->condition) == 1.0 && first->value == second->value;
  return isComplement ? std::optional(Indicator{first->value, exprs.getNot(second->condition)}) : std::nullopt;
}

} // namespace

//===-- From the outside in ---------------------------------------------------------------------------------------===//

std::optional<Mismatch> ScoreMatcher::match(ExprRef exponent, double factor) {
  if (!hasProducts(exponent))
    return Mismatch{exponent->origin, "has scores that do not come from a contraction"};
  if (std::optional<Mismatch> mismatch = peel(exponent, factor))
    return mismatch;
  if (!std::isfinite(scores.scale))
    return Mismatch{exponent->origin, "scales the scores by a number that is not finite"};
  return matchGates();
}

std::optional<Mismatch> ScoreMatcher::peel(ExprRef expr, double factor) {
  expr = skipCasts(expr);
  if (isProducts(expr)) {
    scores.products = expr;
    scores.scale *= factor;
    return std::nullopt;
  }
  if (expr->isAnyOp<arith::AddFOp, arith::SubFOp>())
    return peelSum(expr, factor);
  if (expr->isOp<arith::NegFOp>())
    return peel(expr->operands[0], -factor);
  if (expr->isOp<math::TanhOp>())
    return peelCap(expr, factor);
  if (expr->isAnyOp<arith::MulFOp, arith::DivFOp>())
    return peelFactor(expr, factor);
  if (expr->isOp<arith::SelectOp>())
    return peelMask(expr, factor);
  // A lower bound that no score reaches.
  if (expr->isAnyOp<arith::MaximumFOp, arith::MaxNumFOp>())
    for (unsigned i : {0u, 1u})
      if (std::optional<double> bound = getNumber(expr->operands[i]); bound && isMaskFill(*bound))
        return peel(expr->operands[1 - i], factor);
  return Mismatch{expr->origin, "does something to the scores that attention does not"};
}

std::optional<Mismatch> ScoreMatcher::peelSum(ExprRef expr, double factor) {
  ExprRef left = expr->operands[0], right = expr->operands[1];
  double rightFactor = expr->isOp<arith::SubFOp>() ? -factor : factor;
  bool isRight = !hasProducts(left);
  // Of two contractions, one is the products; the other one, such as a learned position bias, stays a bias.
  if (!isRight && hasProducts(right) && dependsOn(right, keyLoop, tracer.loops) && !isProducts(skipCasts(right)))
    return Mismatch{expr->origin, "adds the scores to themselves or to another contraction"};
  ExprRef inner = isRight ? right : left, term = isRight ? left : right;
  if (std::optional<Mismatch> mismatch = peel(inner, isRight ? rightFactor : factor))
    return mismatch;
  addTerm(term, isRight ? factor : rightFactor);
  return std::nullopt;
}

static constexpr llvm::StringLiteral kVaries = "scales the scores by something that varies along the keys";

std::optional<Mismatch> ScoreMatcher::peelFactor(ExprRef expr, double factor) {
  bool isDivision = expr->isOp<arith::DivFOp>();
  bool isRight = !hasProducts(expr->operands[0]);
  if (isRight && isDivision)
    return Mismatch{expr->origin, "divides by the scores"};
  ExprRef inner = expr->operands[isRight ? 1 : 0], other = expr->operands[isRight ? 0 : 1];
  if (hasProducts(other))
    return Mismatch{expr->origin, "multiplies the scores with themselves"};
  if (std::optional<double> number = getNumber(other)) {
    if (*number == 0)
      return Mismatch{expr->origin, "scales the scores by 0"};
    return peel(inner, isDivision ? factor / *number : factor * *number);
  }
  // A factor that is computed: only on the bare products, where it can move to the query.
  if (dependsOn(other, keyLoop, tracer.loops))
    return isDivision ? std::optional(Mismatch{expr->origin, kVaries.str()}) : peelGate(expr, inner, other, factor);
  size_t terms = scores.biases.size() + scores.masks.size() + scores.shifts.size();
  bool wasCapped = scores.softcap.has_value();
  if (std::optional<Mismatch> mismatch = peel(inner, factor))
    return mismatch;
  if (scores.biases.size() + scores.masks.size() + scores.shifts.size() != terms ||
      scores.softcap.has_value() != wasCapped)
    return Mismatch{expr->origin, "scales biased, capped or masked scores by something that is not constant"};
  scores.factors.push_back(
      isDivision ? tracer.exprs.getOp<arith::DivFOp>({tracer.exprs.getNumber(1, other->type), other}, other->type)
                 : other);
  return std::nullopt;
}

/// scores * mask + (1 - mask) * fill, as GPT-2 has it: a factor that is one number or 0.
std::optional<Mismatch> ScoreMatcher::peelGate(ExprRef product, ExprRef inner, ExprRef gate, double factor) {
  std::optional<Indicator> indicator = getIndicator(gate, tracer.exprs);
  if (!indicator || indicator->value == 0)
    return Mismatch{product->origin, kVaries.str()};
  gates.push_back({product->origin, indicator->condition});
  return peel(inner, factor * indicator->value);
}

std::optional<Mismatch> ScoreMatcher::matchGates() {
  for (const auto &gate : gates)
    if (llvm::none_of(scores.masks, [&](ExprRef mask) { return isEqual(mask, gate.second, tracer.loops); }))
      return Mismatch{gate.first, kVaries.str()};
  return std::nullopt;
}

/// factor * tanh(inner / softcap): a cap needs factor = softcap.
std::optional<Mismatch> ScoreMatcher::peelCap(ExprRef expr, double factor) {
  if (scores.softcap || factor <= 0)
    return Mismatch{expr->origin, "caps the scores twice or by a number that is not positive"};
  scores.softcap = factor;
  size_t terms = scores.biases.size() + scores.masks.size();
  if (std::optional<Mismatch> mismatch = peel(expr->operands[0], factor))
    return mismatch;
  if (scores.biases.size() + scores.masks.size() != terms || !scores.shifts.empty())
    return Mismatch{expr->origin, "caps the scores after a bias or a mask"};
  return std::nullopt;
}

std::optional<Mismatch> ScoreMatcher::peelMask(ExprRef select, double factor) {
  ExprRef condition = select->operands[0];
  if (hasProducts(condition))
    return Mismatch{select->origin, "masks the scores by themselves"};
  bool keepsTrue = hasProducts(select->operands[1]);
  ExprRef inner = select->operands[keepsTrue ? 1 : 2], fill = select->operands[keepsTrue ? 2 : 1];
  std::optional<double> number = getNumber(fill);
  if (!number || !isMaskFill(*number * factor))
    return Mismatch{select->origin, "selects something else than a masking fill"};
  if (std::optional<Mismatch> mismatch = peel(inner, factor))
    return mismatch;
  scores.masks.push_back(keepsTrue ? condition : tracer.exprs.getNot(condition));
  return std::nullopt;
}

//===-- Added terms -----------------------------------------------------------------------------------------------===//

void ScoreMatcher::addTerm(ExprRef expr, double factor) {
  for (SignedTerm term : getSummands(expr)) {
    double termFactor = factor * term.sign;
    if (!dependsOn(term.expr, keyLoop, tracer.loops)) {
      scores.shifts.push_back({termFactor, term.expr});
      continue;
    }
    std::optional<Indicator> indicator = getIndicator(term.expr, tracer.exprs);
    if (indicator && isMaskFill(indicator->value * termFactor)) {
      scores.masks.push_back(tracer.exprs.getNot(indicator->condition));
      continue;
    }
    addBias(term.expr, termFactor);
  }
}

/// A bias in which some keys are masked gives a mask and a bias.
void ScoreMatcher::addBias(ExprRef expr, double factor) {
  expr = skipCasts(expr);
  if (expr->isOp<arith::SelectOp>()) {
    for (unsigned i : {1u, 2u}) {
      std::optional<double> fill = getNumber(expr->operands[i]);
      if (!fill || !isMaskFill(*fill * factor))
        continue;
      ExprRef condition = expr->operands[0];
      scores.masks.push_back(i == 2 ? condition : tracer.exprs.getNot(condition));
      return addTerm(expr->operands[3 - i], factor);
    }
  }
  ExprRef kept = dropRowTerms(expr);
  scores.lacksRowTerms |= kept != expr;
  expr = kept;
  if (factor != 1)
    expr = tracer.exprs.getOp<arith::MulFOp>({expr, tracer.exprs.getNumber(factor, expr->type)}, expr->type);
  scores.biases.push_back(expr);
}

/// slope * (key - row) is slope * key, and something that is the same for all keys: ALiBi needs no bias per row.
ExprRef ScoreMatcher::dropRowTerms(ExprRef expr) {
  ExprRef inner = skipCasts(expr);
  if (inner->kind == Expr::Kind::index) {
    Linear kept;
    int64_t coefficient = tracer.loops.resolve(inner->index).getCoefficient(keyLoop);
    if (coefficient == 0)
      return expr;
    kept.terms.emplace_back(keyLoop, coefficient);
    return tracer.exprs.getIndex(kept, inner->type);
  }
  if (!inner->isOp<arith::MulFOp>())
    return expr;
  for (unsigned i : {0u, 1u}) {
    ExprRef factor = inner->operands[i], rest = inner->operands[1 - i];
    if (dependsOn(factor, keyLoop, tracer.loops))
      continue;
    ExprRef dropped = dropRowTerms(rest);
    if (dropped == rest)
      return expr;
    return tracer.exprs.getOp<arith::MulFOp>({factor, dropped}, inner->type);
  }
  return expr;
}

} // namespace mlir::gqa::raise
