#ifndef GQA_PASSES_RAISE_FINDSOFTMAX_H
#define GQA_PASSES_RAISE_FINDSOFTMAX_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::gqa::raise {

/// An op that computes exponentials, and where they go.
struct Exponential {
  Operation *op;
  llvm::DenseSet<Operation *> reached;        ///< without a reduction in between; `op` is among them
  SmallVector<linalg::LinalgOp> contractions; ///< reductions that multiply
  bool isSummed = false;                      ///< there is a sum of nothing else: a softmax
};

/// All exponentials of a function.
SmallVector<Exponential> findExponentials(FunctionOpInterface function);

/// The ops that have no use any more once nothing uses `roots`, which come first. Uses by tensor.dim do not count.
llvm::SetVector<Operation *> findDying(ArrayRef<Operation *> roots);

/// The ops that `source` reaches, itself included, in an order in which each follows one that it uses.
llvm::SetVector<Operation *> findReached(Operation *source);

/// An op that keeps alive what would die with `root` otherwise, if `wanted` is not among the `dying`.
Operation *findOtherUse(Operation *wanted, const llvm::SetVector<Operation *> &dying);

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_FINDSOFTMAX_H
