// What is trivially redundant in gqa.attention: masks and bounds that hide nothing, operands that add nothing, an lse
// that nobody uses. Casts to less static types are folded into the op by the tensor dialect, for every op that writes
// to destinations.

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

/// Whether every element of `tensor` is known to be an integer of which `predicate` holds.
bool isSplatInteger(Value tensor, function_ref<bool(const APInt &)> predicate) {
  auto value = dyn_cast_or_null<IntegerAttr>(getSplat(tensor));
  return value && predicate(value.getValue());
}

bool isSplatFloat(Value tensor, function_ref<bool(const APFloat &)> predicate) {
  auto value = dyn_cast_or_null<FloatAttr>(getSplat(tensor));
  return value && predicate(value.getValue());
}

/// The extent of `dim`, if it is static.
std::optional<int64_t> getKnownExtent(AttentionOp op, Dim dim) {
  int64_t extent = getStaticExtent(op.getMaps(), op.getTensors(), dim);
  return ShapedType::isDynamic(extent) ? std::nullopt : std::optional(extent);
}

struct DropAllTrueMask : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getMask() || !isSplatInteger(op.getMask(), [](const APInt &value) { return !value.isZero(); }))
      return rewriter.notifyMatchFailure(op, "has no mask that is known to be all true");
    eraseOperand(rewriter, op, op.getMaskMutable());
    return success();
  }
};

struct DropZeroBias : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getBias() || !isSplatFloat(op.getBias(), [](const APFloat &value) { return value.isZero(); }))
      return rewriter.notifyMatchFailure(op, "has no bias that is known to be zero");
    eraseOperand(rewriter, op, op.getBiasMutable());
    return success();
  }
};

/// A sink of -inf adds exp(-inf) = 0 to the denominator.
struct DropInfiniteSink : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    auto isNegInf = [](const APFloat &value) { return value.isInfinity() && value.isNegative(); };
    if (!op.getSink() || !isSplatFloat(op.getSink(), isNegInf))
      return rewriter.notifyMatchFailure(op, "has no sink that is known to be -inf");
    eraseOperand(rewriter, op, op.getSinkMutable());
    return success();
  }
};

struct DropFullLength : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    std::optional<int64_t> keys = getKnownExtent(op, Dim::n);
    if (!op.getKvLen() || !keys || !isSplatInteger(op.getKvLen(), [&](const APInt &value) { return value.sge(*keys); }))
      return rewriter.notifyMatchFailure(op, "has no kv_len that is known to take in all keys");
    eraseOperand(rewriter, op, op.getKvLenMutable());
    return success();
  }
};

/// Rows that stand at 0, 1, ... say so by `align top_left`.
struct NameTopLeft : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    bool hasZeroOffset = op.getOffset() && isSplatInteger(op.getOffset(), [](const APInt &v) { return v.isZero(); });
    std::optional<int64_t> rows = getKnownExtent(op, Dim::m);
    bool isSquare = op.getAlignment() == Alignment::BottomRight && !op.getKvLen() && !op.getLength() && rows &&
                    rows == getKnownExtent(op, Dim::n);
    if (!hasZeroOffset && !isSquare)
      return rewriter.notifyMatchFailure(op, "rows are not known to start at key 0");
    if (hasZeroOffset)
      eraseOperand(rewriter, op, op.getOffsetMutable());
    rewriter.modifyOpInPlace(op, [&] { op.setAlignmentAttr(AlignmentAttr::get(op.getContext(), Alignment::TopLeft)); });
    return success();
  }
};

/// Drops bounds that no key lies beyond. With `top_left`, rows stand at 0 .. M-1 and keys at 0 .. N-1; with
/// `bottom_right`, the last row stands at the last key, which is N-1 at most. `causal` is a right extent of 0, and
/// makes any other redundant: so a single last row, as in decoding, needs no mask.
struct DropIdleBounds : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.isMaskedByPosition())
      return rewriter.notifyMatchFailure(op, "has no bounds by position");
    if (op.getLength())
      return rewriter.notifyMatchFailure(op, "keys in a ring stand at positions beyond their number");
    std::optional<int64_t> toFirstKey, toLastKey; // the farthest that a key lies to the left or right of a row
    if (op.getAlignment()) {
      bool isTopLeft = op.getAlignment() == Alignment::TopLeft;
      toFirstKey = getKnownExtent(op, isTopLeft ? Dim::m : Dim::n);
      toLastKey = getKnownExtent(op, isTopLeft ? Dim::n : Dim::m);
    }
    auto isIdle = [](int64_t extent, std::optional<int64_t> keys) { return keys && extent >= *keys - 1; };
    bool dropLeft = op.getWindowLeft() && isIdle(*op.getWindowLeft(), toFirstKey);
    bool dropCausal = op.getCausal() && isIdle(0, toLastKey);
    bool dropRight = op.getWindowRight() && (op.getCausal() || isIdle(*op.getWindowRight(), toLastKey));
    if (!dropLeft && !dropCausal && !dropRight)
      return rewriter.notifyMatchFailure(op, "no bound by position is known to be idle");
    rewriter.modifyOpInPlace(op, [&] {
      if (dropLeft)
        op.removeWindowLeftAttr();
      if (dropCausal)
        op.setCausal(false);
      if (dropRight)
        op.removeWindowRightAttr();
      if (!op.isMaskedByPosition())
        op.removeAlignmentAttr();
    });
    return success();
  }
};

struct DropUnusedLse : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getLse() || !op.getResults()[1].use_empty())
      return rewriter.notifyMatchFailure(op, "has no lse that nobody uses");
    // Outputs are the last operands, lse the last output.
    SmallVector<Value> operands(op.getOperands().drop_back());
    SmallVector<Attribute> maps(op.getIndexingMaps().getValue().drop_back());
    SmallVector<int32_t> segments = llvm::to_vector(op.getProperties().operandSegmentSizes);
    segments.back() = 1;
    NamedAttrList attributes(op->getAttrs());
    attributes.set(op.getIndexingMapsAttrName(), rewriter.getArrayAttr(maps));
    attributes.set(op.getOperandSegmentSizesAttrName(), rewriter.getDenseI32ArrayAttr(segments));
    auto single = AttentionOp::create(rewriter, op.getLoc(), op.getOutput().getType(), operands, attributes);
    rewriter.replaceAllUsesWith(op.getResults()[0], single.getResults()[0]);
    rewriter.eraseOp(op);
    return success();
  }
};

} // namespace

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns
      .add<DropAllTrueMask, DropFullLength, DropIdleBounds, DropInfiniteSink, DropUnusedLse, DropZeroBias, NameTopLeft>(
          context);
}

LogicalResult AttentionOp::reifyResultShapes(OpBuilder &builder, ReifiedRankedShapedTypeDims &shapes) {
  for (Value output : getOutputs())
    shapes.push_back(tensor::getMixedSizes(builder, getLoc(), output));
  return success();
}
