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
    SmallVector<tensor::EmptyOp> empties;
    getOperation().walk([&](tensor::EmptyOp op) { empties.push_back(op); });
    llvm::for_each(empties, giveEachUseItsOwn);
    SmallVector<MaterializeInDestinationOp> results;
    getOperation().walk([&](MaterializeInDestinationOp op) {
      if (isa<MemRefType>(op.getDest().getType()))
        results.push_back(op);
    });
    if (results.size() < 2)
      return;
    llvm::SmallPtrSet<Value, 4> starts;
    Operation *first = getOperation().getBody().front().findAncestorOpInBlock(*results.front());
    for (MaterializeInDestinationOp result : results)
      if (!starts.insert(getStart(result.getSource())).second)
        save(result, first);
  }

private:
  /// An empty tensor holds nothing that its users would share. Bufferisation compares all uses of a tensor with each
  /// other, and all layers of a model may use one.
  static void giveEachUseItsOwn(tensor::EmptyOp op) {
    OpBuilder b(op);
    for (OpOperand &use : llvm::make_early_inc_range(llvm::drop_begin(op->getUses())))
      use.set(b.clone(*op)->getResult(0));
  }

  /// Copies the result before the first one is written.
  static void save(MaterializeInDestinationOp result, Operation *first) {
    Value source = result.getSource();
    OpBuilder b(first);
    if (Operation *producer = source.getDefiningOp(); producer && first->isBeforeInBlock(producer))
      b.setInsertionPointAfter(producer);
    Value saved = bufferization::AllocTensorOp::create(b, result.getLoc(), cast<RankedTensorType>(source.getType()),
                                                       ValueRange{}, source);
    result.getSourceMutable().assign(saved);
  }
};

} // namespace
} // namespace mlir::gqa
