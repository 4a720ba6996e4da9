#include "passes/ExpandF8.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Passes.h.inc"

namespace {

/// A minimax polynomial of 2^f for f in [-1/2, 1/2], highest degree first; 2^0 is exactly 1.
constexpr double kExp2Polynomial[] = {1.33978e-3, 9.67770e-3, 5.55036e-2, 2.40222e-1, 6.93147e-1, 1.0};

/// Below this, 2^x is no normal float, and 0 is near enough: to make a float that is not normal costs Intel's CPUs more
/// than a hundred cycles, and every key that is masked out would. A multiple of two, so that halves of it are whole.
constexpr double kExp2Low = -126.0;
constexpr double kExp2High = 130.0;

struct Expander {
  OpBuilder &b;
  Location loc;
  Type type;

  Value constant(double value) const {
    TypedAttr element = b.getF32FloatAttr(value);
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vector, Attribute(element)));
    return arith::ConstantOp::create(b, loc, element);
  }
  Value integer(int32_t value) const {
    TypedAttr element = b.getI32IntegerAttr(value);
    if (auto vector = dyn_cast<VectorType>(intType()))
      return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vector, Attribute(element)));
    return arith::ConstantOp::create(b, loc, element);
  }
  Type intType() const {
    if (auto vector = dyn_cast<VectorType>(type))
      return vector.clone(b.getI32Type());
    return b.getI32Type();
  }

  /// 2^x. Comparisons are written so that NaN passes through and the target's plain min and max serve them.
  Value exp2(Value x, bool hasScale) const {
    Value low = constant(kExp2Low), high = constant(kExp2High);
    Value isLow = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, low);
    x = arith::SelectOp::create(b, loc, isLow, low, x);
    if (!hasScale) {
      Value isHigh = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, high);
      x = arith::SelectOp::create(b, loc, isHigh, high, x);
    }
    Value whole = math::RoundEvenOp::create(b, loc, x);
    Value fraction = arith::SubFOp::create(b, loc, x, whole);
    Value power = constant(kExp2Polynomial[0]);
    for (double coefficient : ArrayRef(kExp2Polynomial).drop_front())
      power = math::FmaOp::create(b, loc, power, fraction, constant(coefficient));
    Value exponent = arith::FPToSIOp::create(b, loc, intType(), whole);
    power = hasScale ? scale(power, exponent) : scaleTwice(power, exponent);
    return arith::SelectOp::create(b, loc, isLow, constant(0), power);
  }

private:
  /// value * 2^exponent by the intrinsic, which takes scalars and vectors of one dimension.
  Value scale(Value value, Value exponent) const {
    auto name = b.getStringAttr("llvm.ldexp");
    auto vector = dyn_cast<VectorType>(type);
    if (!vector || vector.getRank() == 1)
      return LLVM::CallIntrinsicOp::create(b, loc, type, name, ValueRange{value, exponent}).getResult(0);
    auto flat = VectorType::get({vector.getNumElements()}, vector.getElementType());
    value = vector::ShapeCastOp::create(b, loc, flat, value);
    exponent = vector::ShapeCastOp::create(b, loc, flat.clone(b.getI32Type()), exponent);
    value = LLVM::CallIntrinsicOp::create(b, loc, flat, name, ValueRange{value, exponent}).getResult(0);
    return vector::ShapeCastOp::create(b, loc, type, value);
  }

  /// value * 2^exponent by two multiplications with powers of two that are normal floats.
  Value scaleTwice(Value value, Value exponent) const {
    Value half = arith::ShRSIOp::create(b, loc, exponent, integer(1));
    Value rest = arith::SubIOp::create(b, loc, exponent, half);
    for (Value part : {half, rest}) {
      Value biased = arith::AddIOp::create(b, loc, part, integer(127));
      Value bits = arith::ShLIOp::create(b, loc, biased, integer(23));
      value = arith::MulFOp::create(b, loc, value, arith::BitcastOp::create(b, loc, type, bits));
    }
    return value;
  }
};

struct ExpandExp2 : OpRewritePattern<math::Exp2Op> {
  ExpandExp2(MLIRContext *context, bool hasScale) : OpRewritePattern(context), hasScale(hasScale) {}
  LogicalResult matchAndRewrite(math::Exp2Op op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not f32");
    rewriter.replaceOp(op, Expander{rewriter, op.getLoc(), op.getType()}.exp2(op.getOperand(), hasScale));
    return success();
  }
  bool hasScale;
};

/// exp(x) = 2^(x log2(e)).
struct ExpandExp : OpRewritePattern<math::ExpOp> {
  ExpandExp(MLIRContext *context, bool hasScale) : OpRewritePattern(context), hasScale(hasScale) {}
  LogicalResult matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not f32");
    Expander expander{rewriter, op.getLoc(), op.getType()};
    Value scaled =
        arith::MulFOp::create(rewriter, op.getLoc(), op.getOperand(), expander.constant(llvm::numbers::log2e));
    rewriter.replaceOp(op, expander.exp2(scaled, hasScale));
    return success();
  }
  bool hasScale;
};

struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  using ExpandMathBase::ExpandMathBase;
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandExp2, ExpandExp>(&getContext(), hasScale);
    // LLVM's intrinsic takes one exponent for a whole vector.
    math::populateExpansionPatterns(patterns, {"math.fpowi"});
    populateExpandF8(patterns);
    if (!hasBF16)
      arith::populateExpandBFloat16Patterns(patterns);
    math::populateExpansionPatterns(patterns, {"fpowi"}); // squares, which LLVM has for scalars only
    populateMathPolynomialApproximationPatterns(
        patterns, [](StringRef name) { return name == "math.tanh" || name == "math.log2" || name == "math.log"; });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
