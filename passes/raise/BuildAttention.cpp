#include "passes/raise/BuildAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Diagnostics.h"

namespace mlir::gqa::raise {

std::optional<Mismatch> AttentionBuilder::build(const std::optional<Lse> &lse) {
  shareHeads();
  if (std::optional<Mismatch> mismatch = nameLoops())
    return mismatch;
  placeMasks();
  b.setInsertionPoint(softmax.root.getDefiningOp());
  if (std::optional<Mismatch> mismatch = addTensors())
    return mismatch;
  return finish(lse);
}

std::optional<Mismatch> AttentionBuilder::addTensors() {
  Operation *op = softmax.root.getDefiningOp();
  SmallVector<NamedTensor> views;
  for (ExprRef load : {softmax.query, softmax.key, softmax.value}) {
    std::optional<NamedTensor> view = operands.buildView(load);
    if (!view)
      return Mismatch{op, "reads an operand that is no view of a tensor"};
    views.push_back(*view);
  }
  operands.setExtents(views);
  if (!softmax.scores.factors.empty()) {
    ExprRef scaled = softmax.query;
    for (ExprRef factor : softmax.scores.factors) {
      Type f32 = b.getF32Type();
      auto widen = [&](ExprRef expr) {
        return expr->type.isF32() ? expr : tracer.exprs.getOp<arith::ExtFOp>({expr}, f32);
      };
      scaled = tracer.exprs.getOp<arith::MulFOp>({widen(scaled), widen(factor)}, f32);
    }
    std::optional<NamedTensor> query = operands.build(scaled);
    if (!query)
      return Mismatch{op, "scales the scores by something over dimensions that the query does not have"};
    views[0] = *query;
    operands.setExtents(views);
  }
  for (const NamedTensor &view : views) {
    tensors.push_back(view.tensor);
    maps.push_back(getDimsMap(b.getContext(), view.dims));
    segments.push_back(1);
  }
  constexpr Dim kScoreDims[] = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n};
  constexpr Dim kBatch[] = {Dim::b}, kHeads[] = {Dim::hkv, Dim::g};
  ExprRef sink = softmax.sink;
  for (auto [expr, allowed, isBoolean, name] : {std::tuple(sumBiases(), ArrayRef<Dim>(kScoreDims), false, "bias"),
                                                std::tuple(combineMasks(), ArrayRef<Dim>(kScoreDims), true, "mask"),
                                                std::tuple(getKvLen(), ArrayRef<Dim>(kBatch), false, "length"),
                                                std::tuple(offset, ArrayRef<Dim>(kBatch), false, "offset"),
                                                std::tuple(sink, ArrayRef<Dim>(kHeads), false, "sink")})
    if (std::optional<Mismatch> mismatch = addOperand(expr, allowed, isBoolean, name))
      return mismatch;
  return std::nullopt;
}

/// Adds `expr` as an operand: the tensor itself if it is a view, else one that is computed.
std::optional<Mismatch> AttentionBuilder::addOperand(ExprRef expr, ArrayRef<Dim> allowed, bool isBoolean,
                                                     StringRef name) {
  segments.push_back(expr ? 1 : 0);
  if (!expr)
    return std::nullopt;
  Operation *op = expr->origin ? expr->origin : softmax.root.getDefiningOp();
  for (Loop loop : getLoops(expr, tracer.loops))
    if (!names.contains(loop) || !llvm::is_contained(allowed, names.lookup(loop)))
      return Mismatch{op, (Twine("computes a ") + name + " over a dimension that it cannot have").str()};
  ExprRef stripped = skipCasts(expr);
  std::optional<NamedTensor> operand;
  if (stripped->kind == Expr::Kind::load && (stripped->type == expr->type || !isBoolean) && !stripped->type.isIndex() &&
      !stripped->type.isF64())
    operand = operands.buildView(stripped);
  if (!operand) {
    if (isBoolean)
      expr = tracer.exprs.getOp<arith::ExtUIOp>({expr}, b.getI8Type());
    operand = operands.build(expr);
  }
  if (!operand)
    return Mismatch{op, (Twine("computes a ") + name + " in a way that cannot be taken out").str()};
  tensors.push_back(operand->tensor);
  maps.push_back(getDimsMap(b.getContext(), operand->dims));
  return std::nullopt;
}

/// The product of the extents of the loops that are `dim`.
int64_t AttentionBuilder::getStaticExtent(Dim dim, ArrayRef<Loop> loops) {
  int64_t extent = 1;
  for (Loop loop : loops)
    if (names.lookup(loop) == dim)
      extent = ShapedType::isDynamic(tracer.loops.getExtent(loop)) ? ShapedType::kDynamic
                                                                   : extent * tracer.loops.getExtent(loop);
  return extent;
}

std::optional<SmallVector<Dim>> AttentionBuilder::addOutput(ArrayRef<Loop> loops, Type elementType) {
  std::optional<SmallVector<Dim>> dims = operands.getDims(loops);
  if (!dims)
    return std::nullopt;
  SmallVector<OpFoldResult> sizes =
      llvm::map_to_vector(*dims, [&](Dim dim) { return operands.getExtent(dim, getStaticExtent(dim, loops)); });
  tensors.push_back(tensor::EmptyOp::create(b, loc, sizes, elementType));
  maps.push_back(getDimsMap(b.getContext(), *dims));
  return dims;
}

/// The op writes its output as the last transposition or reshape leaves it.
Arrangement AttentionBuilder::arrangeOutput() {
  Arrangement first{softmax.root, {}};
  for (Loop root : softmax.rootLoops) {
    first.dims.emplace_back();
    for (auto [loop, coefficient] : tracer.loops.getIndex(root).getOutermostFirst())
      first.dims.back().push_back(loop);
  }
  SmallVector<Arrangement> arrangements = followArrangements(first, tracer.loops);
  while (arrangements.size() > 1 && !operands.getDims(arrangements.back().getLoops()))
    arrangements.pop_back();
  return arrangements.back();
}

std::optional<Mismatch> AttentionBuilder::finish(const std::optional<Lse> &lse) {
  Arrangement output = arrangeOutput();
  replaced = output.tensor;
  auto type = cast<RankedTensorType>(replaced.getType());
  size_t inputs = tensors.size();
  std::optional<SmallVector<Dim>> dims = addOutput(output.getLoops(), type.getElementType()), lseDims;
  if (lse)
    lseDims = addOutput(lse->loops, b.getF32Type());
  if (!dims || (lse && !lseDims))
    return Mismatch{softmax.root.getDefiningOp(), "has batch dimensions that do not lie side by side"};
  SmallVector<Type> types =
      llvm::map_to_vector(ArrayRef(tensors).drop_front(inputs), [](Value t) { return t.getType(); });
  segments.append({0, 0, 0, 0, int32_t(types.size())}); // nothing of a KV cache

  SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(maps)),
                                            b.getNamedAttr("scale", b.getF32FloatAttr(softmax.scores.scale)),
                                            b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
  if (softmax.scores.softcap)
    attributes.push_back(b.getNamedAttr("softcap", b.getF32FloatAttr(*softmax.scores.softcap)));
  if (isCausal)
    attributes.push_back(b.getNamedAttr("causal", b.getUnitAttr()));
  if (alignment)
    attributes.push_back(b.getNamedAttr("alignment", AlignmentAttr::get(b.getContext(), *alignment)));
  if (windowLeft)
    attributes.push_back(b.getNamedAttr("window_left", b.getI64IntegerAttr(*windowLeft)));
  if (windowRight)
    attributes.push_back(b.getNamedAttr("window_right", b.getI64IntegerAttr(*windowRight)));
  attention = AttentionOp::create(b, loc, types, tensors, attributes);

  std::string complaint;
  {
    ScopedDiagnosticHandler handler(b.getContext(), [&](Diagnostic &diagnostic) {
      complaint = diagnostic.str();
      return success();
    });
    if (failed(attention.verify()))
      return Mismatch{softmax.root.getDefiningOp(), "is attention that gqa.attention cannot say: " + complaint};
  }
  replacement = operands.buildReshape(operands.splitBatch(attention.getResult(0), *dims), output.getGroupSizes(), type);
  if (lse)
    lseReplacement = operands.buildReshape(operands.splitBatch(attention.getResult(1), *lseDims), lse->groupSizes,
                                           cast<RankedTensorType>(lse->value.getType()));
  return std::nullopt;
}

} // namespace mlir::gqa::raise
