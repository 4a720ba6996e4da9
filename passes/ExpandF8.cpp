#include "passes/ExpandF8.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <limits>

namespace mlir::gqa {

namespace {

/// f8E4M3FN to f32 by way of f16, whose exponent has one bit more: the number's bits make an f16 that is 2^8 times
/// smaller, subnormals included. Only NaN (all ones but the sign) needs a look.
struct ExpandF8 : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &b) const override {
    Type source = op.getIn().getType(), result = op.getType();
    if (!isa<Float8E4M3FNType>(getElementTypeOrSelf(source)) || !getElementTypeOrSelf(result).isF32())
      return b.notifyMatchFailure(op, "not from f8E4M3FN to f32");
    Location loc = op.getLoc();
    auto withElement = [&](Type element) -> Type {
      auto vector = dyn_cast<VectorType>(source);
      return vector ? Type(vector.clone(element)) : element;
    };
    auto constant = [&](Type type, TypedAttr element) -> Value {
      if (auto vector = dyn_cast<VectorType>(type))
        return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vector, Attribute(element)));
      return arith::ConstantOp::create(b, loc, element);
    };
    Type bytes = withElement(b.getI8Type()), words = withElement(b.getI16Type()), halves = withElement(b.getF16Type());
    Value byte = arith::BitcastOp::create(b, loc, bytes, op.getIn());
    Value word = arith::ExtSIOp::create(b, loc, words, byte);
    word = arith::ShLIOp::create(b, loc, word, constant(words, b.getI16IntegerAttr(7)));
    word = arith::AndIOp::create(b, loc, word, constant(words, b.getI16IntegerAttr(static_cast<int16_t>(0xbfff))));
    Value half = arith::BitcastOp::create(b, loc, halves, word);
    Value wide = arith::ExtFOp::create(b, loc, result, half);
    wide = arith::MulFOp::create(b, loc, wide, constant(result, b.getF32FloatAttr(256)));
    Value magnitude = arith::AndIOp::create(b, loc, byte, constant(bytes, b.getI8IntegerAttr(0x7f)));
    Value isNaN =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, magnitude, constant(bytes, b.getI8IntegerAttr(0x7f)));
    Value nan = constant(result, b.getF32FloatAttr(std::numeric_limits<float>::quiet_NaN()));
    b.replaceOpWithNewOp<arith::SelectOp>(op, isNaN, nan, wide);
    return success();
  }
};

} // namespace

void populateExpandF8(RewritePatternSet &patterns) { patterns.add<ExpandF8>(patterns.getContext()); }

} // namespace mlir::gqa
