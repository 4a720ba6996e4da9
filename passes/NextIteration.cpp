#include "passes/NextIteration.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir::gqa {

static bool isBoundedLoad(Operation *op) {
  auto load = dyn_cast<memref::LoadOp>(op);
  return load && llvm::all_of(load.getIndices(), [](Value index) {
           Operation *bound = index.getDefiningOp();
           return isa_and_nonnull<arith::MinUIOp, arith::ConstantOp>(bound);
         });
}

bool canRunEarly(Operation *op) { return op->getNumRegions() == 0 && (isPure(op) || isBoundedLoad(op)); }

SmallVector<Operation *> getViews(Value base) {
  SmallVector<Operation *> views;
  while (auto view = base.getDefiningOp<ViewLikeOpInterface>()) {
    views.insert(views.begin(), view);
    base = view.getViewSource();
  }
  return views;
}

bool NextIteration::moves(Value value) {
  if (value == loop.getInductionVar())
    return true;
  Operation *op = value.getDefiningOp();
  return op && loop->isProperAncestor(op) && canRunEarly(op) &&
         llvm::any_of(op->getOperands(), [&](Value operand) { return moves(operand); });
}

Value NextIteration::get(Value value) {
  if (!moves(value))
    return value;
  if (Value known = computed.lookup(value))
    return known;
  Operation *op = value.getDefiningOp();
  OpBuilder b(loop.getContext());
  if (!op) {
    b.setInsertionPointToStart(loop.getBody());
    return computed[value] = arith::AddIOp::create(b, loop.getLoc(), value, loop.getStep());
  }
  IRMapping mapping;
  for (Value operand : op->getOperands())
    mapping.map(operand, get(operand));
  b.setInsertionPointAfter(op);
  b.clone(*op, mapping);
  return computed[value] = mapping.lookup(value);
}

} // namespace mlir::gqa
