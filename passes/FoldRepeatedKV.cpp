#include "passes/Passes.h"
#include "passes/RepeatedHeads.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_FOLDREPEATEDKV
#include "passes/Passes.h.inc"

namespace {

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
    std::optional<RepeatedHeads> key = findRepeatedHeads(op.getKey(), op.getKeyMap());
    std::optional<RepeatedHeads> value = findRepeatedHeads(op.getValue(), op.getValueMap());
    if (!key || !value)
      return rewriter.notifyMatchFailure(op, "key and value do not both repeat each head in a row");
    if (key->group != value->group)
      return rewriter.notifyMatchFailure(op, "key and value repeat their heads differently often");
    for (auto [operand, map] : llvm::zip_equal(op.getTensors(), maps))
      if (std::optional<unsigned> dim = getDimPosition(map, Dim::hkv))
        if (cast<RankedTensorType>(operand.getType()).isDynamicDim(*dim))
          return rewriter.notifyMatchFailure(op, "an operand's type does not show how many heads it has");
    rewriter.setInsertionPoint(op);

    SmallVector<Value> operands;
    SmallVector<AffineMap> newMaps;
    for (auto [operand, map] : llvm::zip_equal(op->getOpOperands(), maps)) {
      std::pair<Value, AffineMap> split;
      if (&operand == &op.getKeyMutable())
        split = {key->build(rewriter), key->map};
      else if (&operand == &op.getValueMutable())
        split = {value->build(rewriter), value->map};
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
    std::optional<RepeatedHeads> key = findRepeatedHeads(op.getKey(), op.getKeyMap());
    std::optional<RepeatedHeads> value = findRepeatedHeads(op.getValue(), op.getValueMap());
    int64_t group = getStaticExtent(op.getMaps(), op.getOperands(), Dim::g);
    if (!key || !value || key->group != group || value->group != group)
      return rewriter.notifyMatchFailure(op, "key and value do not both repeat along g alone");
    SmallVector<AffineMap> maps = op.getMaps();
    maps[op.getKeyMutable().getOperandNumber()] = key->map;
    maps[op.getValueMutable().getOperandNumber()] = value->map;
    rewriter.setInsertionPoint(op);
    Value sharedKey = key->build(rewriter), sharedValue = value->build(rewriter);
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(sharedKey);
      op.getValueMutable().assign(sharedValue);
      op.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    return success();
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
