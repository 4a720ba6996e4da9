#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_FORMCONTRACTIONS
#include "passes/Passes.h.inc"

namespace {

/// Whether the op, in parallel, yields what `isWanted` accepts.
template <typename Predicate> bool yields(linalg::GenericOp op, Predicate isWanted) {
  return op && op->getNumResults() == 1 && op.getNumReductionLoops() == 0 && !op.hasIndexSemantics() &&
         isWanted(op.getBody()->getTerminator()->getOperand(0));
}

/// The op that repeats its input along loops that the input does not list, or null.
linalg::GenericOp getBroadcast(Value value) {
  auto op = value.getDefiningOp<linalg::GenericOp>();
  bool isCopy = yields(op, [&](Value yielded) { return yielded == op.getBody()->getArgument(0); });
  if (!isCopy || op.getNumDpsInputs() != 1)
    return nullptr;
  return op.getIndexingMapsArray()[0].getNumResults() < op.getNumLoops() ? op : nullptr;
}

/// The op that multiplies two tensors, or null.
linalg::GenericOp getProduct(Value value) {
  auto op = value.getDefiningOp<linalg::GenericOp>();
  auto isArgument = [&](Value factor) { return isa<BlockArgument>(factor); };
  bool isProduct = yields(op, [&](Value yielded) {
    auto product = yielded.getDefiningOp<arith::MulFOp>();
    return product && llvm::hasSingleElement(op.getBody()->without_terminator()) &&
           llvm::all_of(product->getOperands(), isArgument);
  });
  return isProduct && op.getNumDpsInputs() == 2 ? op : nullptr;
}

/// Whether each factor, broadcasts aside, lacks a loop of the product.
bool isOuterProduct(linalg::GenericOp product) {
  SmallVector<int64_t> extents = product.getStaticLoopRanges();
  return llvm::all_of(product.getDpsInputOperands(), [&](OpOperand *factor) {
    AffineMap map = product.getMatchingIndexingMap(factor);
    if (linalg::GenericOp broadcast = getBroadcast(factor->get()))
      map = broadcast.getIndexingMapsArray()[0].compose(map);
    return llvm::any_of(llvm::seq<unsigned>(0, extents.size()),
                        [&](unsigned loop) { return extents[loop] != 1 && !map.isFunctionOfDim(loop); });
  });
}

/// Whether the op sums its one input.
bool isSum(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 || op.getNumReductionLoops() == 0)
    return false;
  Operation *yielded = op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  return isa_and_nonnull<arith::AddFOp>(yielded) && llvm::hasSingleElement(op.getBody()->without_terminator()) &&
         llvm::is_contained(yielded->getOperands(), op.getBody()->getArgument(0)) &&
         llvm::is_contained(yielded->getOperands(), op.getBody()->getArgument(1));
}

/// Lets the owner of `operand` compute what it reads there.
LogicalResult fuse(OpOperand *operand, PatternRewriter &rewriter) {
  if (!linalg::areElementwiseOpsFusable(operand))
    return rewriter.notifyMatchFailure(operand->getOwner(), "linalg cannot fuse these maps");
  FailureOr<linalg::ElementwiseOpFusionResult> fused = linalg::fuseElementwiseOps(rewriter, operand);
  if (failed(fused))
    return failure();
  Operation *consumer = operand->getOwner();
  rewriter.replaceOp(consumer, fused->fusedOp->getResults().take_back(consumer->getNumResults()));
  return success();
}

struct ReadFactors : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp sum, PatternRewriter &rewriter) const override {
    if (!isSum(sum))
      return rewriter.notifyMatchFailure(sum, "no sum");
    OpOperand *operand = sum.getDpsInputOperand(0);
    linalg::GenericOp product = getProduct(operand->get());
    if (!product || !product->hasOneUse() || !isOuterProduct(product))
      return rewriter.notifyMatchFailure(sum, "its input is no outer product that it alone uses");
    for (OpOperand *factor : product.getDpsInputOperands())
      if (getBroadcast(factor->get()))
        return fuse(factor, rewriter);
    return fuse(operand, rewriter);
  }
};

struct FormContractions : impl::FormContractionsBase<FormContractions> {
  void runOnOperation() override {
    SmallVector<linalg::ReduceOp> reductions;
    getOperation().walk([&](linalg::ReduceOp op) {
      if (op.getInputs().size() == 1 && getProduct(op.getInputs()[0]))
        reductions.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::ReduceOp op : reductions) {
      rewriter.setInsertionPoint(op);
      if (failed(linalg::generalizeNamedOp(rewriter, op)))
        return signalPassFailure();
    }
    RewritePatternSet patterns(&getContext());
    patterns.add<ReadFactors>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
