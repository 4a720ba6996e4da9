#include "passes/raise/Masks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::gqa::raise {

ExprRef getOffset(const Offset &offset, Exprs &exprs) {
  Type i64 = IntegerType::get(exprs.getContext(), 64);
  ExprRef sum = exprs.getNumber(offset.constant, i64);
  for (auto [coefficient, expr] : offset.terms) {
    ExprRef wide = expr;
    if (expr->type.isIndex())
      wide = exprs.getOp<arith::IndexCastOp>({expr}, i64);
    else if (!expr->type.isInteger(64))
      wide = exprs.getOp<arith::ExtSIOp>({expr}, i64);
    wide = exprs.getOp<arith::MulIOp>({wide, exprs.getNumber(coefficient, i64)}, i64);
    sum = exprs.getOp<arith::AddIOp>({wide, sum}, i64);
  }
  return sum;
}

std::optional<int64_t> getDifference(const Offset &a, const Offset &b, const Loops &loops) {
  SmallVector<std::pair<int64_t, ExprRef>> rest(b.terms);
  for (auto [coefficient, expr] : a.terms) {
    auto *same = llvm::find_if(
        rest, [&, c = coefficient, e = expr](auto term) { return term.first == c && isEqual(term.second, e, loops); });
    if (same == rest.end())
      return std::nullopt;
    rest.erase(same);
  }
  return rest.empty() ? std::optional(a.constant - b.constant) : std::nullopt;
}

//===-- Conditions ------------------------------------------------------------------------------------------------===//

void MaskReader::split(ExprRef condition, bool isNegated, SmallVectorImpl<Clause> &clauses) {
  auto isNumber = [](ExprRef expr, double number) { return getNumber(expr) == number; };
  auto operands = ArrayRef(condition->operands);
  if (condition->isOp<arith::XOrIOp>() && isNumber(operands[1], 1))
    return split(operands[0], !isNegated, clauses);
  bool isConjunction = isNegated ? condition->isOp<arith::OrIOp>() : condition->isOp<arith::AndIOp>();
  if (isConjunction && condition->type.isInteger(1)) {
    split(operands[0], isNegated, clauses);
    return split(operands[1], isNegated, clauses);
  }
  if (condition->isOp<arith::SelectOp>()) {
    // c ? a : false is c and a; c ? false : a is not c and a. Likewise for their complements.
    double neutral = isNegated ? 1 : 0;
    for (unsigned i : {1u, 2u})
      if (isNumber(operands[i], neutral)) {
        split(operands[0], /*isNegated=*/i == 1, clauses);
        return split(operands[3 - i], isNegated, clauses);
      }
  }
  // A boolean as a number, compared with 0.
  if (condition->isAnyOp<arith::CmpIOp, arith::CmpFOp>() && isNumber(operands[1], 0)) {
    ExprRef number = skipCasts(operands[0]);
    bool isBoolean = number->isAnyOp<arith::ExtUIOp, arith::UIToFPOp>() && number->operands[0]->type.isInteger(1);
    if (isBoolean) {
      Type type = number->type;
      ExprRef whenTrue = tracer.exprs.getOp(*condition->name, condition->attributes,
                                            {tracer.exprs.getNumber(1, type), tracer.exprs.getNumber(0, type)},
                                            condition->type, condition->origin);
      ExprRef whenFalse = tracer.exprs.getOp(*condition->name, condition->attributes,
                                             {tracer.exprs.getNumber(0, type), tracer.exprs.getNumber(0, type)},
                                             condition->type, condition->origin);
      if (isNumber(whenTrue, 1) && isNumber(whenFalse, 0))
        return split(number->operands[0], isNegated, clauses);
      if (isNumber(whenTrue, 0) && isNumber(whenFalse, 1))
        return split(number->operands[0], !isNegated, clauses);
    }
  }
  if (condition->isOp<arith::TruncIOp>() && condition->operands[0]->isOp<arith::ExtUIOp>() &&
      condition->operands[0]->operands[0]->type.isInteger(1))
    return split(condition->operands[0]->operands[0], isNegated, clauses);
  if (isNumber(condition, isNegated ? 0 : 1))
    return;
  Clause clause{isNegated ? tracer.exprs.getNot(condition) : condition, {}};
  if (auto inequalities = readComparison(condition, isNegated))
    clause.inequalities = *inequalities;
  clauses.push_back(clause);
}

std::optional<SmallVector<MaskReader::Inequality>> MaskReader::readComparison(ExprRef compare, bool isNegated) {
  arith::CmpIPredicate predicate;
  if (compare->isOp<arith::CmpIOp>()) {
    predicate = cast<arith::CmpIPredicateAttr>(compare->attributes.get("predicate")).getValue();
  } else if (compare->isOp<arith::CmpFOp>()) {
    // Positions as floats: integers, and no NaN among them.
    switch (cast<arith::CmpFPredicateAttr>(compare->attributes.get("predicate")).getValue()) {
    case arith::CmpFPredicate::OLT:
    case arith::CmpFPredicate::ULT:
      predicate = arith::CmpIPredicate::slt;
      break;
    case arith::CmpFPredicate::OLE:
    case arith::CmpFPredicate::ULE:
      predicate = arith::CmpIPredicate::sle;
      break;
    case arith::CmpFPredicate::OGT:
    case arith::CmpFPredicate::UGT:
      predicate = arith::CmpIPredicate::sgt;
      break;
    case arith::CmpFPredicate::OGE:
    case arith::CmpFPredicate::UGE:
      predicate = arith::CmpIPredicate::sge;
      break;
    default:
      return std::nullopt;
    }
  } else {
    return std::nullopt;
  }
  if (isNegated)
    predicate = arith::invertPredicate(predicate);
  bool isLess = predicate == arith::CmpIPredicate::slt || predicate == arith::CmpIPredicate::sle ||
                predicate == arith::CmpIPredicate::ult || predicate == arith::CmpIPredicate::ule;
  bool isStrict = predicate == arith::CmpIPredicate::slt || predicate == arith::CmpIPredicate::sgt ||
                  predicate == arith::CmpIPredicate::ult || predicate == arith::CmpIPredicate::ugt;
  if (predicate == arith::CmpIPredicate::eq || predicate == arith::CmpIPredicate::ne)
    return std::nullopt;
  ExprRef small = compare->operands[isLess ? 0 : 1], large = compare->operands[isLess ? 1 : 0];
  auto build = [&](ExprRef expr, int64_t sign) -> std::optional<Inequality> {
    std::optional<Inequality> left = readSum(expr), right = readSum(large);
    if (!left || !right)
      return std::nullopt;
    Inequality difference{add(add(Linear(), left->index, sign), right->index, -1), {}};
    difference.index.constant += isStrict ? 1 : 0;
    for (auto [coefficient, term] : left->terms)
      difference.terms.emplace_back(sign * coefficient, term);
    for (auto [coefficient, term] : right->terms)
      difference.terms.emplace_back(-coefficient, term);
    return difference;
  };
  bool isUnsigned = predicate >= arith::CmpIPredicate::ult;
  auto isNonNegative = [&](ExprRef expr) {
    std::optional<Linear> index = tracer.exprs.getLinear(skipCasts(expr));
    return index && tracer.loops.getRange(*index).first.value_or(-1) >= 0;
  };
  if (isUnsigned && !(isNonNegative(small) && isNonNegative(large)))
    return std::nullopt;
  SmallVector<Inequality> inequalities;
  ExprRef stripped = skipCasts(small);
  bool isAbsolute = stripped->isAnyOp<math::AbsIOp, math::AbsFOp>();
  ExprRef inner = isAbsolute ? stripped->operands[0] : small;
  for (int64_t sign : isAbsolute ? SmallVector<int64_t>{1, -1} : SmallVector<int64_t>{1}) {
    std::optional<Inequality> inequality = build(inner, sign);
    if (!inequality)
      return std::nullopt;
    inequalities.push_back(*inequality);
  }
  return inequalities;
}

/// `expr` as a linear expression of loops, and other terms.
std::optional<MaskReader::Inequality> MaskReader::readSum(ExprRef expr) {
  if (expr->isAnyOp<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::TruncIOp, arith::SIToFPOp,
                    arith::ExtFOp>() &&
      !expr->operands[0]->type.isInteger(1))
    return readSum(expr->operands[0]);
  if (std::optional<Linear> index = tracer.exprs.getLinear(expr))
    return Inequality{*index, {}};
  bool isSubtraction = expr->isAnyOp<arith::SubIOp, arith::SubFOp>();
  if (isSubtraction || expr->isAnyOp<arith::AddIOp, arith::AddFOp>()) {
    std::optional<Inequality> left = readSum(expr->operands[0]), right = readSum(expr->operands[1]);
    if (!left || !right)
      return std::nullopt;
    int64_t sign = isSubtraction ? -1 : 1;
    left->index = add(left->index, right->index, sign);
    for (auto [coefficient, term] : right->terms)
      left->terms.emplace_back(sign * coefficient, term);
    return left;
  }
  if (!expr->type.isIntOrIndex())
    return std::nullopt;
  return Inequality{Linear(), {{1, expr}}};
}

//===-- Sorting ---------------------------------------------------------------------------------------------------===//

std::optional<Loop> MaskReader::findRowLoop(ArrayRef<ExprRef> masks, ArrayRef<Loop> rows) {
  SmallVector<Clause> clauses;
  for (ExprRef mask : masks)
    split(mask, /*isNegated=*/false, clauses);
  for (const Clause &clause : clauses)
    for (const Inequality &inequality : clause.inequalities) {
      Linear index = tracer.loops.resolve(inequality.index);
      for (Loop row : rows)
        if (index.getCoefficient(keyLoop) != 0 && index.getCoefficient(row) == -index.getCoefficient(keyLoop))
          return row;
    }
  return std::nullopt;
}

PositionMasks MaskReader::read(ArrayRef<ExprRef> masks, std::optional<Loop> rowLoop,
                               llvm::function_ref<bool(ExprRef)> isPerBatch) {
  SmallVector<Clause> clauses;
  for (ExprRef mask : masks)
    split(mask, /*isNegated=*/false, clauses);
  PositionMasks result;
  for (const Clause &clause : clauses) {
    PositionMasks extended = result;
    bool isRead = !clause.inequalities.empty() && llvm::all_of(clause.inequalities, [&](const Inequality &inequality) {
      return addInequality(inequality, rowLoop, extended, isPerBatch);
    });
    if (isRead)
      result = extended;
    else
      result.others.push_back(clause.condition);
  }
  return result;
}

bool MaskReader::addInequality(const Inequality &inequality, std::optional<Loop> rowLoop, PositionMasks &masks,
                               llvm::function_ref<bool(ExprRef)> isPerBatch) {
  Linear index = tracer.loops.resolve(inequality.index);
  int64_t key = index.getCoefficient(keyLoop), row = rowLoop ? index.getCoefficient(*rowLoop) : 0;
  if (index.terms.size() != static_cast<size_t>((key != 0) + (row != 0)) || (key != 1 && key != -1) ||
      (row != 0 && row != -key) || !llvm::all_of(inequality.terms, [&](auto term) { return isPerBatch(term.second); }))
    return false;
  // key * n - key * m + rest <= 0
  Offset bound{-key * index.constant, {}};
  for (auto [coefficient, term] : inequality.terms)
    bound.terms.emplace_back(-key * coefficient, term);
  if (row != 0) {
    (key > 0 ? masks.uppers : masks.lowers).push_back(bound);
    return true;
  }
  if (key < 0)
    return false; // n >= something: no operand says so
  bound.constant += 1;
  masks.lengths.push_back(bound);
  return true;
}

} // namespace mlir::gqa::raise
