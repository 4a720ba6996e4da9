#ifndef GQA_PASSES_RAISE_OPERANDS_H
#define GQA_PASSES_RAISE_OPERANDS_H

#include "dialect/AttentionDims.h"
#include "passes/raise/Trace.h"

namespace mlir::gqa::raise {

/// A tensor and the dimensions that it lists.
struct NamedTensor {
  Value tensor;
  SmallVector<Dim> dims;
};

/// Makes tensors of expressions, once loops have the names of dimensions.
class OperandBuilder {
public:
  OperandBuilder(OpBuilder &b, Location loc, Tracer &tracer, const DenseMap<Loop, Dim> &names)
      : b(b), loc(loc), tracer(tracer), names(names) {}

  /// The tensor that `load` reads, sliced and reshaped so that it lists each of its loops once. None if that cannot be.
  std::optional<NamedTensor> buildView(ExprRef load);
  /// The dimensions that an operand over `loops` lists; None as for buildView.
  std::optional<SmallVector<Dim>> getDims(ArrayRef<Loop> loops);
  /// A tensor of `expr` over the loops along which it varies. None if one of them has no name.
  std::optional<NamedTensor> build(ExprRef expr);
  /// `tensor`, which lists `dims`, with the loops of the batch apart again.
  Value splitBatch(Value tensor, ArrayRef<Dim> dims);
  /// `tensor` with dimensions merged or of extent 1 inserted: dimension i of `type` runs through `groups[i]` of its.
  Value buildReshape(Value tensor, ArrayRef<int64_t> groupSizes, RankedTensorType type);

  /// Says that several loops, outermost first, are the batch. Operands merge their dimensions; they are static.
  void setBatch(ArrayRef<Loop> loops) { batch.assign(loops.begin(), loops.end()); }
  /// Where to read the extents of dynamic dimensions.
  void setExtents(ArrayRef<NamedTensor> tensors) { extents.assign(tensors.begin(), tensors.end()); }
  OpFoldResult getExtent(Dim dim, int64_t staticExtent);

private:
  /// A tensor and the loops that its dimensions are.
  struct View {
    Value tensor;
    SmallVector<Loop> loops;
  };
  std::optional<View> buildSlice(ExprRef load);
  std::optional<NamedTensor> mergeBatch(const View &view);
  bool isBatch(Loop loop) const { return llvm::is_contained(batch, loop); }
  Value buildElement(OpBuilder &nested, ExprRef expr, DenseMap<ExprRef, Value> &known, ArrayRef<Loop> loops);
  Value buildIndex(OpBuilder &nested, ExprRef expr, ArrayRef<Loop> loops);

  OpBuilder &b;
  Location loc;
  Tracer &tracer;
  const DenseMap<Loop, Dim> &names;
  SmallVector<NamedTensor> extents;
  SmallVector<Loop> batch; // empty if at most one loop is
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_OPERANDS_H
