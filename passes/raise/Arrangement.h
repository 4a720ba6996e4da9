#ifndef GQA_PASSES_RAISE_ARRANGEMENT_H
#define GQA_PASSES_RAISE_ARRANGEMENT_H

#include "passes/raise/Loops.h"

#include "mlir/IR/Value.h"

namespace mlir::gqa::raise {

/// A tensor and the loops that each of its dimensions runs through, outermost first.
struct Arrangement {
  Value tensor;
  SmallVector<SmallVector<Loop>> dims;

  /// All loops in the order in which the tensor lists them.
  SmallVector<Loop> getLoops() const;
  SmallVector<int64_t> getGroupSizes() const;
};

/// `first`, and what becomes of its tensor by ops that only transpose, merge or split dimensions, each the only user of
/// the one before.
SmallVector<Arrangement> followArrangements(const Arrangement &first, const Loops &loops);

/// How many of `rest`, one after the other, each dimension of `shape` runs through. None if they do not fit.
std::optional<SmallVector<int64_t>> groupLoops(ArrayRef<Loop> rest, ArrayRef<int64_t> shape, const Loops &loops);

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_ARRANGEMENT_H
