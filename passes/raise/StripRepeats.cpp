#include "passes/raise/StripRepeats.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::gqa::raise {

static RankedTensorType getType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// `type` with another extent of `dim`.
static RankedTensorType resize(RankedTensorType type, unsigned dim, int64_t extent) {
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = extent;
  return RankedTensorType::get(shape, type.getElementType());
}

Value RepeatStripper::strip(Value tensor, unsigned dim, int64_t group) {
  int64_t extent = getType(tensor).getDimSize(dim);
  if (ShapedType::isDynamic(extent) || extent % group != 0)
    return nullptr;
  if (group == 1)
    return tensor;
  auto [entry, isNew] = known.try_emplace({tensor, {dim, group}}, nullptr);
  if (!isNew)
    return entry->second;
  OpBuilder::InsertionGuard guard(b);
  Value stripped = build(tensor, dim, group);
  if (!stripped)
    stripped = buildSlice(tensor, dim, group);
  if (stripped) {
    created.push_back(stripped.getDefiningOp());
    stripped = skipCopies(stripped);
  }
  return known[{tensor, {dim, group}}] = stripped;
}

/// The tensor that `tensor` is an unchanged copy of: a repeat that is stripped is one.
Value RepeatStripper::skipCopies(Value tensor) {
  SmallVector<ExprRef> indices;
  for (int64_t extent : getType(tensor).getShape())
    indices.push_back(tracer.exprs.getIndex(tracer.loops.create(extent)));
  ExprRef load = tracer.getLoad(tensor, indices);
  SmallVector<ExprRef> whole(load->operands);
  auto isWhole = [&](ExprRef other) {
    if (other->value.getType() != tensor.getType())
      return false;
    for (auto [dim, index] : llvm::enumerate(whole)) {
      ExprRef extent = skipCasts(tracer.getExtent(tensor, dim));
      if (!isEqual(index, other->operands[dim], tracer.loops) ||
          !isEqual(extent, skipCasts(tracer.getExtent(other->value, dim)), tracer.loops))
        return false;
    }
    return true;
  };
  for (load = tracer.expand(load); load && load->kind == Expr::Kind::load; load = tracer.expand(load))
    if (isWhole(load))
      tensor = load->value;
  return tensor;
}

void RepeatStripper::undo() {
  for (Operation *op : llvm::reverse(created))
    if (op->use_empty())
      op->erase();
  created.clear();
  known.clear();
}

Value RepeatStripper::build(Value tensor, unsigned dim, int64_t group) {
  auto result = dyn_cast<OpResult>(tensor);
  if (!result)
    return nullptr;
  Operation *op = result.getOwner();
  b.setInsertionPointAfter(op);
  RankedTensorType type = resize(getType(tensor), dim, getType(tensor).getDimSize(dim) / group);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return buildLinalg(linalgOp, result.getResultNumber(), dim, group);
  if (isa<tensor::CollapseShapeOp>(op))
    return buildCollapse(op, dim, group);
  if (isa<tensor::ExpandShapeOp>(op))
    return buildExpand(op, dim, group);
  if (isa<tensor::ConcatOp, tensor::InsertSliceOp>(op))
    return buildPieces(op, dim, group);
  if (isa<tensor::ExtractSliceOp>(op))
    return buildExtract(op, dim, group);
  if (OpTrait::hasElementwiseMappableTraits(op))
    return buildElementwise(op, dim, group);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return tensor::EmptyOp::create(b, op->getLoc(), type, empty.getDynamicSizes());
  DenseElementsAttr elements;
  if (matchPattern(tensor, m_Constant(&elements)) && elements.isSplat())
    return arith::ConstantOp::create(b, op->getLoc(), elements.resizeSplat(type));
  return nullptr;
}

/// The tensors that the body of `op` reads element by element at its loop number `loop`, in the order of a walk:
/// stripped ones, or null where the loop is no index. None if the body uses the loop for anything else.
std::optional<SmallVector<Value>> RepeatStripper::stripExtracts(linalg::LinalgOp op, unsigned loop, int64_t group) {
  SmallVector<Value> tensors;
  bool isIndexOnly = true;
  op->walk([&](linalg::IndexOp index) {
    if (index.getDim() == loop)
      isIndexOnly &= llvm::all_of(index->getUsers(), llvm::IsaPred<tensor::ExtractOp>);
  });
  if (!isIndexOnly)
    return std::nullopt;
  WalkResult result = op->walk([&](tensor::ExtractOp extract) {
    tensors.push_back(nullptr);
    for (auto [position, index] : llvm::enumerate(extract.getIndices())) {
      auto indexOp = index.getDefiningOp<linalg::IndexOp>();
      if (!indexOp || indexOp.getDim() != loop)
        continue;
      if (!tensors.back())
        tensors.back() = strip(extract.getTensor(), position, group);
      else
        return WalkResult::interrupt(); // a diagonal
      if (!tensors.back())
        return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return result.wasInterrupted() ? std::nullopt : std::optional(tensors);
}

/// The same op on stripped operands: what varies along the dimension only by its operands is as repeated as they are.
Value RepeatStripper::buildLinalg(linalg::LinalgOp op, unsigned result, unsigned dim, int64_t group) {
  auto loop = dyn_cast<AffineDimExpr>(op.getIndexingMapMatchingResult(op->getResult(result)).getResult(dim));
  if (!loop || !op.hasPureTensorSemantics())
    return nullptr;
  std::optional<SmallVector<Value>> extracted = stripExtracts(op, loop.getPosition(), group);
  if (!extracted)
    return nullptr;
  SmallVector<Value> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    for (auto [position, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
      if (!expr.isFunctionOfDim(loop.getPosition()))
        continue;
      value = expr == loop && value == operand.get() ? strip(value, position, group) : nullptr;
      if (!value)
        return nullptr;
    }
    operands.push_back(value);
  }
  b.setInsertionPointAfter(op);
  SmallVector<Type> types;
  for (OpOperand &init : op.getDpsInitsMutable())
    types.push_back(operands[init.getOperandNumber()].getType());
  Operation *stripped = mlir::clone(b, op, types, operands);
  ArrayRef<Value> next = *extracted;
  stripped->walk([&](tensor::ExtractOp extract) {
    if (next.front())
      extract.getTensorMutable().assign(next.front());
    next = next.drop_front();
  });
  return stripped->getResult(result);
}

Value RepeatStripper::buildElementwise(Operation *op, unsigned dim, int64_t group) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    operands.push_back(isa<RankedTensorType>(operand.getType()) ? strip(operand, dim, group) : operand);
    if (!operands.back() || op->getNumResults() != 1)
      return nullptr;
  }
  b.setInsertionPointAfter(op);
  RankedTensorType type = getType(op->getResult(0));
  return mlir::clone(b, op, resize(type, dim, type.getDimSize(dim) / group), operands)->getResult(0);
}

Value RepeatStripper::buildCollapse(Operation *op, unsigned dim, int64_t group) {
  auto collapse = cast<tensor::CollapseShapeOp>(op);
  Value source = collapse.getSrc();
  // The innermost dimensions repeat first.
  int64_t rest = group;
  ReassociationIndices parts = collapse.getReassociationIndices()[dim];
  for (int64_t part : llvm::reverse(parts)) {
    int64_t extent = getType(source).getDimSize(part);
    if (rest == 1)
      break;
    if (ShapedType::isDynamic(extent) || (extent % rest != 0 && rest % extent != 0))
      return nullptr;
    int64_t factor = std::min(extent, rest);
    source = strip(source, part, factor);
    if (!source)
      return nullptr;
    rest /= factor;
  }
  if (rest != 1)
    return nullptr;
  b.setInsertionPointAfter(op);
  RankedTensorType type = resize(collapse.getResultType(), dim, collapse.getResultType().getDimSize(dim) / group);
  return tensor::CollapseShapeOp::create(b, op->getLoc(), type, source, collapse.getReassociationIndices());
}

Value RepeatStripper::buildExpand(Operation *op, unsigned dim, int64_t group) {
  auto expand = cast<tensor::ExpandShapeOp>(op);
  RankedTensorType type = expand.getResultType();
  for (auto [sourceDim, parts] : llvm::enumerate(expand.getReassociationIndices())) {
    if (!llvm::is_contained(parts, dim))
      continue;
    // Only in steps of one through the source.
    for (int64_t part : llvm::reverse(parts)) {
      if (part == dim)
        break;
      if (type.getDimSize(part) != 1)
        return nullptr;
    }
    Value source = strip(expand.getSrc(), sourceDim, group);
    if (!source)
      return nullptr;
    b.setInsertionPointAfter(op);
    SmallVector<OpFoldResult> shape = expand.getMixedOutputShape();
    shape[dim] = b.getIndexAttr(type.getDimSize(dim) / group);
    return tensor::ExpandShapeOp::create(b, op->getLoc(), resize(type, dim, type.getDimSize(dim) / group), source,
                                         expand.getReassociationIndices(), shape);
  }
  return nullptr;
}

/// Tensors put together along another dimension.
Value RepeatStripper::buildPieces(Operation *op, unsigned dim, int64_t group) {
  int64_t extent = getType(op->getResult(0)).getDimSize(dim);
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    SmallVector<Value> pieces;
    for (Value input : concat.getInputs()) {
      pieces.push_back(concat.getDim() == dim ? Value() : strip(input, dim, group));
      if (!pieces.back())
        return nullptr;
    }
    b.setInsertionPointAfter(op);
    return tensor::ConcatOp::create(b, op->getLoc(), resize(concat.getResultType(), dim, extent / group),
                                    concat.getDim(), pieces);
  }
  auto insert = cast<tensor::InsertSliceOp>(op);
  if (insert.getSourceType().getRank() != insert.getType().getRank() ||
      insert.getSourceType().getDimSize(dim) != extent)
    return nullptr;
  Value source = strip(insert.getSource(), dim, group), dest = source ? strip(insert.getDest(), dim, group) : nullptr;
  if (!dest)
    return nullptr;
  b.setInsertionPointAfter(op);
  SmallVector<OpFoldResult> sizes = insert.getMixedSizes();
  sizes[dim] = b.getIndexAttr(extent / group);
  return tensor::InsertSliceOp::create(b, op->getLoc(), source, dest, insert.getMixedOffsets(), sizes,
                                       insert.getMixedStrides());
}

/// A slice that holds the whole dimension.
Value RepeatStripper::buildExtract(Operation *op, unsigned dim, int64_t group) {
  auto slice = cast<tensor::ExtractSliceOp>(op);
  llvm::SmallBitVector dropped = slice.getDroppedDims();
  unsigned sourceDim = 0;
  for (unsigned kept = 0; sourceDim < dropped.size(); ++sourceDim)
    if (!dropped[sourceDim] && kept++ == dim)
      break;
  RankedTensorType type = slice.getType();
  if (slice.getSourceType().getDimSize(sourceDim) != type.getDimSize(dim) || slice.isDynamicStride(sourceDim) ||
      slice.getStaticStride(sourceDim) != 1)
    return nullptr;
  Value source = strip(slice.getSource(), sourceDim, group);
  if (!source)
    return nullptr;
  b.setInsertionPointAfter(op);
  SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
  sizes[sourceDim] = b.getIndexAttr(type.getDimSize(dim) / group);
  return tensor::ExtractSliceOp::create(b, op->getLoc(), resize(type, dim, type.getDimSize(dim) / group), source,
                                        slice.getMixedOffsets(), sizes, slice.getMixedStrides());
}

Value RepeatStripper::buildSlice(Value tensor, unsigned dim, int64_t group) {
  RankedTensorType type = getType(tensor);
  Loop outer = tracer.loops.create(type.getDimSize(dim) / group), inner = tracer.loops.create(group);
  Type indexType = IndexType::get(b.getContext());
  SmallVector<ExprRef> indices;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    Linear index = i == dim ? add(tracer.loops.getIndex(inner), tracer.loops.getIndex(outer), group)
                            : tracer.loops.getIndex(tracer.loops.create(type.getDimSize(i)));
    indices.push_back(tracer.exprs.getIndex(index, indexType));
  }
  ExprRef load = tracer.getLoad(tensor, indices);
  for (ExprRef next = load; next && next->kind == Expr::Kind::load;) {
    load = next;
    next = tracer.expand(load);
    if (!next)
      next = tracer.expandByCases(load);
  }
  if (load->value == tensor || dependsOn(load, inner, tracer.loops))
    return nullptr;
  b.setInsertionPointAfterValue(tensor);
  Location loc = tensor.getLoc();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, tensor);
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)), strides(type.getRank(), b.getIndexAttr(1));
  sizes[dim] = b.getIndexAttr(type.getDimSize(dim) / group);
  strides[dim] = b.getIndexAttr(group);
  return tensor::ExtractSliceOp::create(b, loc, resize(type, dim, type.getDimSize(dim) / group), tensor, offsets, sizes,
                                        strides);
}

} // namespace mlir::gqa::raise
