#include "passes/LinalgRoles.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Passes.h.inc"

namespace {

/// Whether the op computes what is better not computed twice.
bool isCostly(linalg::LinalgOp op) {
  return llvm::any_of(op.getBlock()->getOperations(), [](Operation &nested) {
    return isa<math::MathDialect>(nested.getDialect()) || isa<arith::DivFOp, arith::DivSIOp, arith::DivUIOp>(nested);
  });
}

/// Whether the consumer needs each element of the operand once.
bool isReadOnce(OpOperand *operand, linalg::LinalgOp consumer) {
  return consumer.getMatchingIndexingMap(operand).getNumResults() == consumer.getNumLoops();
}

/// Producers go into their only consumer, unless that is a contraction, which reads each element many times, or would
/// repeat costly work.
bool shouldFuse(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::LinalgOp>();
  auto consumer = dyn_cast<linalg::LinalgOp>(operand->getOwner());
  if (!producer || !consumer || !producer->hasOneUse() || isFloatContraction(consumer))
    return false;
  return !isCostly(producer) || isReadOnce(operand, consumer);
}

struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    if (failed(decomposeSoftmax()) || failed(generalize()))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

private:
  /// linalg.softmax as the ops that it stands for.
  LogicalResult decomposeSoftmax() {
    IRRewriter rewriter(&getContext());
    WalkResult result = getOperation().walk([&](linalg::SoftmaxOp op) {
      if (!op.hasPureTensorSemantics())
        return WalkResult::advance();
      rewriter.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(rewriter);
      if (failed(values)) {
        op.emitOpError() << "cannot be decomposed";
        return WalkResult::interrupt();
      }
      rewriter.replaceOp(op, *values);
      return WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }

  /// Named ops as linalg.generic, but for fills and contractions.
  LogicalResult generalize() {
    SmallVector<linalg::LinalgOp> named;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!isa<linalg::GenericOp, linalg::FillOp>(op) && !isFloatContraction(op) && op.hasPureTensorSemantics())
        named.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : named) {
      rewriter.setInsertionPoint(op);
      if (failed(linalg::generalizeNamedOp(rewriter, op)))
        return op.emitOpError() << "cannot be generalised";
    }
    return success();
  }
};

} // namespace
} // namespace mlir::gqa
