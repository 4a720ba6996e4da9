#include "passes/LinalgRoles.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
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

/// The generic that only permutes or repeats its input, or null.
linalg::GenericOp getCopy(Value value) {
  auto op = value.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op->getNumResults() != 1 || op.getNumReductionLoops() > 0 ||
      !op.getIndexingMapsArray()[0].isProjectedPermutation() || !op.getIndexingMapsArray()[1].isIdentity() ||
      getElementTypeOrSelf(op.getDpsInputs()[0]) != getElementTypeOrSelf(op.getResult(0)))
    return nullptr;
  return op.getBody()->getTerminator()->getOperand(0) == op.getBody()->getArgument(0) ? op : nullptr;
}

/// A contraction reads what its operand is a transposition of: packing transposes anyway.
struct ReadThroughCopies : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (!isFloatContraction(op))
      return rewriter.notifyMatchFailure(op, "not a contraction");
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    SmallVector<Value> inputs = op.getDpsInputs();
    bool changed = false;
    for (unsigned i = 0; i < 2; ++i) {
      linalg::GenericOp copy = getCopy(inputs[i]);
      // What varies along fewer loops than before could leave the contraction without its roles.
      if (!copy || copy.getIndexingMapsArray()[0].getNumResults() != copy.getNumLoops())
        continue;
      maps[i] = copy.getIndexingMapsArray()[0].compose(maps[i]);
      inputs[i] = copy.getDpsInputs()[0];
      changed = true;
    }
    if (!changed)
      return rewriter.notifyMatchFailure(op, "no operand is a copy");
    auto generic = linalg::GenericOp::create(rewriter, op.getLoc(), op->getResultTypes(), inputs, op.getDpsInits(),
                                             maps, op.getIteratorTypesArray());
    rewriter.cloneRegionBefore(op->getRegion(0), generic.getRegion(), generic.getRegion().begin());
    rewriter.replaceOp(op, generic);
    return success();
  }
};

struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    if (failed(decomposeSoftmax()) || failed(generalize()) || failed(dropUnitDims()))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
    patterns.add<ReadThroughCopies>(&getContext());
    // Powers with constant exponents are products.
    populateMathAlgebraicSimplificationPatterns(patterns);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

private:
  /// Dimensions of extent 1 give maps with constants, which have no vector form and do not fuse.
  LogicalResult dropUnitDims() {
    RewritePatternSet patterns(&getContext());
    linalg::ControlDropUnitDims options;
    linalg::populateFoldUnitExtentDimsPatterns(patterns, options);
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }

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
