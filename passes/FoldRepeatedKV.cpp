#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_FOLDREPEATEDKV
#include "passes/Passes.h.inc"

namespace {

/// A tensor as copies of a smaller one: element (i0, i1, ...) is element `map`(i0, i1, ...) of `source`, once its unit
/// dimensions are collapsed by `groups`. Dimensions that `map` does not mention are repetitions.
struct Repeated {
  Value source;
  AffineMap map; // a projected permutation
  SmallVector<ReassociationIndices> groups;

  /// The smaller tensor.
  Value build(OpBuilder &builder) const {
    auto type = cast<RankedTensorType>(source.getType());
    if (static_cast<int64_t>(groups.size()) == type.getRank())
      return source;
    return tensor::CollapseShapeOp::create(builder, source.getLoc(), source, groups);
  }
};

/// A copy of `source` read through `map`, whose constant 0 results read unit dimensions.
std::optional<Repeated> readCopy(Value source, AffineMap map) {
  auto type = cast<RankedTensorType>(source.getType());
  SmallVector<AffineExpr> kept;
  SmallVector<ReassociationIndices> groups;
  for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
    bool isUnitRead = isa<AffineConstantExpr>(expr);
    if (isUnitRead && (type.getDimSize(dim) != 1 || groups.empty()))
      return std::nullopt;
    if (!isUnitRead) {
      kept.push_back(expr);
      groups.emplace_back();
    }
    groups.back().push_back(dim); // a unit dimension joins its neighbour
  }
  AffineMap reduced = AffineMap::get(map.getNumDims(), 0, kept, map.getContext());
  if (!reduced.isProjectedPermutation())
    return std::nullopt;
  return Repeated{source, reduced, groups};
}

/// `value` as a copy made by linalg.broadcast or by a linalg.generic that yields its only input.
std::optional<Repeated> matchCopy(Value value) {
  if (auto broadcast = value.getDefiningOp<linalg::BroadcastOp>()) {
    unsigned rank = cast<RankedTensorType>(value.getType()).getRank();
    SmallVector<int64_t> added(broadcast.getDimensions());
    SmallVector<AffineExpr> kept;
    for (unsigned dim = 0; dim < rank; ++dim)
      if (!llvm::is_contained(added, static_cast<int64_t>(dim)))
        kept.push_back(getAffineDimExpr(dim, value.getContext()));
    return readCopy(broadcast.getInput(), AffineMap::get(rank, 0, kept, value.getContext()));
  }
  auto generic = value.getDefiningOp<linalg::GenericOp>();
  if (!generic || generic.getNumDpsInputs() != 1 || generic->getNumResults() != 1 ||
      generic.getNumReductionLoops() != 0)
    return std::nullopt;
  AffineMap outputMap = generic.getIndexingMapsArray()[1];
  if (!outputMap.isPermutation() ||
      generic.getBody()->getTerminator()->getOperand(0) != generic.getBody()->getArgument(0))
    return std::nullopt;
  AffineMap map = generic.getIndexingMapsArray()[0].compose(inversePermutation(outputMap));
  return readCopy(generic.getDpsInputs()[0], map);
}

/// The tensor that repeats each head of K or V `group` times in a row (repeat_interleave), as that smaller tensor and
/// the dims that it lists.
struct SharedHeads {
  Repeated copy;
  AffineMap map;
  int64_t group;
};

/// A permutation of `dims` by what `map` keeps of them.
AffineMap selectDims(AffineMap map, ArrayRef<Dim> dims) {
  SmallVector<Dim> selected;
  for (AffineExpr expr : map.getResults())
    selected.push_back(dims[cast<AffineDimExpr>(expr).getPosition()]);
  return getDimsMap(map.getContext(), selected);
}

/// `operand` as a collapse of [.., heads, group, ..] whose group dimension only repeats. The order of the two is what
/// tells repeat_interleave (h / G) from tile (h mod Hkv).
std::optional<SharedHeads> matchCollapsedRepeat(Value operand, AffineMap map) {
  std::optional<unsigned> headDim = getDimPosition(map, Dim::hkv);
  auto collapse = operand.getDefiningOp<tensor::CollapseShapeOp>();
  if (!headDim || !collapse)
    return std::nullopt;
  SmallVector<Dim> operandDims = getDims(map), expandedDims;
  auto expandedType = collapse.getSrcType();
  int64_t group = 0;
  for (auto [dim, indices] : llvm::enumerate(collapse.getReassociationIndices())) {
    if (dim == *headDim) {
      if (indices.size() != 2)
        return std::nullopt;
      expandedDims.push_back(Dim::hkv);
      expandedDims.push_back(Dim::g);
      group = expandedType.getDimSize(indices[1]);
      if (ShapedType::isDynamic(group) || ShapedType::isDynamic(expandedType.getDimSize(indices[0])))
        return std::nullopt;
    } else {
      if (indices.size() != 1)
        return std::nullopt;
      expandedDims.push_back(operandDims[dim]);
    }
  }
  std::optional<Repeated> copy = matchCopy(collapse.getSrc());
  if (!copy)
    return std::nullopt;
  AffineMap sharedMap = selectDims(copy->map, expandedDims);
  // Only the group may be repeated, and all else must be there.
  if (hasDim(sharedMap, Dim::g) || sharedMap.getNumResults() + 1 != expandedDims.size())
    return std::nullopt;
  return SharedHeads{*copy, sharedMap, group};
}

/// Splits dimension hkv of `operand` into (hkv, g).
std::pair<Value, AffineMap> splitHeads(OpBuilder &builder, Value operand, AffineMap map, int64_t group) {
  std::optional<unsigned> headDim = getDimPosition(map, Dim::hkv);
  if (!headDim)
    return {operand, map};
  auto type = cast<RankedTensorType>(operand.getType());
  SmallVector<int64_t> shape;
  SmallVector<ReassociationIndices> groups;
  SmallVector<Dim> dims;
  for (auto [position, dim] : llvm::enumerate(getDims(map))) {
    groups.emplace_back();
    groups.back().push_back(shape.size());
    dims.push_back(dim);
    int64_t extent = type.getDimSize(position);
    shape.push_back(position == *headDim ? extent / group : extent);
    if (position == *headDim) {
      groups.back().push_back(shape.size());
      shape.push_back(group);
      dims.push_back(Dim::g);
    }
  }
  auto expandedType = RankedTensorType::get(shape, type.getElementType());
  Value expanded = tensor::ExpandShapeOp::create(builder, operand.getLoc(), expandedType, operand, groups);
  return {expanded, getDimsMap(map.getContext(), dims)};
}

/// Attention over all query heads as K/V heads, whose K and V repeat a smaller tensor, becomes attention with a group.
struct FoldRepeatedHeads : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    SmallVector<AffineMap> maps = op.getMaps();
    if (llvm::any_of(maps, [](AffineMap map) { return hasDim(map, Dim::g); }))
      return rewriter.notifyMatchFailure(op, "has a group dimension already");
    std::optional<SharedHeads> key = matchCollapsedRepeat(op.getKey(), op.getKeyMap());
    std::optional<SharedHeads> value = matchCollapsedRepeat(op.getValue(), op.getValueMap());
    if (!key || !value)
      return rewriter.notifyMatchFailure(op, "key and value do not both repeat each head in a row");
    if (key->group != value->group)
      return rewriter.notifyMatchFailure(op, "key and value repeat their heads differently often");
    rewriter.setInsertionPoint(op);

    SmallVector<Value> operands;
    SmallVector<AffineMap> newMaps;
    for (auto [operand, map] : llvm::zip_equal(op->getOpOperands(), maps)) {
      std::pair<Value, AffineMap> split;
      if (&operand == &op.getKeyMutable())
        split = {key->copy.build(rewriter), key->map};
      else if (&operand == &op.getValueMutable())
        split = {value->copy.build(rewriter), value->map};
      else
        split = splitHeads(rewriter, operand.get(), map, key->group);
      operands.push_back(split.first);
      newMaps.push_back(split.second);
    }
    SmallVector<NamedAttribute> attributes(op->getAttrs());
    llvm::erase_if(attributes, [&](NamedAttribute attribute) {
      return attribute.getName() == op.getIndexingMapsAttrName() || attribute.getName() == op.getScheduleAttrName();
    });
    attributes.push_back(rewriter.getNamedAttr(op.getIndexingMapsAttrName(), rewriter.getAffineMapArrayAttr(newMaps)));
    SmallVector<Type> types;
    for (size_t i = operands.size() - op.getOutputs().size(); i < operands.size(); ++i)
      types.push_back(operands[i].getType());
    auto folded = AttentionOp::create(rewriter, op.getLoc(), types, operands, attributes);

    SmallVector<Value> results;
    for (auto [result, expanded] : llvm::zip_equal(op.getResults(), folded.getResults()))
      results.push_back(mergeHeads(rewriter, expanded, newMaps[newMaps.size() - op->getNumResults() + results.size()],
                                   cast<RankedTensorType>(result.getType())));
    rewriter.replaceOp(op, results);
    return success();
  }

private:
  static Value mergeHeads(OpBuilder &builder, Value value, AffineMap map, RankedTensorType type) {
    SmallVector<ReassociationIndices> groups;
    for (auto [position, dim] : llvm::enumerate(getDims(map))) {
      if (dim != Dim::g)
        groups.emplace_back();
      groups.back().push_back(position);
    }
    if (groups.size() == map.getNumResults())
      return value;
    return tensor::CollapseShapeOp::create(builder, value.getLoc(), type, value, groups);
  }
};

/// Key and value that list g but only repeat along it lose the dimension.
struct DropRepeatedGroup : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!hasDim(op.getKeyMap(), Dim::g))
      return rewriter.notifyMatchFailure(op, "key has no group dimension");
    std::optional<SharedHeads> key = match(op.getKey(), op.getKeyMap());
    std::optional<SharedHeads> value = match(op.getValue(), op.getValueMap());
    if (!key || !value)
      return rewriter.notifyMatchFailure(op, "key and value do not both repeat along g");
    SmallVector<AffineMap> maps = op.getMaps();
    maps[op.getKeyMutable().getOperandNumber()] = key->map;
    maps[op.getValueMutable().getOperandNumber()] = value->map;
    rewriter.setInsertionPoint(op);
    Value sharedKey = key->copy.build(rewriter), sharedValue = value->copy.build(rewriter);
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(sharedKey);
      op.getValueMutable().assign(sharedValue);
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
  }

private:
  static std::optional<SharedHeads> match(Value operand, AffineMap map) {
    std::optional<Repeated> copy = matchCopy(operand);
    if (!copy)
      return std::nullopt;
    AffineMap sharedMap = selectDims(copy->map, getDims(map));
    if (hasDim(sharedMap, Dim::g) || sharedMap.getNumResults() + 1 != map.getNumResults())
      return std::nullopt;
    return SharedHeads{*copy, sharedMap, /*group=*/0};
  }
};

struct FoldRepeatedKV : impl::FoldRepeatedKVBase<FoldRepeatedKV> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldRepeatedHeads, DropRepeatedGroup>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
