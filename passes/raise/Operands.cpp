#include "passes/raise/Operands.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa::raise {

//===-- Views -----------------------------------------------------------------------------------------------------===//

std::optional<NamedTensor> OperandBuilder::buildView(ExprRef load) {
  Value tensor = load->value;
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> offsets, sizes, strides;
  SmallVector<int64_t> sliced, expanded;
  SmallVector<ReassociationIndices> groups;
  SmallVector<Dim> dims;
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
          llvm::is_contained(dims, names.lookup(loop)))
        return std::nullopt;
      int64_t extent = tracer.loops.getExtent(loop);
      size = ShapedType::isDynamic(extent) ? extent : size * extent;
    }
    for (auto [loop, coefficient] : terms) {
      groups.back().push_back(expanded.size());
      expanded.push_back(tracer.loops.getExtent(loop));
      dims.push_back(names.lookup(loop));
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
  return NamedTensor{tensor, dims};
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
  llvm::sort(loops, [&](Loop x, Loop y) { return names.lookup(x) < names.lookup(y); });
  SmallVector<Dim> dims = llvm::map_to_vector(loops, [&](Loop loop) { return names.lookup(loop); });
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
    std::optional<NamedTensor> view = buildView(part);
    if (!view)
      return;
    SmallVector<AffineExpr> results = llvm::map_to_vector(
        view->dims, [&](Dim dim) { return b.getAffineDimExpr(llvm::find(dims, dim) - dims.begin()); });
    loads.push_back(part);
    inputs.push_back(view->tensor);
    maps.push_back(AffineMap::get(dims.size(), 0, results, b.getContext()));
  });
  maps.push_back(b.getMultiDimIdentityMap(dims.size()));
  Value empty = tensor::EmptyOp::create(b, loc, sizes, expr->type);
  SmallVector<utils::IteratorType> iterators(dims.size(), utils::IteratorType::parallel);
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
  return NamedTensor{generic.getResult(0), dims};
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
