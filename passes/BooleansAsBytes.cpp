#include "passes/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_BOOLEANSASBYTES
#include "passes/Passes.h.inc"

namespace {

bool isBooleanVector(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getElementType().isInteger(1);
}

Type getByteType(Type type) {
  auto vector = cast<VectorType>(type);
  return vector.clone(IntegerType::get(vector.getContext(), 8));
}

Value toBytes(OpBuilder &b, Location loc, Value booleans) {
  return LLVM::ZExtOp::create(b, loc, getByteType(booleans.getType()), booleans);
}

struct LoadBytes : OpRewritePattern<LLVM::LoadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LLVM::LoadOp op, PatternRewriter &rewriter) const override {
    if (!isBooleanVector(op.getType()))
      return rewriter.notifyMatchFailure(op, "no vector of booleans");
    Value bytes = LLVM::LoadOp::create(rewriter, op.getLoc(), getByteType(op.getType()), op.getAddr(), /*alignment=*/1);
    rewriter.replaceOpWithNewOp<LLVM::TruncOp>(op, op.getType(), bytes);
    return success();
  }
};

struct StoreBytes : OpRewritePattern<LLVM::StoreOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LLVM::StoreOp op, PatternRewriter &rewriter) const override {
    if (!isBooleanVector(op.getValue().getType()))
      return rewriter.notifyMatchFailure(op, "no vector of booleans");
    Value bytes = toBytes(rewriter, op.getLoc(), op.getValue());
    rewriter.replaceOpWithNewOp<LLVM::StoreOp>(op, bytes, op.getAddr(), /*alignment=*/1);
    return success();
  }
};

struct LoadMaskedBytes : OpRewritePattern<LLVM::MaskedLoadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LLVM::MaskedLoadOp op, PatternRewriter &rewriter) const override {
    if (!isBooleanVector(op.getType()))
      return rewriter.notifyMatchFailure(op, "no vector of booleans");
    Value passThrough = op.getPassThru();
    if (passThrough)
      passThrough = toBytes(rewriter, op.getLoc(), passThrough);
    Value bytes = LLVM::MaskedLoadOp::create(rewriter, op.getLoc(), getByteType(op.getType()), op.getData(),
                                             op.getMask(), passThrough, /*alignment=*/1);
    rewriter.replaceOpWithNewOp<LLVM::TruncOp>(op, op.getType(), bytes);
    return success();
  }
};

struct StoreMaskedBytes : OpRewritePattern<LLVM::MaskedStoreOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LLVM::MaskedStoreOp op, PatternRewriter &rewriter) const override {
    if (!isBooleanVector(op.getValue().getType()))
      return rewriter.notifyMatchFailure(op, "no vector of booleans");
    Value bytes = toBytes(rewriter, op.getLoc(), op.getValue());
    rewriter.replaceOpWithNewOp<LLVM::MaskedStoreOp>(op, bytes, op.getData(), op.getMask(), /*alignment=*/1);
    return success();
  }
};

struct BooleansAsBytes : impl::BooleansAsBytesBase<BooleansAsBytes> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<LoadBytes, StoreBytes, LoadMaskedBytes, StoreMaskedBytes>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
