#ifndef GQA_PASSES_RAISE_TRACE_H
#define GQA_PASSES_RAISE_TRACE_H

#include "passes/raise/Expr.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"

namespace mlir::gqa::raise {

/// Says what an element of a tensor is made of, whatever ops spell it: elementwise ops, copies, broadcasts, transposes,
/// reshapes, slices, concatenations, gathers at computed indices. Reductions, arguments and everything else that cannot
/// be seen through stay loads.
class Tracer {
public:
  Tracer(MLIRContext *context, Loops &loops) : loops(loops), exprs(context, loops) {}

  /// Element `indices` of `tensor`; `shape` may know more than its type.
  ExprRef getLoad(Value tensor, ArrayRef<ExprRef> indices, ArrayRef<int64_t> shape = {});
  /// What the element of `load` is made of, one op further back; null if that cannot be said.
  ExprRef expand(ExprRef load);
  /// What the element of `load` is made of where that depends on an index: a choice among pieces that are one tensor at
  /// indices that are a function of the index. Null if there is no such function.
  ExprRef expandByCases(ExprRef load);
  /// `expr` with all loads expanded as far as they go.
  ExprRef expandAll(ExprRef expr);

  /// One step of a reduction: the new value of an accumulator, of which `accumulator` is the old one.
  struct Step {
    linalg::LinalgOp op;
    ExprRef value, accumulator, init;
  };
  /// The step of the reduction that `load` reads, at `reductions` (one index per reduction loop of extent other than
  /// 1). None if `load` reads no reduction or one with another number of loops.
  std::optional<Step> open(ExprRef load, ArrayRef<ExprRef> reductions);
  /// The extents of the reduction loops of `op` that are not 1, as far as known.
  static SmallVector<int64_t> getReductionExtents(linalg::LinalgOp op);

  /// The value of a scalar that is computed outside of loops.
  ExprRef getScalar(Value value);
  /// The extent of a tensor's dimension, traced to where it comes from.
  ExprRef getExtent(Value tensor, unsigned dim);

  Loops &loops;
  Exprs exprs;

private:
  using Indices = SmallVector<ExprRef>;
  /// The values of a body's block arguments and of what was computed from them.
  using Scope = DenseMap<Value, ExprRef>;

  // Trace.cpp: bodies of loops.
  ExprRef expandLinalg(linalg::LinalgOp op, unsigned result, ExprRef load);
  bool bindLoops(linalg::LinalgOp op, unsigned result, ExprRef load, Indices &loopIndices,
                 SmallVectorImpl<int64_t> &extents);
  void bindInputs(linalg::LinalgOp op, ArrayRef<ExprRef> loopIndices, ArrayRef<int64_t> extents, Scope &scope);
  ExprRef evaluate(Value value, Scope &scope, ArrayRef<ExprRef> loopIndices);
  ExprRef evaluateOp(Operation *op, unsigned result, Scope &scope, ArrayRef<ExprRef> loopIndices);
  ExprRef evaluateAffine(AffineExpr expr, ArrayRef<ExprRef> dims);
  ExprRef expandElementwise(Operation *op, ExprRef load);

  // TraceTensors.cpp: ops that move elements.
  ExprRef expandTensorOp(Operation *op, ExprRef load);
  ExprRef expandConstant(DenseElementsAttr elements, ExprRef load);
  ExprRef expandReshape(Value source, ExprRef load);
  bool haveSameExtent(Value a, unsigned aDim, Value b, unsigned bDim);
  ExprRef expandPieces(Operation *op, ExprRef load);
  ExprRef expandGather(Operation *op, ExprRef load);
  /// An index that is some function of another one, as quotients and remainders of it.
  ExprRef simplifyIndex(ExprRef index);
  ExprRef fitSequence(ArrayRef<double> values, ExprRef index, Type type);
  ExprRef mergePieces(ArrayRef<ExprRef> pieces, ExprRef piece);

  DenseMap<ExprRef, ExprRef> steps, expansions;
  unsigned budget = 20000; // steps in all, so that no function makes this slow
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_TRACE_H
