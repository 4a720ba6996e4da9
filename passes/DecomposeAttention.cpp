#include "passes/Passes.h"

#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_DECOMPOSEATTENTION
#include "passes/Passes.h.inc"

namespace {

struct DecomposeAttention : impl::DecomposeAttentionBase<DecomposeAttention> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    WalkResult result = getOperation().walk([&](OnlineAttentionOp op) {
      rewriter.setInsertionPoint(op);
      FailureOr<SmallVector<Value>> values = op.decomposeOperation(rewriter);
      if (failed(values))
        return WalkResult::interrupt();
      rewriter.replaceOp(op, *values);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    copyPages(rewriter);
    getOperation().walk([](scf::ForOp loop) { hoistConversions(loop); });
  }

private:
  /// Pages that the decomposition does not read in place become tiles.
  void copyPages(IRRewriter &rewriter) {
    getOperation().walk([&](GatherPagesOp op) {
      rewriter.setInsertionPoint(op);
      if (op->use_empty())
        rewriter.eraseOp(op);
      else
        rewriter.replaceOp(op, op.buildCopy(rewriter));
    });
  }

  /// What depends on the query alone leaves the loop over key blocks. Constant tensors that others use stay: outside they
  /// would need a buffer of their own.
  static void hoistConversions(scf::ForOp loop) {
    moveLoopInvariantCode(
        loop.getLoopRegions(), [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
        [&](Operation *op, Region *) {
          return isMemoryEffectFree(op) && isSpeculatable(op) && (!isa<linalg::FillOp>(op) || startsInvariant(loop, op));
        },
        [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
  }

  /// Whether `fill` is what an op starts from that reads nothing of the loop else.
  static bool startsInvariant(scf::ForOp loop, Operation *fill) {
    if (!fill->hasOneUse())
      return false;
    return llvm::all_of(fill->user_begin()->getOperands(), [&](Value operand) {
      return operand == fill->getResult(0) || loop.isDefinedOutsideOfLoop(operand);
    });
  }
};

} // namespace
} // namespace mlir::gqa
