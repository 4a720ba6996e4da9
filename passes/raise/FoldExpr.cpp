// How expressions fold as they are made.

#include "passes/raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

namespace mlir::gqa::raise {

namespace {

template <typename... OpTs> bool isName(StringRef name) { return ((name == OpTs::getOperationName()) || ...); }

/// `number` as a float type stores it.
double round(double number, Type type) {
  auto floatType = dyn_cast<FloatType>(type);
  if (!floatType)
    return number;
  APFloat value(number);
  bool losesInfo;
  value.convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  return value.convertToDouble();
}

std::optional<double> compute(StringRef name, double a) {
  if (isName<arith::NegFOp>(name))
    return -a;
  if (isName<math::SqrtOp>(name))
    return std::sqrt(a);
  if (isName<math::RsqrtOp>(name))
    return 1 / std::sqrt(a);
  if (isName<math::AbsFOp, math::AbsIOp>(name))
    return std::abs(a);
  if (isName<math::ExpOp>(name))
    return std::exp(a);
  if (isName<math::Exp2Op>(name))
    return std::exp2(a);
  if (isName<math::LogOp>(name))
    return std::log(a);
  if (isName<math::FloorOp>(name))
    return std::floor(a);
  if (isName<math::CeilOp>(name))
    return std::ceil(a);
  return std::nullopt;
}

std::optional<double> compute(StringRef name, double a, double b) {
  if (isName<arith::AddFOp>(name))
    return a + b;
  if (isName<arith::SubFOp>(name))
    return a - b;
  if (isName<arith::MulFOp>(name))
    return a * b;
  if (isName<arith::DivFOp>(name))
    return a / b;
  if (isName<arith::MaximumFOp, arith::MaxNumFOp>(name))
    return std::max(a, b);
  if (isName<arith::MinimumFOp, arith::MinNumFOp>(name))
    return std::min(a, b);
  if (isName<math::PowFOp>(name))
    return std::pow(a, b);
  return std::nullopt;
}

std::optional<int64_t> computeInteger(StringRef name, int64_t a, int64_t b) {
  if (isName<arith::ShRSIOp>(name) && b >= 0 && b < 64)
    return a >> b;
  if (isName<arith::ShLIOp>(name) && b >= 0 && b < 32)
    return a * (int64_t(1) << b);
  if (isName<arith::AndIOp>(name))
    return a & b;
  if (isName<arith::OrIOp>(name))
    return a | b;
  if (isName<arith::XOrIOp>(name))
    return a ^ b;
  if (isName<arith::DivSIOp>(name) && b != 0)
    return a / b;
  if (isName<arith::RemSIOp>(name) && b != 0)
    return a % b;
  if (isName<arith::FloorDivSIOp>(name) && b > 0)
    return llvm::divideFloorSigned(a, b);
  return std::nullopt;
}

/// Whether `expr` is made of extents and other numbers that are not negative.
bool isNonNegative(ExprRef expr) {
  expr = skipCasts(expr);
  if (expr->kind == Expr::Kind::number)
    return expr->number >= 0;
  if (expr->isAnyOp<arith::MulIOp, arith::AddIOp, arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>())
    return isNonNegative(expr->operands[0]) && isNonNegative(expr->operands[1]);
  return expr->isExtent();
}

/// Whether `a predicate b` for integers is settled by the range of a - b.
std::optional<bool> decide(arith::CmpIPredicate predicate, std::optional<int64_t> least,
                           std::optional<int64_t> greatest) {
  auto all = [](bool isTrue, bool isFalse) {
    return isTrue ? std::optional(true) : isFalse ? std::optional(false) : std::nullopt;
  };
  bool isNegative = greatest && *greatest < 0, isPositive = least && *least > 0;
  bool isZero = least && greatest && *least == 0 && *greatest == 0;
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return all(isZero, isNegative || isPositive);
  case arith::CmpIPredicate::ne:
    return all(isNegative || isPositive, isZero);
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return all(isNegative, least && *least >= 0);
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return all(greatest && *greatest <= 0, isPositive);
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return all(isPositive, greatest && *greatest <= 0);
  case arith::CmpIPredicate::sge:
  case arith::CmpIPredicate::uge:
    return all(least && *least >= 0, isNegative);
  }
  return std::nullopt;
}

std::optional<arith::CmpIPredicate> getIntegerPredicate(arith::CmpFPredicate predicate) {
  switch (predicate) {
  case arith::CmpFPredicate::OEQ:
  case arith::CmpFPredicate::UEQ:
    return arith::CmpIPredicate::eq;
  case arith::CmpFPredicate::ONE:
  case arith::CmpFPredicate::UNE:
    return arith::CmpIPredicate::ne;
  case arith::CmpFPredicate::OLT:
  case arith::CmpFPredicate::ULT:
    return arith::CmpIPredicate::slt;
  case arith::CmpFPredicate::OLE:
  case arith::CmpFPredicate::ULE:
    return arith::CmpIPredicate::sle;
  case arith::CmpFPredicate::OGT:
  case arith::CmpFPredicate::UGT:
    return arith::CmpIPredicate::sgt;
  case arith::CmpFPredicate::OGE:
  case arith::CmpFPredicate::UGE:
    return arith::CmpIPredicate::sge;
  default:
    return std::nullopt;
  }
}

} // namespace

ExprRef Exprs::fold(OperationName opName, DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type) {
  StringRef name = opName.getStringRef();
  if (operands.size() == 1)
    if (ExprRef cast = foldCast(name, operands[0], type))
      return cast;
  if (isName<arith::SelectOp>(name))
    return foldSelect(operands);
  if (isName<arith::CmpIOp, arith::CmpFOp>(name))
    return foldCompare(attributes, operands, type);
  if (ExprRef number = foldNumbers(name, operands, type))
    return number;
  if (ExprRef linear = foldLinear(name, operands, type))
    return linear;
  return operands.size() == 2 ? foldNeutral(name, operands, type) : nullptr;
}

ExprRef Exprs::foldCast(StringRef name, ExprRef operand, Type type) {
  bool isNumeric = isName<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp, arith::ExtUIOp, arith::SIToFPOp,
                          arith::UIToFPOp, arith::ExtFOp, arith::TruncFOp, arith::FPToSIOp, arith::FPToUIOp>(name) ||
                   (isName<arith::TruncIOp>(name) && !type.isInteger(1));
  if (!isNumeric)
    return nullptr;
  if (operand->kind == Expr::Kind::number) {
    bool isSignedTrue = isName<arith::ExtSIOp, arith::SIToFPOp>(name) && operand->type.isInteger(1);
    return getNumber(isSignedTrue ? -operand->number : round(operand->number, type), type);
  }
  if (operand->kind == Expr::Kind::index && !operand->type.isInteger(1))
    return getIndex(operand->index, type);
  return nullptr;
}

ExprRef Exprs::foldSelect(ArrayRef<ExprRef> operands) {
  ExprRef condition = operands[0], first = operands[1], second = operands[2];
  if (condition->kind == Expr::Kind::number)
    return condition->number != 0 ? first : second;
  if (isEqual(first, second, loops))
    return first;
  // x >= 0 ? x : -x
  std::optional<Linear> x = getLinear(first), minusX = getLinear(second);
  if (condition->isOp<arith::CmpIOp>() && x && minusX && *minusX == add(Linear(), *x, -1) &&
      raise::getNumber(condition->operands[1]) == 0.0 && getLinear(condition->operands[0]) == x) {
    auto predicate = cast<arith::CmpIPredicateAttr>(condition->attributes.get("predicate")).getValue();
    if (predicate == arith::CmpIPredicate::sge || predicate == arith::CmpIPredicate::sgt)
      return getOp<math::AbsIOp>({first}, first->type);
  }
  // An extent of 1 is read at 0 and any other one at the loop: that is the loop, either way.
  if (condition->isOp<arith::CmpIOp>() && first->type.isIndex() && raise::getNumber(first) == 0.0 &&
      second->kind == Expr::Kind::index) {
    auto predicate = cast<arith::CmpIPredicateAttr>(condition->attributes.get("predicate")).getValue();
    if (predicate == arith::CmpIPredicate::eq && raise::getNumber(condition->operands[1]) == 1.0 &&
        getLoops(condition->operands[0], loops).empty())
      return second;
  }
  return nullptr;
}

ExprRef Exprs::foldNumbers(StringRef name, ArrayRef<ExprRef> operands, Type type) {
  if (!llvm::all_of(operands, [](ExprRef operand) { return operand->kind == Expr::Kind::number; }))
    return nullptr;
  std::optional<double> result;
  if (operands.size() == 1)
    result = compute(name, operands[0]->number);
  else if (operands.size() == 2 && type.isIntOrIndex())
    result = computeInteger(name, operands[0]->number, operands[1]->number);
  else if (operands.size() == 2)
    result = compute(name, operands[0]->number, operands[1]->number);
  return result ? getNumber(round(*result, type), type) : nullptr;
}

ExprRef Exprs::foldLinear(StringRef name, ArrayRef<ExprRef> operands, Type type) {
  if (operands.size() > 2 || type.isInteger(1))
    return nullptr;
  // Floats that are no indices are not to be mistaken for such.
  bool hasIndex = llvm::any_of(operands, [](ExprRef operand) { return operand->kind == Expr::Kind::index; });
  if (!hasIndex && !type.isIntOrIndex())
    return nullptr;
  std::optional<Linear> a = getLinear(operands[0]), b = getLinear(operands.back());
  if (!a || !b)
    return nullptr;
  auto [least, greatest] = loops.getRange(*a);
  if (isName<arith::NegFOp>(name))
    return getIndex(add(Linear(), *a, -1), type);
  if (isName<math::AbsFOp, math::AbsIOp>(name) && least && *least >= 0)
    return operands[0];
  if (operands.size() != 2)
    return nullptr;
  if (isName<arith::AddIOp, arith::AddFOp>(name))
    return getIndex(add(*a, *b), type);
  if (isName<arith::SubIOp, arith::SubFOp>(name))
    return getIndex(add(*a, *b, -1), type);
  if (isName<arith::MulIOp, arith::MulFOp>(name)) {
    if (a->isConstant())
      std::swap(*a, *b);
    return b->isConstant() ? getIndex(add(Linear(), *a, b->constant), type) : nullptr;
  }
  auto [leastDifference, greatestDifference] = loops.getRange(add(*a, *b, -1));
  bool isLess = greatestDifference && *greatestDifference <= 0, isMore = leastDifference && *leastDifference >= 0;
  if (isName<arith::MaxSIOp, arith::MaxUIOp, arith::MaximumFOp, arith::MaxNumFOp>(name) && (isLess || isMore))
    return operands[isLess ? 1 : 0];
  if (isName<arith::MinSIOp, arith::MinUIOp, arith::MinimumFOp, arith::MinNumFOp>(name) && (isLess || isMore))
    return operands[isLess ? 0 : 1];
  if (!b->isConstant() || b->constant <= 0)
    return nullptr;
  bool isFloor = isName<arith::FloorDivSIOp>(name);
  bool isDivision = isFloor || isName<arith::DivSIOp, arith::DivUIOp>(name);
  if (!isDivision && !isName<arith::RemSIOp, arith::RemUIOp>(name))
    return nullptr;
  if (!isFloor && !(least && *least >= 0))
    return nullptr;
  auto parts = loops.divide(*a, b->constant, Split::none);
  return parts ? getIndex(isDivision ? parts->first : parts->second, type) : nullptr;
}

ExprRef Exprs::foldCompare(DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type) {
  Attribute attribute = attributes.get("predicate");
  std::optional<arith::CmpIPredicate> predicate;
  if (auto integer = dyn_cast<arith::CmpIPredicateAttr>(attribute))
    predicate = integer.getValue();
  else
    predicate = getIntegerPredicate(cast<arith::CmpFPredicateAttr>(attribute).getValue());
  if (!predicate)
    return nullptr;
  std::optional<bool> result;
  if (operands[0]->kind == Expr::Kind::number && operands[1]->kind == Expr::Kind::number) {
    double a = operands[0]->number, b = operands[1]->number;
    int64_t sign = a < b ? -1 : a > b ? 1 : 0;
    if (std::isnan(a) || std::isnan(b))
      return nullptr;
    result = decide(*predicate, sign, sign);
  } else if (std::optional<Linear> a = getLinear(operands[0]), b = getLinear(operands[1]); a && b) {
    auto [least, greatest] = loops.getRange(add(*a, *b, -1));
    bool isUnsigned = *predicate >= arith::CmpIPredicate::ult;
    auto [leastA, greatestA] = loops.getRange(*a);
    auto [leastB, greatestB] = loops.getRange(*b);
    if (!isUnsigned || (leastA && *leastA >= 0 && leastB && *leastB >= 0))
      result = decide(*predicate, least, greatest);
  }
  if (!result && raise::getNumber(operands[1]) == 0.0 && operands[0]->type.isIntOrIndex() && isNonNegative(operands[0]))
    result = decide(*predicate, 0, std::nullopt);
  return result ? getNumber(*result, type) : nullptr;
}

ExprRef Exprs::foldNeutral(StringRef name, ArrayRef<ExprRef> operands, Type type) {
  std::optional<double> a, b;
  if (operands[0]->kind == Expr::Kind::number)
    a = operands[0]->number;
  if (operands[1]->kind == Expr::Kind::number)
    b = operands[1]->number;
  bool isBoolean = type.isInteger(1);
  if (isName<arith::AddFOp, arith::AddIOp, arith::OrIOp, arith::XOrIOp>(name)) {
    if (a == 0.0)
      return operands[1];
    if (b == 0.0)
      return operands[0];
  }
  if (isName<arith::SubFOp, arith::SubIOp>(name) && b == 0.0)
    return operands[0];
  if (isName<arith::MulFOp, arith::MulIOp>(name) || (isBoolean && isName<arith::AndIOp>(name))) {
    if (a == 1.0)
      return operands[1];
    if (b == 1.0)
      return operands[0];
  }
  if (isName<arith::DivFOp>(name) && b == 1.0)
    return operands[0];
  if (isName<arith::MaximumFOp, arith::MaxNumFOp>(name)) {
    if (a == -INFINITY)
      return operands[1];
    if (b == -INFINITY)
      return operands[0];
  }
  if (isBoolean && isName<arith::AndIOp>(name) && (a == 0.0 || b == 0.0))
    return getNumber(0, type);
  if (isBoolean && isName<arith::OrIOp>(name) && (a == 1.0 || b == 1.0))
    return getNumber(1, type);
  if (isBoolean && isName<arith::XOrIOp>(name) && b == 1.0 && operands[0]->isOp<arith::XOrIOp>() &&
      raise::getNumber(operands[0]->operands[1]) == 1.0)
    return operands[0]->operands[0];
  return nullptr;
}

} // namespace mlir::gqa::raise
