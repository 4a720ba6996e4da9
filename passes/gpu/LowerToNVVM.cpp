#include "passes/ExpandF8.h"
#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/HopperToNVVM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_LOWERTONVVM
#include "passes/gpu/GpuPasses.h.inc"

namespace {

using namespace gqa_gpu;

constexpr StringLiteral kSharedSymbol = "gqa_shared";

/// A rewrite of one op by one function.
template <typename OpTy> struct FunctionPattern : OpRewritePattern<OpTy> {
  using Function = Value (*)(PatternRewriter &, OpTy);
  FunctionPattern(MLIRContext *context, Function function) : OpRewritePattern<OpTy>(context), function(function) {}
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    Value value = function(rewriter, op);
    if (op->getNumResults() == 0)
      rewriter.eraseOp(op);
    else
      rewriter.replaceOp(op, value);
    return success();
  }
  Function function;
};

Value buildConstant(OpBuilder &b, Location loc, int32_t value) {
  return LLVM::ConstantOp::create(b, loc, b.getI32Type(), value);
}

Value lowerThreadId(PatternRewriter &b, ThreadIdOp op) {
  if (op.getAnew())
    return LLVM::InlineAsmOp::create(b, op.getLoc(), b.getI32Type(), ValueRange(), "mov.u32 $0, %tid.x;", "=r",
                                     /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
                                     LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr())
        .getResult(0);
  return NVVM::ThreadIdXOp::create(b, op.getLoc(), b.getI32Type());
}

Value lowerBlockId(PatternRewriter &b, BlockIdOp op) {
  if (op.getAxis() == 0)
    return NVVM::BlockIdXOp::create(b, op.getLoc(), b.getI32Type());
  if (op.getAxis() == 1)
    return NVVM::BlockIdYOp::create(b, op.getLoc(), b.getI32Type());
  return NVVM::BlockIdZOp::create(b, op.getLoc(), b.getI32Type());
}

Value lowerSharedMemory(PatternRewriter &b, SharedMemoryOp op) {
  return LLVM::AddressOfOp::create(b, op.getLoc(), op.getType(), kSharedSymbol);
}

Value lowerBarrier(PatternRewriter &b, BarrierOp op) {
  NVVM::BarrierOp::create(b, op.getLoc());
  return {};
}

Value lowerCpAsync(PatternRewriter &b, CpAsyncOp op) {
  // Past L1, where the instruction can: nothing is read twice.
  auto cache = op.getSize() == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(b, op.getLoc(), op.getDestination(), op.getSource(), op.getSize(), cache, op.getBytes());
  return {};
}

Value lowerCommit(PatternRewriter &b, CpAsyncCommitOp op) {
  NVVM::CpAsyncCommitGroupOp::create(b, op.getLoc());
  return {};
}

Value lowerWait(PatternRewriter &b, CpAsyncWaitOp op) {
  NVVM::CpAsyncWaitGroupOp::create(b, op.getLoc(), op.getPending());
  return {};
}

Value lowerShuffle(PatternRewriter &b, ShuffleXorOp op) {
  Location loc = op.getLoc();
  return NVVM::ShflOp::create(b, loc, b.getF32Type(), buildConstant(b, loc, -1), op.getValue(),
                              buildConstant(b, loc, op.getMask()), buildConstant(b, loc, 31), NVVM::ShflKind::bfly,
                              UnitAttr());
}

/// ldmatrix and mma have several results, so they are patterns of their own.
struct LowerLdMatrix : OpRewritePattern<LdMatrixOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LdMatrixOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type i32 = b.getI32Type();
    auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), {i32, i32, i32, i32});
    auto layout = op.getTranspose() ? NVVM::MMALayout::col : NVVM::MMALayout::row;
    Value loaded =
        NVVM::LdMatrixOp::create(b, loc, type, op.getAddress(), 4, layout,
                                 NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
    SmallVector<Value> pairs;
    for (auto [i, result] : llvm::enumerate(op.getResults()))
      pairs.push_back(LLVM::BitcastOp::create(b, loc, result.getType(),
                                              LLVM::ExtractValueOp::create(b, loc, loaded, ArrayRef<int64_t>(i))));
    b.replaceOp(op, pairs);
    return success();
  }
};

/// mma of pairs of halves, 16 deep, or of TF32, 8 deep.
template <typename OpTy> struct LowerMma : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type element = getElementTypeOrSelf(op.getA0().getType()), f32 = b.getF32Type();
    auto ptx = element.isF32() ? NVVM::MMATypes::tf32 : element.isBF16() ? NVVM::MMATypes::bf16 : NVVM::MMATypes::f16;
    // The intrinsic takes pairs of f16 as they are, all others as words.
    auto convert = [&](ValueRange factors) {
      return llvm::map_to_vector(factors, [&](Value factor) -> Value {
        return element.isF16() ? factor : LLVM::BitcastOp::create(b, loc, b.getI32Type(), factor);
      });
    };
    auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), {f32, f32, f32, f32});
    Value product = NVVM::MmaOp::create(
        b, loc, type, convert({op.getA0(), op.getA1(), op.getA2(), op.getA3()}), convert({op.getB0(), op.getB1()}),
        ValueRange{op.getC0(), op.getC1(), op.getC2(), op.getC3()}, ArrayRef<int64_t>{16, 8, element.isF32() ? 8 : 16},
        std::nullopt, std::nullopt, std::array{ptx, ptx}, std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
    SmallVector<Value> values;
    for (int64_t i = 0; i < 4; ++i)
      values.push_back(LLVM::ExtractValueOp::create(b, loc, product, ArrayRef<int64_t>(i)));
    b.replaceOp(op, values);
    return success();
  }
};

//===-- Mathematics -----------------------------------------------------------------------------------------------===//

Value buildIntrinsic(OpBuilder &b, Location loc, StringRef name, Value operand) {
  return LLVM::CallIntrinsicOp::create(b, loc, b.getF32Type(), b.getStringAttr(name), operand).getResult(0);
}

Value lowerExp2(PatternRewriter &b, math::Exp2Op op) {
  return buildIntrinsic(b, op.getLoc(), "llvm.nvvm.ex2.approx.ftz.f", op.getOperand());
}

Value lowerLog2(PatternRewriter &b, math::Log2Op op) {
  return buildIntrinsic(b, op.getLoc(), "llvm.nvvm.lg2.approx.ftz.f", op.getOperand());
}

/// tanh(x) = 1 - 2 / (1 + exp(2x)), to the last bits of 1; the chip's own tanh has 11 bits only.
Value lowerTanh(PatternRewriter &b, math::TanhOp op) {
  Location loc = op.getLoc();
  auto constant = [&](double value) -> Value { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); };
  Value exponent = arith::MulFOp::create(b, loc, op.getOperand(), constant(2 * llvm::numbers::log2e));
  Value sum =
      arith::AddFOp::create(b, loc, buildIntrinsic(b, loc, "llvm.nvvm.ex2.approx.ftz.f", exponent), constant(1.0));
  Value inverse = buildIntrinsic(b, loc, "llvm.nvvm.rcp.approx.ftz.f", sum);
  return math::FmaOp::create(b, loc, inverse, constant(-2.0), constant(1.0));
}

/// Pairs are rounded by one instruction.
struct RoundPairs : OpRewritePattern<vector::FromElementsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::FromElementsOp op, PatternRewriter &b) const override {
    auto type = op.getDest().getType();
    if (type.getRank() != 1 || type.getNumElements() != 2)
      return failure();
    SmallVector<Value> sources;
    for (Value element : op.getElements()) {
      auto rounding = element.getDefiningOp<arith::TruncFOp>();
      if (!rounding || !rounding.getIn().getType().isF32())
        return b.notifyMatchFailure(op, "elements are not rounded from f32");
      sources.push_back(rounding.getIn());
    }
    // The intrinsics take the upper half first.
    StringRef name = type.getElementType().isBF16() ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn";
    b.replaceOp(op, LLVM::CallIntrinsicOp::create(b, op.getLoc(), type, b.getStringAttr(name),
                                                  ValueRange{sources[1], sources[0]})
                        .getResult(0));
    return success();
  }
};

/// f8E4M3FN to f32 by way of f16, which holds all its numbers. The instruction takes two.
struct WidenF8 : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &b) const override {
    if (!isa<Float8E4M3FNType>(op.getIn().getType()) || !op.getType().isF32())
      return b.notifyMatchFailure(op, "not one f8E4M3FN to f32");
    Location loc = op.getLoc();
    Value byte = arith::BitcastOp::create(b, loc, b.getI8Type(), op.getIn());
    Value word = arith::ExtUIOp::create(b, loc, b.getI16Type(), byte);
    Value pair = LLVM::CallIntrinsicOp::create(b, loc, VectorType::get({2}, b.getF16Type()),
                                               b.getStringAttr("llvm.nvvm.e4m3x2.to.f16x2.rn"), word)
                     .getResult(0);
    Value half = LLVM::ExtractElementOp::create(b, loc, pair, buildConstant(b, loc, 0));
    b.replaceOpWithNewOp<arith::ExtFOp>(op, b.getF32Type(), half);
    return success();
  }
};

struct LowerToNVVM : impl::LowerToNVVMBase<LowerToNVVM> {
  using LowerToNVVMBase::LowerToNVVMBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    OpBuilder b(context);
    b.setInsertionPointToStart(getOperation().getBody());
    // One array for everything: dynamic shared memory would overlap with static arrays beside it.
    LLVM::GlobalOp::create(b, getOperation().getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), 0),
                           /*isConstant=*/false, LLVM::Linkage::External, kSharedSymbol, Attribute(),
                           /*alignment=*/1024, /*addrSpace=*/3);
    RewritePatternSet patterns(context);
    auto add = [&](auto *function) { addFunction(patterns, function); };
    add(lowerThreadId);
    add(lowerBlockId);
    add(lowerSharedMemory);
    add(lowerBarrier);
    add(lowerCpAsync);
    add(lowerCommit);
    add(lowerWait);
    add(lowerShuffle);
    add(lowerExp2);
    add(lowerLog2);
    add(lowerTanh);
    patterns.add<LowerLdMatrix, LowerMma<MmaOp>, LowerMma<MmaTF32Op>, RoundPairs>(context);
    if (gpu == "sm_90a")
      patterns.add<WidenF8>(context);
    else
      populateExpandF8(patterns);
    populateHopperToNVVM(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

private:
  template <typename OpTy>
  static void addFunction(RewritePatternSet &patterns, Value (*function)(PatternRewriter &, OpTy)) {
    patterns.add<FunctionPattern<OpTy>>(patterns.getContext(), function);
  }
};

} // namespace
} // namespace mlir::gqa
