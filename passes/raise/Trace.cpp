#include "passes/raise/Trace.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace mlir::gqa::raise {

ExprRef Tracer::getLoad(Value tensor, ArrayRef<ExprRef> indices, ArrayRef<int64_t> shape) {
  SmallVector<int64_t> merged(cast<RankedTensorType>(tensor.getType()).getShape());
  for (auto [extent, known] : llvm::zip(merged, shape))
    if (ShapedType::isDynamic(extent))
      extent = known;
  // A dimension of extent 1 is read at 0.
  SmallVector<ExprRef> inBounds(indices);
  for (auto [extent, index] : llvm::zip_equal(merged, inBounds)) {
    if (extent == 1)
      index = exprs.getNumber(0, IndexType::get(exprs.getContext()));
    else if (index->kind == Expr::Kind::op)
      index = simplifyIndex(index);
  }
  return exprs.getLoad(tensor, inBounds, merged);
}

ExprRef Tracer::expand(ExprRef load) {
  auto [entry, isNew] = steps.try_emplace(load, nullptr);
  if (!isNew)
    return entry->second;
  auto result = dyn_cast<OpResult>(load->value);
  if (!result || budget == 0)
    return nullptr;
  --budget;
  Operation *op = result.getOwner();
  ExprRef expanded = nullptr;
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    expanded = expandLinalg(linalgOp, result.getResultNumber(), load);
  else if (OpTrait::hasElementwiseMappableTraits(op))
    expanded = expandElementwise(op, load);
  else
    expanded = expandTensorOp(op, load);
  return steps[load] = expanded;
}

ExprRef Tracer::expandAll(ExprRef expr) {
  if (ExprRef known = expansions.lookup(expr))
    return known;
  ExprRef result = expr;
  if (expr->kind == Expr::Kind::load) {
    if (ExprRef expanded = expand(expr))
      result = expandAll(expanded);
  } else if (expr->kind == Expr::Kind::op) {
    SmallVector<ExprRef> operands =
        llvm::map_to_vector(expr->operands, [&](ExprRef operand) { return expandAll(operand); });
    if (operands != expr->operands)
      result = exprs.getOp(*expr->name, expr->attributes, operands, expr->type, expr->origin);
  }
  return expansions[expr] = result;
}

ExprRef Tracer::getScalar(Value value) {
  Scope scope;
  ExprRef expr = evaluate(value, scope, {});
  return expr ? expr : exprs.getScalar(value);
}

//===-- Linalg ----------------------------------------------------------------------------------------------------===//

/// The loops of `op` as the element that `load` reads fixes them. Reduction loops that are not 1 stay null.
bool Tracer::bindLoops(linalg::LinalgOp op, unsigned result, ExprRef load, Indices &loopIndices,
                       SmallVectorImpl<int64_t> &extents) {
  extents = op.getStaticLoopRanges();
  loopIndices.assign(op.getNumLoops(), nullptr);
  AffineMap map = op.getIndexingMapMatchingResult(op->getResult(result));
  for (auto [expr, index, extent] : llvm::zip_equal(map.getResults(), load->operands, load->shape)) {
    if (isa<AffineConstantExpr>(expr))
      continue;
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return false;
    loopIndices[dim.getPosition()] = index;
    if (ShapedType::isDynamic(extents[dim.getPosition()]))
      extents[dim.getPosition()] = extent;
  }
  for (auto [index, extent, kind] : llvm::zip_equal(loopIndices, extents, op.getIteratorTypesArray())) {
    if (extent == 1)
      index = exprs.getNumber(0, IndexType::get(exprs.getContext()));
    if (!index && kind == utils::IteratorType::parallel)
      return false;
  }
  return true;
}

void Tracer::bindInputs(linalg::LinalgOp op, ArrayRef<ExprRef> loopIndices, ArrayRef<int64_t> extents, Scope &scope) {
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (!isa<RankedTensorType>(operand.get().getType())) {
      scope[argument] = getScalar(operand.get());
      continue;
    }
    Indices indices;
    SmallVector<int64_t> shape;
    for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
      indices.push_back(evaluateAffine(expr, loopIndices));
      auto dim = dyn_cast<AffineDimExpr>(expr);
      shape.push_back(dim ? extents[dim.getPosition()] : ShapedType::kDynamic);
    }
    if (!llvm::is_contained(indices, nullptr))
      scope[argument] = getLoad(operand.get(), indices, shape);
  }
}

ExprRef Tracer::expandLinalg(linalg::LinalgOp op, unsigned result, ExprRef load) {
  Indices loopIndices;
  SmallVector<int64_t> extents;
  if (!bindLoops(op, result, load, loopIndices, extents) || llvm::is_contained(loopIndices, nullptr))
    return nullptr;
  Scope scope;
  bindInputs(op, loopIndices, extents, scope);
  return evaluate(op.getBlock()->getTerminator()->getOperand(result), scope, loopIndices);
}

SmallVector<int64_t> Tracer::getReductionExtents(linalg::LinalgOp op) {
  SmallVector<int64_t> reductions;
  for (auto [extent, kind] : llvm::zip_equal(op.getStaticLoopRanges(), op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction && extent != 1)
      reductions.push_back(extent);
  return reductions;
}

std::optional<Tracer::Step> Tracer::open(ExprRef load, ArrayRef<ExprRef> reductions) {
  auto result = load->kind == Expr::Kind::load ? dyn_cast<OpResult>(load->value) : OpResult();
  auto op = result ? dyn_cast<linalg::LinalgOp>(result.getOwner()) : linalg::LinalgOp();
  Indices loopIndices;
  SmallVector<int64_t> extents;
  if (!op || !op.hasPureTensorSemantics() || !bindLoops(op, result.getResultNumber(), load, loopIndices, extents))
    return std::nullopt;
  for (ExprRef &index : loopIndices)
    if (!index) {
      if (reductions.empty())
        return std::nullopt;
      index = reductions.front();
      reductions = reductions.drop_front();
    }
  if (!reductions.empty())
    return std::nullopt;
  Scope scope;
  bindInputs(op, loopIndices, extents, scope);
  BlockArgument accumulator = op.getMatchingBlockArgument(op.getDpsInitOperand(result.getResultNumber()));
  Step step{op, nullptr, exprs.getScalar(accumulator), scope.lookup(accumulator)};
  scope[accumulator] = step.accumulator;
  step.value = evaluate(op.getBlock()->getTerminator()->getOperand(result.getResultNumber()), scope, loopIndices);
  if (!step.value || !step.init)
    return std::nullopt;
  return step;
}

//===-- Bodies ----------------------------------------------------------------------------------------------------===//

ExprRef Tracer::evaluate(Value value, Scope &scope, ArrayRef<ExprRef> loopIndices) {
  if (ExprRef known = scope.lookup(value))
    return known;
  ExprRef expr = nullptr;
  if (auto result = dyn_cast<OpResult>(value))
    expr = evaluateOp(result.getOwner(), result.getResultNumber(), scope, loopIndices);
  else if (auto argument = cast<BlockArgument>(value);
           argument.getOwner()->isEntryBlock() && !isa<linalg::LinalgOp>(argument.getOwner()->getParentOp()))
    expr = exprs.getScalar(value);
  if (expr)
    scope[value] = expr;
  return expr;
}

ExprRef Tracer::evaluateOp(Operation *op, unsigned result, Scope &scope, ArrayRef<ExprRef> loopIndices) {
  Attribute constant;
  if (matchPattern(op, m_Constant(&constant))) {
    if (auto number = dyn_cast<FloatAttr>(constant))
      return exprs.getNumber(number.getValueAsDouble(), number.getType());
    if (auto number = dyn_cast<IntegerAttr>(constant))
      return exprs.getNumber(number.getType().isInteger(1) ? static_cast<int64_t>(number.getValue().getZExtValue())
                                                           : number.getValue().getSExtValue(),
                             number.getType());
  }
  if (auto index = dyn_cast<linalg::IndexOp>(op))
    return index.getDim() < loopIndices.size() ? loopIndices[index.getDim()] : nullptr;
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    ExprRef condition = evaluate(branch.getCondition(), scope, loopIndices);
    if (!condition || branch.getElseRegion().empty())
      return nullptr;
    auto evaluateYield = [&](Block *block) {
      return evaluate(block->getTerminator()->getOperand(result), scope, loopIndices);
    };
    condition = expandAll(condition);
    if (condition->kind == Expr::Kind::number)
      return evaluateYield(condition->number != 0 ? branch.thenBlock() : branch.elseBlock());
    ExprRef first = evaluateYield(branch.thenBlock()), second = evaluateYield(branch.elseBlock());
    return first && second ? exprs.getOp<arith::SelectOp>({condition, first, second}, first->type) : nullptr;
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op); dim && isa<RankedTensorType>(dim.getSource().getType()))
    if (std::optional<int64_t> index = dim.getConstantIndex())
      return getExtent(dim.getSource(), *index);
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    Indices operands;
    for (Value operand : apply.getMapOperands())
      operands.push_back(evaluate(operand, scope, loopIndices));
    if (llvm::is_contained(operands, nullptr))
      return nullptr;
    AffineMap map = apply.getAffineMap();
    AffineExpr expr = map.getResult(0).shiftSymbols(map.getNumSymbols(), 0);
    SmallVector<AffineExpr> symbols;
    for (unsigned symbol = 0; symbol < map.getNumSymbols(); ++symbol)
      symbols.push_back(getAffineDimExpr(map.getNumDims() + symbol, map.getContext()));
    return evaluateAffine(expr.replaceSymbols(symbols), operands);
  }
  SmallVector<ExprRef> operands;
  auto extract = dyn_cast<tensor::ExtractOp>(op);
  for (Value operand : extract ? ValueRange(extract.getIndices()) : ValueRange(op->getOperands())) {
    if (isa<ShapedType>(operand.getType()))
      return exprs.getScalar(op->getResult(result));
    operands.push_back(evaluate(operand, scope, loopIndices));
    if (!operands.back())
      return nullptr;
  }
  // A choice that loops settle is none.
  if (isa<arith::SelectOp>(op))
    operands[0] = simplifyIndex(expandAll(operands[0]));
  if (extract) {
    for (ExprRef &operand : operands)
      operand = expandAll(operand);
    return getLoad(extract.getTensor(), operands);
  }
  if (!OpTrait::hasElementwiseMappableTraits(op) || op->getNumResults() != 1)
    return isa<linalg::LinalgOp>(op->getParentOp()) ? nullptr : exprs.getScalar(op->getResult(result));
  return exprs.getOp(op->getName(), op->getAttrDictionary(), operands, op->getResult(0).getType(), op);
}

ExprRef Tracer::evaluateAffine(AffineExpr expr, ArrayRef<ExprRef> dims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return exprs.getNumber(constant.getValue(), IndexType::get(exprs.getContext()));
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()];
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  ExprRef left = binary ? evaluateAffine(binary.getLHS(), dims) : nullptr;
  ExprRef right = binary ? evaluateAffine(binary.getRHS(), dims) : nullptr;
  if (!left || !right)
    return nullptr;
  if (expr.getKind() == AffineExprKind::Add)
    return exprs.addIndex(left, right);
  std::optional<Linear> factor = exprs.getLinear(right);
  if (!factor || !factor->isConstant() || factor->constant == 0)
    return nullptr;
  if (expr.getKind() == AffineExprKind::Mul)
    return exprs.scaleIndex(left, factor->constant);
  if (expr.getKind() == AffineExprKind::FloorDiv)
    return exprs.divideIndex(left, factor->constant, Split::even);
  return expr.getKind() == AffineExprKind::Mod ? exprs.getRemainder(left, factor->constant, Split::even) : nullptr;
}

/// Arithmetic on whole tensors.
ExprRef Tracer::expandElementwise(Operation *op, ExprRef load) {
  if (op->getNumResults() != 1)
    return nullptr;
  SmallVector<ExprRef> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType()) ? getLoad(operand, load->operands, load->shape)
                                                                : getScalar(operand));
  return exprs.getOp(op->getName(), op->getAttrDictionary(), operands, load->type, op);
}

} // namespace mlir::gqa::raise
