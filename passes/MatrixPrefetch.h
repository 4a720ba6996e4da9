#ifndef GQA_PASSES_MATRIXPREFETCH_H
#define GQA_PASSES_MATRIXPREFETCH_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::gqa {

/// Spreads the prefetches of one block of keys evenly over the steps of the work on the block before it. Matrix
/// registers read a block in a fraction of the time that its memory takes: beside those reads, prefetches would wait
/// for each other, and the memory for the rest of the block.
class MatrixPrefetcher {
public:
  explicit MatrixPrefetcher(scf::ForOp loop) : loop(loop) {}

  /// Adds the part of a block that `base`, which is read in the loop, views; false if it is none of static shape.
  bool add(Value base);

  /// Emits the prefetches of all that was added.
  void emit();

private:
  /// The first element of a cache line.
  struct Line {
    Value base;
    SmallVector<int64_t> indices;
  };

  void addNextBlock(OpBuilder &b, Value part);
  void addLines(Value base, SmallVector<int64_t> &indices);
  Value compute(OpBuilder &b, Value value, IRMapping &known);

  scf::ForOp loop;
  SmallVector<Value> parts;
  SmallVector<Line> lines;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_MATRIXPREFETCH_H
