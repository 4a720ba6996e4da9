#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/StringExtras.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_VERIFYNOKVEXPANSION
#include "passes/Passes.h.inc"

namespace {

/// Where gqa-tile-attention leaves the extents of the scores of each attention it tiled.
constexpr StringLiteral kScoreShapes = "gqa.score_shapes";

/// The op that repeats elements of its input to make `value`, seen through reshapes and casts; null if there is none.
Operation *findRepeat(Value value) {
  while (Operation *producer = value.getDefiningOp()) {
    if (isa<linalg::BroadcastOp>(producer))
      return producer;
    if (auto generic = dyn_cast<linalg::GenericOp>(producer)) {
      bool isCopy = generic.getNumDpsInputs() == 1 && generic.getNumReductionLoops() == 0;
      if (!isCopy)
        return nullptr;
      AffineMap map = generic.getIndexingMapsArray()[0];
      for (auto [loop, extent] : llvm::enumerate(generic.getStaticLoopRanges()))
        if (extent != 1 && !map.isFunctionOfDim(loop))
          return producer;
      value = generic.getDpsInputs()[0];
    } else if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp, linalg::TransposeOp>(producer)) {
      value = producer->getOperand(0);
    } else {
      return nullptr;
    }
  }
  return nullptr;
}

LogicalResult verifyOperand(AttentionOp op, StringRef name, Value operand) {
  Operation *repeat = findRepeat(operand);
  if (!repeat)
    return success();
  InFlightDiagnostic diagnostic = op.emitOpError() << name << " repeats its heads in memory: " << operand.getType()
                                                   << " is made of " << repeat->getOperand(0).getType();
  diagnostic.attachNote(repeat->getLoc()) << "repeated here";
  return failure();
}

/// Whether a buffer of `type` has the extents of a score matrix [b, hkv, g, m, n], whatever their order and however
/// the parallel ones are merged: both m and n, and as many elements. One row or one key makes no matrix.
bool isScoreMatrix(ArrayRef<int64_t> extents, ArrayRef<int64_t> scores) {
  int64_t rows = scores[3], keys = scores[4];
  SmallVector<int64_t> rest(extents);
  for (int64_t extent : {rows, keys}) {
    auto *it = llvm::find(rest, extent);
    if (it == rest.end())
      return false;
    rest.erase(it);
  }
  auto count = [](ArrayRef<int64_t> extents) {
    int64_t product = 1;
    for (int64_t extent : extents)
      product *= ShapedType::isDynamic(extent) ? 1 : extent;
    return product;
  };
  ArrayRef<int64_t> heads = scores.take_front(3);
  bool hasDynamicOnes = llvm::count(rest, ShapedType::kDynamic) >= llvm::count(heads, ShapedType::kDynamic);
  return hasDynamicOnes && count(rest) >= count(heads) && rows != 1 && keys != 1;
}

std::string printExtents(ArrayRef<int64_t> extents) {
  return llvm::join(
      llvm::map_range(extents,
                      [](int64_t extent) { return ShapedType::isDynamic(extent) ? "?" : std::to_string(extent); }),
      ", ");
}

/// The extents of a buffer. Dynamic ones that are computed, such as a number of key ranges, are no extent of a tensor
/// and count as 1.
SmallVector<int64_t> getTensorExtents(Operation *alloc) {
  SmallVector<int64_t> extents(cast<MemRefType>(alloc->getResult(0).getType()).getShape());
  auto size = alloc->operand_begin();
  for (int64_t &extent : extents)
    if (ShapedType::isDynamic(extent)) {
      Operation *producer = (*size++).getDefiningOp();
      if (producer && !isa<memref::DimOp>(producer))
        extent = 1;
    }
  return extents;
}

struct VerifyNoKVExpansion : impl::VerifyNoKVExpansionBase<VerifyNoKVExpansion> {
  void runOnOperation() override {
    WalkResult operands = getOperation().walk([](AttentionOp op) {
      bool isShared = getStaticExtent(op.getMaps(), op.getOperands(), Dim::g) != 1 || !hasDim(op.getKeyMap(), Dim::g);
      if (isShared &&
          (failed(verifyOperand(op, "key", op.getKey())) || failed(verifyOperand(op, "value", op.getValue()))))
        return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (operands.wasInterrupted() || failed(verifyBuffers()))
      signalPassFailure();
  }

private:
  LogicalResult verifyBuffers() {
    auto shapes = getOperation()->getAttrOfType<ArrayAttr>(kScoreShapes);
    if (!shapes)
      return success();
    WalkResult result = getOperation().walk([&](Operation *op) {
      // What a task holds is one tile, however small the whole is; so is what gqa-stack-buffers put on the stack, whose
      // sizes it bounds, where a single task is no loop any more.
      if (!isa<memref::AllocOp>(op) || op->getParentOfType<scf::ForallOp>())
        return WalkResult::advance();
      auto type = cast<MemRefType>(op->getResult(0).getType());
      for (auto scores : shapes.getAsRange<DenseI64ArrayAttr>())
        if (isScoreMatrix(getTensorExtents(op), scores.asArrayRef())) {
          op->emitOpError() << "a buffer of type " << type << " holds a full score matrix of " << "shape ["
                            << printExtents(scores.asArrayRef()) << "]";
          return WalkResult::interrupt();
        }
      return WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }
};

} // namespace
} // namespace mlir::gqa
