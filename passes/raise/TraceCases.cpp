// Functions of an index that are known case by case: constants, pieces, choices.

#include "passes/raise/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::gqa::raise {

/// Cases that are told apart at most: heads, rather than positions.
constexpr int64_t kMaxCases = 256;

/// `values[index]` as a linear function of the index, of its quotient or of its remainder by some period.
ExprRef Tracer::fitSequence(ArrayRef<double> values, ExprRef index, Type type) {
  if (std::optional<Linear> constant = exprs.getLinear(index); constant && constant->isConstant())
    return constant->constant >= 0 && constant->constant < static_cast<int64_t>(values.size())
               ? exprs.getNumber(values[constant->constant], type)
               : nullptr;
  double first = values[0];
  int64_t size = values.size(), run = 1, period = 1;
  while (run < size && values[run] == first)
    ++run;
  if (run == size)
    return exprs.getNumber(first, type);
  while (period < size && (period == 1 || values[period] != first))
    ++period;
  auto build = [&](double step, auto map, ExprRef of) -> ExprRef {
    if (step != std::trunc(step) || first != std::trunc(first))
      return nullptr;
    for (int64_t i = 0; i < size; ++i)
      if (values[i] != first + step * map(i))
        return nullptr;
    std::optional<Linear> linear = exprs.getLinear(of);
    if (!linear)
      return nullptr;
    Linear value = add(Linear(), *linear, static_cast<int64_t>(step));
    value.constant += static_cast<int64_t>(first);
    return exprs.getIndex(value, type);
  };
  double step = values[run] - first;
  if (run > 1)
    return build(step, [&](int64_t i) { return i / run; }, exprs.divideIndex(index, run, Split::even));
  if (ExprRef line = build(step, [](int64_t i) { return i; }, index))
    return line;
  return period < size
             ? build(
                   step, [&](int64_t i) { return i % period; }, exprs.getRemainder(index, period, Split::even))
             : nullptr;
}

/// Loads of one tensor at indices that differ by constants, as one load at a function of `piece`.
ExprRef Tracer::mergePieces(ArrayRef<ExprRef> pieces, ExprRef piece) {
  ExprRef first = pieces[0];
  if (llvm::all_of(pieces, [&](ExprRef other) { return isEqual(first, other, loops); }))
    return first;
  if (llvm::any_of(pieces,
                   [&](ExprRef other) { return other->kind != Expr::Kind::load || other->value != first->value; }))
    return nullptr;
  Indices indices;
  Type indexType = IndexType::get(exprs.getContext());
  for (unsigned dim = 0; dim < first->operands.size(); ++dim) {
    SmallVector<double> offsets;
    std::optional<Linear> base = exprs.getLinear(first->operands[dim]);
    for (ExprRef other : pieces) {
      std::optional<Linear> index = exprs.getLinear(other->operands[dim]);
      Linear difference = base && index ? add(*index, *base, -1) : Linear();
      if (!base || !index || !difference.isConstant())
        return nullptr;
      offsets.push_back(difference.constant);
    }
    ExprRef offset = fitSequence(offsets, piece, indexType);
    if (!offset)
      return nullptr;
    indices.push_back(exprs.addIndex(first->operands[dim], offset));
  }
  return getLoad(first->value, indices, first->shape);
}

/// The value of `expr` where the loops have `values`.
static ExprRef substitute(Exprs &exprs, const Loops &loops, ExprRef expr, const DenseMap<Loop, int64_t> &values) {
  if (expr->kind == Expr::Kind::index) {
    Linear index = loops.resolve(expr->index);
    int64_t value = index.constant;
    for (auto [loop, coefficient] : index.terms)
      value += coefficient * values.lookup(loop);
    return exprs.getNumber(value, expr->type);
  }
  if (expr->kind != Expr::Kind::op)
    return expr;
  SmallVector<ExprRef> operands =
      llvm::map_to_vector(expr->operands, [&](ExprRef operand) { return substitute(exprs, loops, operand, values); });
  return exprs.getOp(*expr->name, expr->attributes, operands, expr->type, expr->origin);
}

/// The index that one loop is, or the two parts of a split one.
static std::optional<Linear> getVariable(const Loops &loops, ArrayRef<Loop> parts) {
  if (parts.size() == 1)
    return loops.getIndex(parts[0]);
  if (parts.size() != 2 || loops.getSibling(parts[0]) != parts[1])
    return std::nullopt;
  Loop inner = parts[loops.isInner(parts[0]) ? 0 : 1], outer = parts[loops.isInner(parts[0]) ? 1 : 0];
  return add(loops.getIndex(inner), loops.getIndex(outer), loops.getExtent(inner));
}

ExprRef Tracer::simplifyIndex(ExprRef index) {
  unsigned size = 0;
  bool isComputable = index->kind == Expr::Kind::op;
  walk(index, [&](ExprRef part) {
    ++size;
    isComputable &= part->kind != Expr::Kind::load && part->kind != Expr::Kind::scalar;
  });
  if (!isComputable || size > 2000)
    return index;
  SmallVector<Loop> parts = getLoops(index, loops);
  std::optional<Linear> variable = getVariable(loops, parts);
  if (!variable)
    return index;
  auto [least, greatest] = loops.getRange(*variable);
  if (!greatest || *greatest >= kMaxCases)
    return index;
  SmallVector<double> results;
  for (int64_t value = 0; value <= *greatest; ++value) {
    DenseMap<Loop, int64_t> values;
    for (auto [loop, coefficient] : variable->terms)
      values[loop] = value / coefficient % loops.getExtent(loop);
    std::optional<double> number = getNumber(substitute(exprs, loops, index, values));
    if (!number)
      return index;
    results.push_back(*number);
  }
  // A condition is of use only if it is settled.
  if (index->type.isInteger(1) && !llvm::all_equal(results))
    return index;
  ExprRef fitted = fitSequence(results, exprs.getIndex(*variable, index->type), index->type);
  return fitted ? fitted : index;
}

ExprRef Tracer::expandByCases(ExprRef load) {
  for (unsigned dim = 0; dim < load->operands.size(); ++dim) {
    std::optional<Linear> index = exprs.getLinear(load->operands[dim]);
    int64_t extent = load->shape[dim];
    if (!index || index->isConstant() || ShapedType::isDynamic(extent) || extent > kMaxCases ||
        loops.getRange(*index) != std::pair(std::optional<int64_t>(0), std::optional<int64_t>(extent - 1)))
      continue;
    SmallVector<ExprRef> pieces;
    for (int64_t value = 0; value < extent; ++value) {
      Indices indices(load->operands);
      indices[dim] = exprs.getNumber(value, indices[dim]->type);
      ExprRef piece = getLoad(load->value, indices, load->shape);
      for (ExprRef next = expand(piece); next && next->kind == Expr::Kind::load; next = expand(piece))
        piece = next;
      // Other sources cannot be told apart by indices.
      if (piece->value == load->value || (!pieces.empty() && piece->value != pieces[0]->value))
        break;
      pieces.push_back(piece);
    }
    if (static_cast<int64_t>(pieces.size()) == extent)
      if (ExprRef merged = mergePieces(pieces, load->operands[dim]))
        return merged;
  }
  return nullptr;
}

} // namespace mlir::gqa::raise
