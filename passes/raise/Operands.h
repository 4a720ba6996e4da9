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
  /// A tensor of `expr` over the loops along which it varies. None if one of them has no name.
  std::optional<NamedTensor> build(ExprRef expr);
  /// `tensor` with dimensions merged or of extent 1 inserted: dimension i of `type` runs through `groups[i]` of its.
  Value buildReshape(Value tensor, ArrayRef<int64_t> groupSizes, RankedTensorType type);

  /// Where to read the extents of dynamic dimensions.
  void setExtents(ArrayRef<NamedTensor> tensors) { extents.assign(tensors.begin(), tensors.end()); }
  OpFoldResult getExtent(Dim dim, int64_t staticExtent);

private:
  Value buildElement(OpBuilder &nested, ExprRef expr, DenseMap<ExprRef, Value> &known, ArrayRef<Loop> loops);
  Value buildIndex(OpBuilder &nested, ExprRef expr, ArrayRef<Loop> loops);

  OpBuilder &b;
  Location loc;
  Tracer &tracer;
  const DenseMap<Loop, Dim> &names;
  SmallVector<NamedTensor> extents;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_OPERANDS_H
