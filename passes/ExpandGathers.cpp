#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_EXPANDGATHERS
#include "passes/Passes.h.inc"

namespace {

/// tensor.gather as a linalg.generic that extracts each element of the result from the source.
struct ExpandGather : OpRewritePattern<tensor::GatherOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::GatherOp op, PatternRewriter &b) const override {
    RankedTensorType type = op.getResultType();
    int64_t leading = op.getIndicesType().getRank() - 1;
    Value empty = tensor::EmptyOp::create(b, op.getLoc(), getSizes(b, op), type.getElementType());
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    b.replaceOpWithNewOp<linalg::GenericOp>(
        op, type, ValueRange{}, empty, b.getMultiDimIdentityMap(type.getRank()), iterators,
        [&](OpBuilder &body, Location loc, ValueRange) {
          SmallVector<Value> at, position;
          for (int64_t loop = 0; loop < leading; ++loop)
            at.push_back(linalg::IndexOp::create(body, loc, loop));
          int64_t loop = leading;
          for (int64_t dim = 0; dim < op.getSourceType().getRank(); ++dim) {
            const int64_t *gathered = llvm::find(op.getGatherDims(), dim);
            if (gathered == op.getGatherDims().end()) {
              position.push_back(linalg::IndexOp::create(body, loc, loop++));
              continue;
            }
            loop += keepsUnits(op);
            SmallVector<Value> coordinate(at);
            coordinate.push_back(arith::ConstantIndexOp::create(body, loc, gathered - op.getGatherDims().begin()));
            Value index = tensor::ExtractOp::create(body, loc, op.getIndices(), coordinate);
            position.push_back(
                index.getType().isIndex() ? index : arith::IndexCastOp::create(body, loc, body.getIndexType(), index));
          }
          linalg::YieldOp::create(body, loc,
                                  tensor::ExtractOp::create(body, loc, op.getSource(), position).getResult());
        });
    return success();
  }

private:
  static bool keepsUnits(tensor::GatherOp op) {
    return op.getResultType().getRank() == op.getIndicesType().getRank() - 1 + op.getSourceType().getRank();
  }

  /// The leading extents of the indices, then the extents of the source that are not gathered.
  static SmallVector<OpFoldResult> getSizes(OpBuilder &b, tensor::GatherOp op) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, op.getLoc(), op.getIndices());
    sizes.pop_back();
    for (auto [dim, size] : llvm::enumerate(tensor::getMixedSizes(b, op.getLoc(), op.getSource()))) {
      if (!llvm::is_contained(op.getGatherDims(), static_cast<int64_t>(dim)))
        sizes.push_back(size);
      else if (keepsUnits(op))
        sizes.push_back(b.getIndexAttr(1));
    }
    return sizes;
  }
};

struct ExpandGathers : impl::ExpandGathersBase<ExpandGathers> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandGather>(&getContext());
    tensor::populateDecomposeTensorConcatPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
