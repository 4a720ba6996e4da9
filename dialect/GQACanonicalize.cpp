// What is trivially redundant in gqa.attention: a mask that masks nothing, a window that bounds nothing.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// Removes an operand and its map.
void eraseOperand(RewriterBase &rewriter, AttentionOp op, MutableOperandRange operand) {
  SmallVector<Attribute> maps(op.getIndexingMaps().getValue());
  maps.erase(maps.begin() + (*operand.begin()).getOperandNumber());
  rewriter.modifyOpInPlace(op, [&] {
    operand.clear();
    op.setIndexingMapsAttr(rewriter.getArrayAttr(maps));
  });
}

/// The constant that every element of `tensor` holds, if it is a splat constant or a fill.
Attribute getSplat(Value tensor) {
  if (auto fill = tensor.getDefiningOp<linalg::FillOp>()) {
    Attribute value;
    return matchPattern(fill.getInputs()[0], m_Constant(&value)) ? value : Attribute();
  }
  DenseElementsAttr elements;
  if (matchPattern(tensor, m_Constant(&elements)) && elements.isSplat())
    return elements.getSplatValue<Attribute>();
  return {};
}

struct DropAllTrueMask : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getMask())
      return rewriter.notifyMatchFailure(op, "has no mask");
    auto value = dyn_cast_or_null<IntegerAttr>(getSplat(op.getMask()));
    if (!value || value.getValue().isZero())
      return rewriter.notifyMatchFailure(op, "mask is not known to be all true");
    eraseOperand(rewriter, op, op.getMaskMutable());
    return success();
  }
};

struct DropZeroBias : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getBias())
      return rewriter.notifyMatchFailure(op, "has no bias");
    auto value = dyn_cast_or_null<FloatAttr>(getSplat(op.getBias()));
    if (!value || !value.getValue().isZero())
      return rewriter.notifyMatchFailure(op, "bias is not known to be zero");
    eraseOperand(rewriter, op, op.getBiasMutable());
    return success();
  }
};

/// With `top_left`, positions are 0 .. M-1 and keys 0 .. N-1: a window at least as wide as the distance between the
/// farthest two bounds nothing. Causal makes a right extent redundant whatever the alignment.
struct DropWideWindow : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    int64_t rows = getStaticExtent(op.getMaps(), op.getOperands(), Dim::m);
    int64_t keys = getStaticExtent(op.getMaps(), op.getOperands(), Dim::n);
    bool isTopLeft = op.getAlignment() == Alignment::TopLeft;
    bool dropLeft = op.getWindowLeft() && isTopLeft && !ShapedType::isDynamic(rows) &&
                    static_cast<int64_t>(*op.getWindowLeft()) >= rows - 1;
    bool dropRight =
        op.getWindowRight() && (op.getCausal() || (isTopLeft && !ShapedType::isDynamic(keys) &&
                                                   static_cast<int64_t>(*op.getWindowRight()) >= keys - 1));
    if (!dropLeft && !dropRight)
      return rewriter.notifyMatchFailure(op, "no side of the window is known to be redundant");
    rewriter.modifyOpInPlace(op, [&] {
      if (dropLeft)
        op.removeWindowLeftAttr();
      if (dropRight)
        op.removeWindowRightAttr();
      if (!op.isMaskedByPosition())
        op.removeAlignmentAttr();
    });
    return success();
  }
};

} // namespace

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<DropAllTrueMask, DropZeroBias, DropWideWindow>(context);
}

LogicalResult AttentionOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  for (Value output : getOutputs())
    shapes.push_back(tensor::getMixedSizes(builder, getLoc(), output));
  return success();
}
