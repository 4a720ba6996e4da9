#include "passes/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SINKRESULTS
#include "passes/Passes.h.inc"

namespace {

using bufferization::MaterializeInDestinationOp;

/// `choice` without the results that nothing uses.
void dropUnusedResults(scf::IfOp choice) {
  SmallVector<unsigned> kept;
  for (OpResult result : choice.getResults())
    if (!result.use_empty())
      kept.push_back(result.getResultNumber());
  if (kept.size() == choice.getNumResults())
    return;
  OpBuilder b(choice);
  SmallVector<Type> types = llvm::map_to_vector(kept, [&](unsigned i) { return choice.getResult(i).getType(); });
  auto smaller = scf::IfOp::create(b, choice.getLoc(), types, choice.getCondition(), /*withElseRegion=*/true);
  smaller.getThenRegion().takeBody(choice.getThenRegion());
  smaller.getElseRegion().takeBody(choice.getElseRegion());
  for (Region *branch : {&smaller.getThenRegion(), &smaller.getElseRegion()}) {
    Operation *yield = branch->front().getTerminator();
    yield->setOperands(llvm::map_to_vector(kept, [&](unsigned i) { return yield->getOperand(i); }));
  }
  for (auto [result, i] : llvm::zip_equal(smaller.getResults(), kept))
    choice.getResult(i).replaceAllUsesWith(result);
  choice.erase();
}

/// The ops that store a result of an scf.if as it is or reshaped, and nothing else uses: the store comes last.
struct Store {
  OpResult result;
  SmallVector<Operation *> ops;

  /// What `store` stores, if that is chosen by an scf.if before it in the same block, and could be stored there.
  static std::optional<Store> find(MaterializeInDestinationOp store) {
    SmallVector<Operation *> ops = {store};
    Value source = store.getSource();
    while (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp>(source.getDefiningOp()) &&
           source.hasOneUse()) {
      ops.push_back(source.getDefiningOp());
      source = source.getDefiningOp()->getOperand(0);
    }
    auto choice = source.getDefiningOp<scf::IfOp>();
    if (!choice || !source.hasOneUse() || choice->getBlock() != store->getBlock())
      return std::nullopt;
    DominanceInfo dominance;
    for (Operation *op : ops)
      for (Value operand : op->getOperands())
        if (!llvm::is_contained(ops, operand.getDefiningOp()) && operand != source &&
            !dominance.properlyDominates(operand, choice))
          return std::nullopt;
    return Store{cast<OpResult>(source), llvm::to_vector(llvm::reverse(ops))};
  }

  /// Stores what each branch yields at its end. Returns the new stores.
  SmallVector<MaterializeInDestinationOp> sink() {
    auto choice = cast<scf::IfOp>(result.getOwner());
    SmallVector<MaterializeInDestinationOp> stores;
    for (Region *branch : {&choice.getThenRegion(), &choice.getElseRegion()}) {
      Operation *yield = branch->front().getTerminator();
      OpBuilder b(yield);
      IRMapping mapping;
      mapping.map(result, yield->getOperand(result.getResultNumber()));
      for (Operation *op : ops)
        stores.push_back(dyn_cast<MaterializeInDestinationOp>(b.clone(*op, mapping)));
    }
    llvm::erase(stores, MaterializeInDestinationOp());
    for (Operation *op : llvm::reverse(ops))
      op->erase();
    dropUnusedResults(choice);
    return stores;
  }
};

struct SinkResults : impl::SinkResultsBase<SinkResults> {
  void runOnOperation() override {
    SmallVector<MaterializeInDestinationOp> stores;
    getOperation().walk([&](MaterializeInDestinationOp op) {
      if (isa<MemRefType>(op.getDest().getType()))
        stores.push_back(op);
    });
    // Branches may choose in turn.
    while (!stores.empty())
      if (std::optional<Store> store = Store::find(stores.pop_back_val()))
        llvm::append_range(stores, store->sink());
  }
};

} // namespace
} // namespace mlir::gqa
