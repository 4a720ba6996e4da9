#include "passes/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
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
    getOperation().walk([&](tensor::EmptyOp op) {
      if (!op->getParentOfType<LoopLikeOpInterface>())
        empties.push_back(op);
    });
    SmallVector<MaterializeInDestinationOp> results;
    llvm::SmallPtrSet<Value, 4> resultStarts;
    getOperation().walk([&](MaterializeInDestinationOp op) {
      if (!isa<MemRefType>(op.getDest().getType()))
        return;
      results.push_back(op);
      resultStarts.insert(getStart(op.getSource()));
    });
    for (tensor::EmptyOp op : empties)
      divideUses(op, resultStarts.contains(op) ? 1 : kUsesTogether);
    llvm::for_each(results, writeUnshaped);
    if (results.size() < 2)
      return;
    llvm::SmallPtrSet<Value, 4> starts;
    Operation *first = getOperation().getBody().front().findAncestorOpInBlock(*results.front());
    for (MaterializeInDestinationOp result : results)
      if (!starts.insert(getStart(result.getSource())).second)
        save(result, first);
  }

private:
  /// A result that reshapes what an op writes is written in the op's shape, so that the op can write to the result's
  /// buffer itself.
  static void writeUnshaped(MaterializeInDestinationOp result) {
    OpBuilder b(result);
    while (Value dest = buildUnshaped(b, result.getSource().getDefiningOp(), result.getDest())) {
      result.getSourceMutable().assign(result.getSource().getDefiningOp()->getOperand(0));
      result.getDestMutable().assign(dest);
    }
  }

  /// `dest` in the shape of what `reshape` reads; null if that is no view.
  static Value buildUnshaped(OpBuilder &b, Operation *reshape, Value dest) {
    auto type = cast<MemRefType>(dest.getType());
    if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(reshape)) {
      SmallVector<ReassociationIndices> groups = collapse.getReassociationIndices();
      ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
      if (!collapse.getSrcType().hasStaticShape() || groups.empty())
        return nullptr;
      FailureOr<MemRefType> expanded = memref::ExpandShapeOp::computeExpandedType(type, shape, groups);
      if (failed(expanded))
        return nullptr;
      return memref::ExpandShapeOp::create(b, reshape->getLoc(), *expanded, dest, groups);
    }
    // Dimensions of extent 1 that the result has in addition.
    auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(reshape);
    if (!expand || !expand.getResultType().hasStaticShape())
      return nullptr;
    ArrayRef<int64_t> shape = expand.getSrcType().getShape();
    SmallVector<int64_t> offsets(type.getRank(), 0), strides(type.getRank(), 1);
    if (computeRankReductionMask(type.getShape(), shape) == std::nullopt)
      return nullptr;
    MemRefType reduced = memref::SubViewOp::inferRankReducedResultType(shape, type, offsets, type.getShape(), strides);
    return memref::SubViewOp::create(b, reshape->getLoc(), reduced, dest, offsets, type.getShape(), strides);
  }

  /// Uses of an empty tensor that take turns in one buffer, as repeated keys and repeated values do.
  static constexpr unsigned kUsesTogether = 4;

  /// An empty tensor holds nothing that its users would share but the buffer that it becomes. All layers of a model may
  /// use one, and bufferisation compares all uses of a tensor with each other, so only a few of one block, one after
  /// another, keep it together. In loops all do: tiles take turns in one buffer, and so in the first-level cache, which
  /// int4 keys and values, once unpacked, fill each.
  static void divideUses(tensor::EmptyOp op, unsigned together) {
    OpBuilder b(op);
    SmallVector<OpOperand *> uses = llvm::map_to_vector(op->getUses(), [](OpOperand &use) { return &use; });
    unsigned count = 0;
    Value shared = op.getResult();
    for (OpOperand *use : llvm::reverse(uses)) {
      if (use->getOwner()->getBlock() != op->getBlock()) {
        use->set(b.clone(*op)->getResult(0));
        continue;
      }
      if (count++ == together) {
        shared = b.clone(*op)->getResult(0);
        count = 1;
      }
      use->set(shared);
    }
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
