#include "passes/raise/FindSoftmax.h"

#include "passes/raise/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::gqa::raise {

/// The op among the siblings of `block` that a user is part of.
static Operation *getSibling(Operation *user, Block *block) { return block->findAncestorOpInBlock(*user); }

static bool movesOrMaps(Operation *op) {
  return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp, tensor::CastOp, tensor::ExtractSliceOp,
             tensor::InsertSliceOp, tensor::ConcatOp, tensor::PadOp>(op) ||
         OpTrait::hasElementwiseMappableTraits(op);
}

/// Whether the body of a reduction adds, whatever it adds.
static bool adds(linalg::LinalgOp op) {
  Operation *step = op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  while (isa_and_nonnull<arith::TruncFOp, arith::ExtFOp>(step))
    step = step->getOperand(0).getDefiningOp();
  return isa_and_nonnull<arith::AddFOp>(step);
}

static bool multiplies(linalg::LinalgOp op) {
  return op.getBlock()
      ->walk([](Operation *inner) {
        return isa<arith::MulFOp, arith::DivFOp>(inner) ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

/// Follows the exponentials to the reductions that they reach.
static Exponential follow(Operation *exp) {
  Exponential exponential{exp, {}, {}};
  llvm::SetVector<Operation *> worklist;
  worklist.insert(exp);
  for (size_t i = 0; i < worklist.size(); ++i) {
    Operation *op = worklist[i];
    auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
    if (linalgOp && !Tracer::getReductionExtents(linalgOp).empty()) {
      if (adds(linalgOp) && multiplies(linalgOp))
        exponential.contractions.push_back(linalgOp);
      else if (adds(linalgOp))
        exponential.isSummed = true;
      continue;
    }
    if (!linalgOp && !movesOrMaps(op))
      continue;
    exponential.reached.insert(op);
    for (Operation *user : op->getUsers())
      if (Operation *sibling = getSibling(user, exp->getBlock()))
        worklist.insert(sibling);
  }
  return exponential;
}

/// exp, exp2, or a power of a constant, which may be exp2.
static bool isExponential(Operation *op) {
  auto power = dyn_cast<math::PowFOp>(op);
  if (!power)
    return isa<math::ExpOp, math::Exp2Op>(op);
  Value base = power.getLhs();
  auto argument = dyn_cast<BlockArgument>(base);
  if (auto parent = op->getParentOfType<linalg::LinalgOp>(); parent && argument)
    base = parent.getMatchingOpOperand(argument)->get();
  return base.getDefiningOp<arith::ConstantOp>() != nullptr;
}

SmallVector<Exponential> findExponentials(FunctionOpInterface function) {
  llvm::SetVector<Operation *> ops;
  function.walk([&](Operation *op) {
    if (!isExponential(op))
      return;
    auto parent = op->getParentOfType<linalg::LinalgOp>();
    if (parent || isa<RankedTensorType>(op->getResult(0).getType()))
      ops.insert(parent ? parent.getOperation() : op);
  });
  return llvm::map_to_vector(ops, follow);
}

//===-- What a replacement leaves unused --------------------------------------------------------------------------===//

/// Whether `op` has no effect, or none but assertions about its elements: they go with the elements.
static bool onlyComputes(Operation *op) {
  if (isPure(op))
    return true;
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op); !linalgOp || !linalgOp.hasPureTensorSemantics())
    return false;
  return !op->walk([&](Operation *inner) {
              bool isHarmless = inner == op || isPure(inner) || isa<cf::AssertOp, linalg::YieldOp>(inner);
              return isHarmless ? WalkResult::advance() : WalkResult::interrupt();
            }).wasInterrupted();
}

llvm::SetVector<Operation *> findDying(ArrayRef<Operation *> roots) {
  llvm::SetVector<Operation *> dying(roots.begin(), roots.end());
  Block *block = roots[0]->getBlock();
  auto isDying = [&](Operation *op) {
    return onlyComputes(op) && llvm::all_of(op->getUsers(), [&](Operation *user) {
             Operation *sibling = getSibling(user, block);
             return isa<tensor::DimOp>(user) || (sibling && dying.contains(sibling));
           });
  };
  for (size_t i = 0; i < dying.size(); ++i) {
    SetVector<Value> used(dying[i]->operand_begin(), dying[i]->operand_end());
    getUsedValuesDefinedAbove(dying[i]->getRegions(), used);
    for (Value value : used)
      if (Operation *op = value.getDefiningOp(); op && op->getBlock() == block && isDying(op))
        dying.insert(op);
  }
  return dying;
}

llvm::SetVector<Operation *> findReached(Operation *source) {
  llvm::SetVector<Operation *> reached;
  reached.insert(source);
  for (size_t i = 0; i < reached.size(); ++i)
    for (Operation *user : reached[i]->getUsers())
      if (Operation *sibling = getSibling(user, source->getBlock()))
        reached.insert(sibling);
  return reached;
}

Operation *findOtherUse(Operation *wanted, const llvm::SetVector<Operation *> &dying) {
  // Forward from what was to die: an op that is not dying, though one of its operands' other users is.
  llvm::SetVector<Operation *> worklist;
  worklist.insert(wanted);
  Operation *last = wanted;
  for (size_t i = 0; i < worklist.size() && i < 64; ++i) {
    bool hasDyingUser = false;
    Operation *other = nullptr;
    for (Operation *user : worklist[i]->getUsers()) {
      Operation *sibling = getSibling(user, wanted->getBlock());
      if (!sibling || isa<tensor::DimOp>(user))
        continue;
      if (dying.contains(sibling))
        hasDyingUser = true;
      else
        worklist.insert(other = sibling);
    }
    if (other && hasDyingUser)
      return other;
    last = worklist[i];
  }
  return last;
}

} // namespace mlir::gqa::raise
