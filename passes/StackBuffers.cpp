#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_STACKBUFFERS
#include "passes/Passes.h.inc"

namespace {

int64_t getByteSize(MemRefType type) {
  return type.getNumElements() * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

/// Whether the buffer, or a view of it, leaves the block that allocates it.
bool escapes(Value buffer) {
  return llvm::any_of(buffer.getUsers(), [&](Operation *user) {
    if (user->hasTrait<OpTrait::IsTerminator>())
      return true;
    if (auto view = dyn_cast<ViewLikeOpInterface>(user))
      return llvm::any_of(view->getResults(), escapes);
    return llvm::any_of(user->getResultTypes(), llvm::IsaPred<BaseMemRefType>);
  });
}

/// The body of the task or function that runs `op`.
Block *getTaskBody(Operation *op) {
  Operation *parent = op->getParentOp();
  while (!isa<scf::ForallOp, func::FuncOp>(parent))
    parent = parent->getParentOp();
  return &parent->getRegion(0).front();
}

struct StackBuffers : impl::StackBuffersBase<StackBuffers> {
  using StackBuffersBase::StackBuffersBase;

  void runOnOperation() override {
    SmallVector<memref::AllocOp> allocs;
    getOperation().walk([&](memref::AllocOp op) {
      MemRefType type = op.getType();
      if (type.hasStaticShape() && getByteSize(type) <= maxBytes && !escapes(op))
        allocs.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (memref::AllocOp op : allocs) {
      rewriter.setInsertionPointToStart(getTaskBody(op));
      Value buffer = memref::AllocaOp::create(rewriter, op.getLoc(), op.getType(), op.getAlignmentAttr());
      rewriter.replaceOp(op, buffer);
    }
  }
};

} // namespace
} // namespace mlir::gqa
