#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_VECTORIZETILES
#include "passes/Passes.h.inc"

namespace {

/// The vector that holds all of `tensor`.
Value readWhole(OpBuilder &builder, Location loc, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<Value> zeros(type.getRank(), arith::ConstantIndexOp::create(builder, loc, 0));
  SmallVector<bool> inBounds(type.getRank(), true);
  return vector::TransferReadOp::create(builder, loc, VectorType::get(type.getShape(), type.getElementType()), tensor,
                                        zeros, /*padding=*/std::nullopt, inBounds);
}

/// `init + lhs * rhs` with f32 accumulators and possibly narrower inputs.
bool isMultiplyAdd(linalg::LinalgOp op) {
  return op.getNumDpsInputs() == 2 && op.getNumReductionLoops() > 0 && op->getNumResults() == 1 &&
         linalg::isaContractionOpInterface(op) &&
         cast<RankedTensorType>(op.getDpsInits()[0].getType()).getElementType().isF32();
}

/// A contraction block as one vector.contract of operands read as they lie; linalg's own vectorisation would broadcast
/// them to the whole iteration space first.
Value vectorizeContraction(RewriterBase &rewriter, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value init = op.getDpsInits()[0];
  SmallVector<Value> inputs;
  for (Value input : op.getDpsInputs()) {
    Value vector = readWhole(rewriter, loc, input);
    auto type = cast<VectorType>(vector.getType());
    if (!type.getElementType().isF32())
      vector = arith::ExtFOp::create(rewriter, loc, type.clone(rewriter.getF32Type()), vector);
    inputs.push_back(vector);
  }
  SmallVector<Attribute> iterators;
  for (utils::IteratorType iterator : op.getIteratorTypesArray())
    iterators.push_back(vector::IteratorTypeAttr::get(rewriter.getContext(), iterator == utils::IteratorType::parallel
                                                                                 ? vector::IteratorType::parallel
                                                                                 : vector::IteratorType::reduction));
  Value sum = vector::ContractionOp::create(rewriter, loc, inputs[0], inputs[1], readWhole(rewriter, loc, init),
                                            rewriter.getAffineMapArrayAttr(op.getIndexingMapsArray()),
                                            rewriter.getArrayAttr(iterators));
  auto type = cast<RankedTensorType>(init.getType());
  SmallVector<Value> zeros(type.getRank(), arith::ConstantIndexOp::create(rewriter, loc, 0));
  SmallVector<bool> inBounds(type.getRank(), true);
  return vector::TransferWriteOp::create(rewriter, loc, sum, init, zeros, inBounds).getResult();
}

struct VectorizeTiles : impl::VectorizeTilesBase<VectorizeTiles> {
  void runOnOperation() override {
    if (failed(vectorizeAll()) || failed(foldSubsets()))
      return signalPassFailure();
    hoistAccumulators();
    if (failed(foldSubsets()))
      return signalPassFailure();
  }

private:
  LogicalResult vectorizeAll() {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!op.hasDynamicShape())
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      rewriter.setInsertionPoint(op);
      if (isMultiplyAdd(op)) {
        rewriter.replaceOp(op, vectorizeContraction(rewriter, op));
        continue;
      }
      FailureOr<linalg::VectorizationResult> result = linalg::vectorize(rewriter, op);
      if (failed(result))
        return op.emitOpError() << "cannot be vectorised";
      rewriter.replaceOp(op, result->replacements);
    }
    return success();
  }

  LogicalResult foldSubsets() {
    RewritePatternSet patterns(&getContext());
    vector::populateVectorReductionToContractPatterns(patterns);
    vector::populateCastAwayVectorLeadingOneDimPatterns(patterns);
    vector::TransferReadOp::getCanonicalizationPatterns(patterns, &getContext());
    vector::TransferWriteOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::populateFoldTensorSubsetIntoVectorTransferPatterns(patterns);
    scf::ForOp::getCanonicalizationPatterns(patterns, &getContext());
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }

  void hoistAccumulators() {
    IRRewriter rewriter(&getContext());
    getOperation().walk([&](scf::ForOp loop) {
      hoistVectors(loop);
      hoistLoopInvariantSubsets(rewriter, loop);
    });
  }

  /// Invariant vectors and scalars leave the loop; tensors stay, since outside they would need a buffer of their own.
  static void hoistVectors(scf::ForOp loop) {
    auto isTensor = llvm::IsaPred<TensorType>;
    moveLoopInvariantCode(
        loop.getLoopRegions(), [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
        [&](Operation *op, Region *) {
          return isMemoryEffectFree(op) && isSpeculatable(op) && llvm::none_of(op->getResultTypes(), isTensor);
        },
        [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
  }
};

} // namespace
} // namespace mlir::gqa
