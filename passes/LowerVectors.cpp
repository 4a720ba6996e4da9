#include "passes/Passes.h"

#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_LOWERVECTORS
#include "passes/Passes.h.inc"

namespace {

/// A read of one element, repeated or not, is a load; buffers of any strides have one.
struct LoadOneElement : OpRewritePattern<vector::TransferReadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::TransferReadOp op, PatternRewriter &rewriter) const override {
    VectorType type = op.getVectorType();
    bool isOneElement = type.getNumElements() == 1 ||
                        llvm::all_of(op.getPermutationMap().getResults(), llvm::IsaPred<AffineConstantExpr>);
    if (!isOneElement || op.hasOutOfBoundsDim() || op.getMask() || !isa<MemRefType>(op.getBase().getType()))
      return rewriter.notifyMatchFailure(op, "not a plain read of one element of a buffer");
    Value element = memref::LoadOp::create(rewriter, op.getLoc(), op.getBase(), op.getIndices());
    rewriter.replaceOpWithNewOp<vector::BroadcastOp>(op, type, element);
    return success();
  }
};

/// A read of six elements, say, as rows of accumulators multiply by, is as many loads: LLVM would make vectors of four
/// and of two, and shuffles to take them apart again.
struct LoadOddElements : OpRewritePattern<vector::TransferReadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::TransferReadOp op, PatternRewriter &rewriter) const override {
    constexpr int64_t kMost = 8;
    VectorType type = op.getVectorType();
    int64_t count = type.getNumElements();
    bool isOddRow = count < kMost && !llvm::isPowerOf2_64(count) && type.getShape().back() == count;
    if (!isOddRow || op.hasOutOfBoundsDim() || op.getMask() || !op.getPermutationMap().isMinorIdentity() ||
        !isa<MemRefType>(op.getBase().getType()))
      return rewriter.notifyMatchFailure(op, "not a plain read of a short row of an odd length");
    SmallVector<Value> elements;
    for (int64_t i = 0; i < count; ++i) {
      SmallVector<Value> indices(op.getIndices());
      Value offset = arith::ConstantIndexOp::create(rewriter, op.getLoc(), i);
      indices.back() = arith::AddIOp::create(rewriter, op.getLoc(), indices.back(), offset);
      elements.push_back(memref::LoadOp::create(rewriter, op.getLoc(), op.getBase(), indices));
    }
    rewriter.replaceOpWithNewOp<vector::FromElementsOp>(op, type, elements);
    return success();
  }
};

/// A write of one element is a store.
struct StoreOneElement : OpRewritePattern<vector::TransferWriteOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::TransferWriteOp op, PatternRewriter &rewriter) const override {
    VectorType type = op.getVectorType();
    if (type.getNumElements() != 1 || op.hasOutOfBoundsDim() || op.getMask() ||
        !isa<MemRefType>(op.getBase().getType()))
      return rewriter.notifyMatchFailure(op, "not a plain write of one element of a buffer");
    SmallVector<int64_t> zeros(type.getRank(), 0);
    Value element = vector::ExtractOp::create(rewriter, op.getLoc(), op.getVector(), zeros);
    rewriter.replaceOpWithNewOp<memref::StoreOp>(op, element, op.getBase(), op.getIndices());
    return success();
  }
};

/// Moves half types as integers: LLVM would convert bf16 to f32 and back for a shuffle.
struct TransposeAsInteger : OpRewritePattern<vector::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::TransposeOp op, PatternRewriter &rewriter) const override {
    VectorType source = op.getSourceVectorType(), result = op.getResultVectorType();
    if (!source.getElementType().isBF16() && !source.getElementType().isF16())
      return rewriter.notifyMatchFailure(op, "not of a half type");
    Type integer = rewriter.getI16Type();
    Value bits = vector::BitCastOp::create(rewriter, op.getLoc(), source.clone(integer), op.getVector());
    Value moved = vector::TransposeOp::create(rewriter, op.getLoc(), bits, op.getPermutation());
    rewriter.replaceOpWithNewOp<vector::BitCastOp>(op, result, moved);
    return success();
  }
};

struct LowerDotShorts : OpRewritePattern<DotShortsOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(DotShortsOp op, PatternRewriter &rewriter) const override {
    auto name = rewriter.getStringAttr("llvm.x86.avx512.vpdpwssd.512");
    rewriter.replaceOpWithNewOp<LLVM::CallIntrinsicOp>(op, op.getType(), name, op->getOperands());
    return success();
  }
};

struct LowerVectors : impl::LowerVectorsBase<LowerVectors> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    vector::populateVectorMultiReductionLoweringPatterns(patterns,
                                                         vector::VectorMultiReductionLowering::InnerReduction);
    vector::populateVectorTransferPermutationMapLoweringPatterns(patterns);
    patterns.add<LoadOneElement, LoadOddElements, StoreOneElement, TransposeAsInteger, LowerDotShorts>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
