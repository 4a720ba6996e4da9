#include "passes/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SEPARATERESULTS
#include "passes/Passes.h.inc"

namespace {

using bufferization::MaterializeInDestinationOp;

/// What `value` is a later state of: the tensor that the ops before it updated, or views of it.
Value getStart(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    auto result = cast<OpResult>(value);
    if (auto loop = dyn_cast<LoopLikeOpInterface>(op); loop && loop.getTiedLoopInit(result))
      value = loop.getTiedLoopInit(result)->get();
    else if (auto update = dyn_cast<DestinationStyleOpInterface>(op))
      value = update.getTiedOpOperand(result)->get();
    else if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ExtractSliceOp, tensor::CastOp>(op))
      value = op->getOperand(0);
    else
      break;
  }
  return value;
}

struct SeparateResults : impl::SeparateResultsBase<SeparateResults> {
  void runOnOperation() override {
    giveEachUseItsOwnTensor();
    SmallVector<MaterializeInDestinationOp> results;
    getOperation().walk([&](MaterializeInDestinationOp op) {
      if (isa<MemRefType>(op.getDest().getType()))
        results.push_back(op);
    });
    llvm::SmallPtrSet<Value, 4> starts;
    for (MaterializeInDestinationOp result : results) {
      if (starts.insert(getStart(result.getSource())).second)
        continue;
      // Saved before the first result is written.
      OpBuilder b(getOperation());
      b.setInsertionPoint(getLater(results.front(), result.getSource().getDefiningOp()));
      Value saved = bufferization::AllocTensorOp::create(
          b, result.getLoc(), cast<RankedTensorType>(result.getSource().getType()), ValueRange{}, result.getSource());
      result.getSourceMutable().assign(saved);
    }
  }

private:
  /// `first`, or what follows `producer` if that comes later; both are in one block.
  static Operation *getLater(Operation *first, Operation *producer) {
    return producer && first->isBeforeInBlock(producer) ? producer->getNextNode() : first;
  }

  void giveEachUseItsOwnTensor() {
    SmallVector<tensor::EmptyOp> shared;
    getOperation().walk([&](tensor::EmptyOp op) {
      if (!op->use_empty() && !op->hasOneUse())
        shared.push_back(op);
    });
    for (tensor::EmptyOp op : shared) {
      OpBuilder b(op);
      for (OpOperand &use : llvm::make_early_inc_range(llvm::drop_begin(op->getUses())))
        use.set(b.clone(*op)->getResult(0));
    }
  }
};

} // namespace
} // namespace mlir::gqa
