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
    Value isHigh = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, high);
    x = arith::SelectOp::create(b, loc, isHigh, high, x);
    Value isNormal = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UGE, x, low);
    bool usesInstruction = hasScale && isWholeVectors();
    if (!usesInstruction)
      x = arith::SelectOp::create(b, loc, isNormal, x, low);
    Value whole = math::RoundEvenOp::create(b, loc, x);
    Value fraction = arith::SubFOp::create(b, loc, x, whole);
    Value power = constant(kExp2Polynomial[0]);
    for (double coefficient : ArrayRef(kExp2Polynomial).drop_front())
      power = math::FmaOp::create(b, loc, power, fraction, constant(coefficient));
    if (usesInstruction)
      return scale(power, whole, isNormal);
    power = scaleTwice(power, arith::FPToSIOp::create(b, loc, intType(), whole));
    return arith::SelectOp::create(b, loc, isNormal, power, constant(0));
  }

private:
  /// Lanes of the instruction that scales.
  static constexpr int64_t kLanes = 16;

  bool isWholeVectors() const {
    auto vector = dyn_cast<VectorType>(type);
    return vector && vector.getNumElements() % kLanes == 0;
  }

  /// value * 2^exponent where `isKept`, else 0, by AVX-512's vscalefps. LLVM's own ldexp would make integers of the
  /// exponents only to make floats of them again.
  Value scale(Value value, Value exponent, Value isKept) const {
    int64_t count = cast<VectorType>(type).getNumElements();
    auto flatten = [&](Value vector) -> Value {
      auto flat = VectorType::get({count}, getElementTypeOrSelf(vector));
      return vector::ShapeCastOp::create(b, loc, flat, vector);
    };
    value = flatten(value);
    exponent = flatten(exponent);
    isKept = flatten(isKept);
    auto block = VectorType::get({kLanes}, b.getF32Type());
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(block));
    Value rounding = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(4)); // as the control register says
    Value result = arith::ConstantOp::create(b, loc, b.getZeroAttr(value.getType()));
    for (int64_t offset = 0; offset < count; offset += kLanes) {
      auto extract = [&](Value vector) -> Value {
        return vector::ExtractStridedSliceOp::create(b, loc, vector, ArrayRef{offset}, ArrayRef{kLanes},
                                                     ArrayRef<int64_t>{1});
      };
      Value mask = vector::BitCastOp::create(b, loc, VectorType::get({1}, b.getIntegerType(kLanes)), extract(isKept));
      mask = vector::ExtractOp::create(b, loc, mask, 0);
      Value scaled = LLVM::CallIntrinsicOp::create(b, loc, block, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
                                                   ValueRange{extract(value), extract(exponent), zero, mask, rounding})
                         .getResult(0);
      result = vector::InsertStridedSliceOp::create(b, loc, scaled, result, ArrayRef{offset}, ArrayRef<int64_t>{1});
    }
    return vector::ShapeCastOp::create(b, loc, type, result);
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
