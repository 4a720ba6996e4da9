#include "passes/raise/Expr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/bit.h"

namespace mlir::gqa::raise {

Expr &Exprs::make(Expr::Kind kind, Type type) {
  pool.emplace_back();
  pool.back().kind = kind;
  pool.back().type = type;
  return pool.back();
}

ExprRef Exprs::getNumber(double number, Type type) {
  Expr &expr = make(Expr::Kind::number, type);
  expr.number = number;
  return &expr;
}

ExprRef Exprs::getIndex(const Linear &index, Type type) {
  if (index.isConstant())
    return getNumber(index.constant, type);
  Expr &expr = make(Expr::Kind::index, type);
  expr.index = index;
  return &expr;
}

ExprRef Exprs::getIndex(Loop loop) { return getIndex(loops.getIndex(loop), IndexType::get(context)); }

ExprRef Exprs::getLoad(Value tensor, ArrayRef<ExprRef> indices, ArrayRef<int64_t> shape) {
  Expr &expr = make(Expr::Kind::load, cast<ShapedType>(tensor.getType()).getElementType());
  expr.value = tensor;
  expr.shape.assign(shape.begin(), shape.end());
  expr.operands.assign(indices.begin(), indices.end());
  expr.origin = tensor.getDefiningOp();
  return &expr;
}

ExprRef Exprs::getScalar(Value value) {
  Expr &expr = make(Expr::Kind::scalar, value.getType());
  expr.value = value;
  expr.origin = value.getDefiningOp();
  return &expr;
}

ExprRef Exprs::getExtent(Value tensor, unsigned dim) {
  Expr &expr = make(Expr::Kind::scalar, IndexType::get(context));
  expr.value = tensor;
  expr.number = dim;
  expr.origin = tensor.getDefiningOp();
  return &expr;
}

ExprRef Exprs::getOp(OperationName name, DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type,
                     Operation *origin) {
  SmallVector<NamedAttribute> kept;
  for (NamedAttribute attribute : attributes)
    if (attribute.getName() != "fastmath" && attribute.getName() != "overflowFlags" &&
        attribute.getName() != "roundingmode")
      kept.push_back(attribute);
  attributes = DictionaryAttr::get(context, kept);
  if (ExprRef folded = fold(name, attributes, operands, type))
    return folded;
  Expr &expr = make(Expr::Kind::op, type);
  expr.name = name;
  expr.attributes = attributes;
  expr.operands.assign(operands.begin(), operands.end());
  expr.origin = origin;
  return &expr;
}

ExprRef Exprs::getNot(ExprRef condition) {
  return getOp<arith::XOrIOp>({condition, getNumber(1, condition->type)}, condition->type);
}

ExprRef Exprs::getAnd(ExprRef a, ExprRef b) { return getOp<arith::AndIOp>({a, b}, a->type); }

ExprRef Exprs::addIndex(ExprRef a, ExprRef b) { return getOp<arith::AddIOp>({a, b}, a->type); }

ExprRef Exprs::scaleIndex(ExprRef a, int64_t factor) {
  return getOp<arith::MulIOp>({a, getNumber(factor, a->type)}, a->type);
}

ExprRef Exprs::divideIndex(ExprRef a, int64_t divisor, Split split) {
  if (std::optional<Linear> linear = getLinear(a))
    if (auto parts = loops.divide(*linear, divisor, split))
      return getIndex(parts->first, a->type);
  return getOp<arith::FloorDivSIOp>({a, getNumber(divisor, a->type)}, a->type);
}

ExprRef Exprs::getRemainder(ExprRef a, int64_t divisor, Split split) {
  if (std::optional<Linear> linear = getLinear(a))
    if (auto parts = loops.divide(*linear, divisor, split))
      return getIndex(parts->second, a->type);
  return getOp<arith::RemSIOp>({a, getNumber(divisor, a->type)}, a->type);
}

std::optional<Linear> Exprs::getLinear(ExprRef expr) const {
  if (expr->kind == Expr::Kind::index)
    return loops.resolve(expr->index);
  if (expr->kind != Expr::Kind::number || expr->number != std::trunc(expr->number) || std::abs(expr->number) > 1e15)
    return std::nullopt;
  Linear constant;
  constant.constant = static_cast<int64_t>(expr->number);
  return constant;
}

bool isEqual(ExprRef a, ExprRef b, const Loops &loops) {
  llvm::DenseSet<std::pair<ExprRef, ExprRef>> known;
  std::function<bool(ExprRef, ExprRef)> compare = [&](ExprRef x, ExprRef y) {
    if (x == y || known.contains({x, y}))
      return true;
    if (x->kind != y->kind || x->type != y->type || x->value != y->value || x->name != y->name ||
        x->attributes != y->attributes || x->operands.size() != y->operands.size())
      return false;
    if (llvm::bit_cast<uint64_t>(x->number) != llvm::bit_cast<uint64_t>(y->number)) // NaN is NaN, too
      return false;
    if (x->kind == Expr::Kind::index && !(loops.resolve(x->index) == loops.resolve(y->index)))
      return false;
    for (auto [left, right] : llvm::zip_equal(x->operands, y->operands))
      if (!compare(left, right))
        return false;
    known.insert({x, y});
    return true;
  };
  return compare(a, b);
}

ExprRef skipCasts(ExprRef expr) {
  while (expr->kind == Expr::Kind::op) {
    bool isCast = expr->isAnyOp<arith::ExtFOp, arith::TruncFOp, arith::ExtSIOp, arith::IndexCastOp,
                                arith::IndexCastUIOp, arith::TruncIOp, arith::ExtUIOp>();
    // What turns a boolean into a number, or a number into a boolean, is no mere conversion.
    if (!isCast || expr->operands[0]->type.isInteger(1) != expr->type.isInteger(1))
      return expr;
    expr = expr->operands[0];
  }
  return expr;
}

std::optional<double> getNumber(ExprRef expr) {
  expr = skipCasts(expr);
  return expr->kind == Expr::Kind::number ? std::optional(expr->number) : std::nullopt;
}

void walk(ExprRef expr, llvm::function_ref<void(ExprRef)> visit) {
  llvm::DenseSet<ExprRef> seen;
  SmallVector<ExprRef> worklist = {expr};
  while (!worklist.empty()) {
    ExprRef next = worklist.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    visit(next);
    llvm::append_range(worklist, llvm::reverse(next->operands));
  }
}

bool dependsOn(ExprRef expr, Loop loop, const Loops &loops) { return llvm::is_contained(getLoops(expr, loops), loop); }

SmallVector<Loop> getLoops(ExprRef expr, const Loops &loops) {
  llvm::SetVector<Loop> found;
  walk(expr, [&](ExprRef part) {
    if (part->kind == Expr::Kind::index)
      for (auto [loop, coefficient] : loops.resolve(part->index).terms)
        found.insert(loop);
  });
  SmallVector<Loop> sorted(found.begin(), found.end());
  llvm::sort(sorted);
  return sorted;
}

} // namespace mlir::gqa::raise
