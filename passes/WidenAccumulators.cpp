#include "passes/LinalgRoles.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_WIDENACCUMULATORS
#include "passes/Passes.h.inc"

namespace {

Value toF32(OpBuilder &b, Location loc, Value value) {
  return value.getType().isF32() ? value : Value(arith::ExtFOp::create(b, loc, b.getF32Type(), value));
}

/// `source` in another float type, written to `target`.
Value buildConversion(OpBuilder &b, Location loc, Value source, Value target) {
  auto type = cast<RankedTensorType>(target.getType());
  SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(b, loc, type, source, target, maps, iterators,
                                   [&](OpBuilder &nested, Location l, ValueRange args) {
                                     Value value = toF32(nested, l, args[0]);
                                     if (!type.getElementType().isF32())
                                       value = arith::TruncFOp::create(nested, l, type.getElementType(), value);
                                     linalg::YieldOp::create(nested, l, value);
                                   })
      .getResult(0);
}

/// The start of the sums, in f32.
Value buildStart(OpBuilder &b, Location loc, Value init) {
  Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, init), b.getF32Type());
  if (auto fill = init.getDefiningOp<linalg::FillOp>()) {
    Value start = toF32(b, loc, fill.getInputs()[0]);
    return linalg::FillOp::create(b, loc, start, empty).getResult(0);
  }
  return buildConversion(b, loc, init, empty);
}

struct WidenAccumulators : impl::WidenAccumulatorsBase<WidenAccumulators> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isFloatContraction(op) && !getElementTypeOrSelf(op.getDpsInits()[0]).isF32())
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops)
      widen(rewriter, op);
  }

private:
  static void widen(RewriterBase &rewriter, linalg::LinalgOp op) {
    rewriter.setInsertionPoint(op);
    Location loc = op.getLoc();
    Value init = op.getDpsInits()[0];
    Value start = buildStart(rewriter, loc, init);
    auto wide =
        linalg::GenericOp::create(rewriter, loc, start.getType(), op.getDpsInputs(), start, op.getIndexingMapsArray(),
                                  op.getIteratorTypesArray(), [](OpBuilder &b, Location l, ValueRange args) {
                                    Value lhs = toF32(b, l, args[0]), rhs = toF32(b, l, args[1]);
                                    Value product = arith::MulFOp::create(b, l, lhs, rhs);
                                    Value sum = arith::AddFOp::create(b, l, args[2], product);
                                    linalg::YieldOp::create(b, l, sum);
                                  });
    Value target = init;
    if (auto fill = init.getDefiningOp<linalg::FillOp>())
      target = fill.getOutputs()[0];
    rewriter.replaceOp(op, buildConversion(rewriter, loc, wide.getResult(0), target));
  }
};

} // namespace
} // namespace mlir::gqa
