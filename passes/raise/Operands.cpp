#include "passes/raise/Operands.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa::raise {

//===-- Views -----------------------------------------------------------------------------------------------------===//

std::optional<NamedTensor> OperandBuilder::buildView(ExprRef load) {
  std::optional<View> view = buildSlice(load);
  return view ? mergeBatch(*view) : std::nullopt;
}

std::optional<OperandBuilder::View> OperandBuilder::buildSlice(ExprRef load) {
  Value tensor = load->value;
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> sliced, expanded;
  SmallVector<ReassociationIndices> groups;
  SmallVector<Loop> loops;
  bool isWhole = true, isMerged = false;
  for (auto [dim, operand] : llvm::enumerate(load->operands)) {
    std::optional<Linear> index = tracer.exprs.getLinear(operand);
    if (!index || index->constant < 0)
      return std::nullopt;
    SmallVector<Linear::Term, 2> terms = index->getOutermostFirst();
    int64_t stride = terms.empty() ? 1 : terms.back().second, size = 1;
    groups.emplace_back();
    for (auto [loop, coefficient] : llvm::reverse(terms)) {
      if (coefficient != stride * size || stride <= 0 || ShapedType::isDynamic(size) || !names.contains(loop) ||
          llvm::is_contained(loops, loop))
        return std::nullopt;
      int64_t extent = tracer.loops.getExtent(loop);
      size = ShapedType::isDynamic(extent) ? extent : size * extent;
    }
    for (auto [loop, coefficient] : terms) {
      groups.back().push_back(expanded.size());
      expanded.push_back(tracer.loops.getExtent(loop));
      loops.push_back(loop);
    }
    if (terms.empty())
      groups.pop_back();
    else
      sliced.push_back(size);
    bool isDynamic = ShapedType::isDynamic(size);
    if (isDynamic && (index->constant != 0 || stride != 1))
      return std::nullopt;
    isMerged |= terms.size() > 1;
    isWhole &= !terms.empty() && index->constant == 0 && stride == 1 && (isDynamic || size == type.getDimSize(dim));
    offsets.push_back(b.getIndexAttr(index->constant));
    sizes.push_back(isDynamic ? tensor::getMixedSize(b, loc, tensor, dim) : b.getIndexAttr(size));
    strides.push_back(b.getIndexAttr(stride));
  }
  if (!isWhole)
    tensor = tensor::ExtractSliceOp::create(b, loc, RankedTensorType::get(sliced, type.getElementType()), tensor,
                                            offsets, sizes, strides);
  if (isMerged) {
    auto expandedType = RankedTensorType::get(expanded, type.getElementType());
    tensor = tensor::ExpandShapeOp::create(b, loc, expandedType, tensor, groups);
  }
  return View{tensor, loops};
}

std::optional<SmallVector<Dim>> OperandBuilder::getDims(ArrayRef<Loop> loops) {
  SmallVector<Dim> dims;
  while (!loops.empty()) {
    size_t count = isBatch(loops[0]) ? batch.size() : 1;
    if (count > 1 && loops.take_front(count) != ArrayRef(batch))
      return std::nullopt;
    dims.push_back(names.lookup(loops[0]));
    loops = loops.drop_front(count);
  }
  return dims;
}

/// The view with the dimensions of the batch as one. None if they do not lie side by side in their order.
std::optional<NamedTensor> OperandBuilder::mergeBatch(const View &view) {
  std::optional<SmallVector<Dim>> dims = getDims(view.loops);
  if (!dims)
    return std::nullopt;
  if (dims->size() == view.loops.size())
    return NamedTensor{view.tensor, *dims};
  SmallVector<ReassociationIndices> groups;
  int64_t next = 0;
  for (Dim dim : *dims) {
    groups.emplace_back();
    for (size_t i = 0, count = dim == Dim::b ? batch.size() : 1; i < count; ++i)
      groups.back().push_back(next++);
  }
  return NamedTensor{tensor::CollapseShapeOp::create(b, loc, view.tensor, groups), *dims};
}

Value OperandBuilder::splitBatch(Value tensor, ArrayRef<Dim> dims) {
  if (batch.empty() || !llvm::is_contained(dims, Dim::b))
    return tensor;
  SmallVector<ReassociationIndices> groups;
  SmallVector<int64_t> shape;
  auto type = cast<RankedTensorType>(tensor.getType());
  for (auto [position, dim] : llvm::enumerate(dims)) {
    groups.emplace_back();
    auto add = [&](int64_t extent) {
      groups.back().push_back(shape.size());
      shape.push_back(extent);
    };
    if (dim != Dim::b)
      add(type.getDimSize(position));
    else
      for (Loop loop : batch)
        add(tracer.loops.getExtent(loop));
  }
  return tensor::ExpandShapeOp::create(b, loc, RankedTensorType::get(shape, type.getElementType()), tensor, groups);
}

Value OperandBuilder::buildReshape(Value tensor, ArrayRef<int64_t> groupSizes, RankedTensorType type) {
  SmallVector<ReassociationIndices> merges, inserts;
  SmallVector<int64_t> merged;
  ReassociationIndices leading; // dimensions of extent 1 in front join the first group
  int64_t source = 0;
  for (auto [dim, size] : llvm::enumerate(groupSizes)) {
    if (size == 0) {
      (inserts.empty() ? leading : inserts.back()).push_back(dim);
      continue;
    }
    merges.emplace_back(llvm::to_vector(llvm::seq<int64_t>(source, source + size)));
    merged.push_back(type.getDimSize(dim));
    inserts.emplace_back();
    if (inserts.size() == 1)
      inserts.back() = leading;
    inserts.back().push_back(dim);
    source += size;
  }
  if (merges.size() != static_cast<size_t>(cast<RankedTensorType>(tensor.getType()).getRank()))
    tensor =
        tensor::CollapseShapeOp::create(b, loc, RankedTensorType::get(merged, type.getElementType()), tensor, merges);
  if (tensor.getType() != type)
    tensor = tensor::ExpandShapeOp::create(b, loc, type, tensor, inserts);
  return tensor;
}

//===-- Computed tensors ------------------------------------------------------------------------------------------===//

OpFoldResult OperandBuilder::getExtent(Dim dim, int64_t staticExtent) {
  if (!ShapedType::isDynamic(staticExtent))
    return b.getIndexAttr(staticExtent);
  for (const NamedTensor &named : extents)
    for (auto [position, other] : llvm::enumerate(named.dims))
      if (other == dim)
        return tensor::getMixedSize(b, loc, named.tensor, position);
  llvm_unreachable("query, key and value list every dimension");
}

std::optional<NamedTensor> OperandBuilder::build(ExprRef expr) {
  SmallVector<Loop> loops = getLoops(expr, tracer.loops);
  if (!llvm::all_of(loops, [&](Loop loop) { return names.contains(loop); }))
    return std::nullopt;
  bool variesAlongBatch = llvm::any_of(loops, [&](Loop loop) { return isBatch(loop); });
  llvm::erase_if(loops, [&](Loop loop) { return isBatch(loop); });
  llvm::sort(loops, [&](Loop x, Loop y) { return names.lookup(x) < names.lookup(y); });
  if (variesAlongBatch)
    loops.insert(loops.begin(), batch.begin(), batch.end()); // b comes first
  SmallVector<OpFoldResult> sizes = llvm::map_to_vector(
      loops, [&](Loop loop) { return getExtent(names.lookup(loop), tracer.loops.getExtent(loop)); });
  // Views are inputs; other loads are read element by element.
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<ExprRef> loads;
  walk(expr, [&](ExprRef part) {
    if (part->kind != Expr::Kind::load)
      return;
    for (auto [position, known] : llvm::enumerate(loads))
      if (isEqual(part, known, tracer.loops))
        return;
    std::optional<View> view = buildSlice(part);
    if (!view)
      return;
    SmallVector<AffineExpr> results = llvm::map_to_vector(
        view->loops, [&](Loop loop) { return b.getAffineDimExpr(llvm::find(loops, loop) - loops.begin()); });
    loads.push_back(part);
    inputs.push_back(view->tensor);
    maps.push_back(AffineMap::get(loops.size(), 0, results, b.getContext()));
  });
  maps.push_back(b.getMultiDimIdentityMap(loops.size()));
  Value empty = tensor::EmptyOp::create(b, loc, sizes, expr->type);
  SmallVector<utils::IteratorType> iterators(loops.size(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, loc, empty.getType(), inputs, empty, maps, iterators, [&](OpBuilder &nested, Location, ValueRange args) {
        DenseMap<ExprRef, Value> known;
        walk(expr, [&](ExprRef part) {
          if (part->kind == Expr::Kind::load)
            for (auto [load, arg] : llvm::zip(loads, args))
              if (isEqual(part, load, tracer.loops))
                known[part] = arg;
        });
        linalg::YieldOp::create(nested, loc, buildElement(nested, expr, known, loops));
      });
  return mergeBatch({generic.getResult(0), loops});
}

Value OperandBuilder::buildElement(OpBuilder &nested, ExprRef expr, DenseMap<ExprRef, Value> &known,
                                   ArrayRef<Loop> loops) {
  if (Value value = known.lookup(expr))
    return value;
  Value value;
  SmallVector<Value> operands;
  for (ExprRef operand : expr->operands)
    operands.push_back(buildElement(nested, operand, known, loops));
  switch (expr->kind) {
  case Expr::Kind::number:
    if (isa<FloatType>(expr->type))
      value = arith::ConstantOp::create(nested, loc, nested.getFloatAttr(expr->type, expr->number));
    else
      value =
          arith::ConstantOp::create(nested, loc, nested.getIntegerAttr(expr->type, static_cast<int64_t>(expr->number)));
    break;
  case Expr::Kind::index:
    value = buildIndex(nested, expr, loops);
    break;
  case Expr::Kind::load:
    value = tensor::ExtractOp::create(nested, loc, expr->value, operands);
    break;
  case Expr::Kind::scalar:
    value =
        expr->isExtent() ? Value(tensor::DimOp::create(nested, loc, expr->value, int64_t(expr->number))) : expr->value;
    break;
  case Expr::Kind::op: {
    OperationState state(loc, *expr->name, operands, expr->type, {});
    state.addAttributes(expr->attributes.getValue());
    value = nested.create(state)->getResult(0);
    break;
  }
  }
  return known[expr] = value;
}

Value OperandBuilder::buildIndex(OpBuilder &nested, ExprRef expr, ArrayRef<Loop> loops) {
  Linear index = tracer.loops.resolve(expr->index);
  Value sum =
      index.constant != 0 || index.isConstant() ? arith::ConstantIndexOp::create(nested, loc, index.constant) : Value();
  for (auto [loop, coefficient] : index.terms) {
    Value term = linalg::IndexOp::create(nested, loc, llvm::find(loops, loop) - loops.begin());
    if (coefficient != 1)
      term = arith::MulIOp::create(nested, loc, term, arith::ConstantIndexOp::create(nested, loc, coefficient));
    sum = sum ? arith::AddIOp::create(nested, loc, sum, term) : term;
  }
  if (expr->type.isIndex())
    return sum;
  Type integer = isa<FloatType>(expr->type) ? nested.getI64Type() : expr->type;
  sum = arith::IndexCastOp::create(nested, loc, integer, sum);
  return isa<FloatType>(expr->type) ? Value(arith::SIToFPOp::create(nested, loc, expr->type, sum)) : sum;
}

} // namespace mlir::gqa::raise
