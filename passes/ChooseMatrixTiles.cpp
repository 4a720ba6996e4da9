#include "passes/Passes.h"
#include "passes/WordProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_CHOOSEMATRIXTILES
#include "passes/Passes.h.inc"

namespace {

/// Whole tiles of rows and lanes, and words that fill at least a quarter of a register.
bool hasWholeTiles(linalg::GenericOp op) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  return !op.hasDynamicShape() && extents[0] % kMatrixTile == 0 && extents[1] % kMatrixTile == 0 &&
         4 * getMatrixDepth(extents[2]) >= kMatrixTile;
}

/// Lets a product that starts from zeros say so, instead of reading them.
void startFromZeros(RewriterBase &b, linalg::GenericOp op) {
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !(matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) || matchPattern(fill.getInputs()[0], m_Zero())))
    return;
  op.getDpsInitsMutable()[0].set(fill.getOutputs()[0]);
  op->setAttr(kFromZeros, b.getUnitAttr());
}

/// The operand that lists rows, where it comes from bringing pairs together as [pair, row, half].
linalg::GenericOp getPairsFirst(linalg::GenericOp op) {
  auto pairs = op.getDpsInputs()[0].getDefiningOp<linalg::GenericOp>();
  AffineExpr row, lane, pair, half;
  bindDims(op.getContext(), row, lane, pair, half);
  bool isPairFirst = op.getIndexingMapsArray()[0] == AffineMap::get(4, 0, {pair, row, half}, op.getContext());
  return isPairFirst && pairs && isWordInterleave(pairs) ? pairs : nullptr;
}

/// Whether neighbours along the innermost dimension of `tensor` lie next to each other in memory: no slice on the way
/// from a buffer has dropped the dimension that was innermost there.
bool isInnermostDense(Value tensor) {
  while (Operation *op = tensor.getDefiningOp()) {
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      if (slice.getDroppedDims().test(slice.getSourceType().getRank() - 1))
        return false;
    } else if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op)) {
      return true;
    }
    tensor = op->getOperand(0);
  }
  return true;
}

bool isRowFirst(linalg::GenericOp op) {
  AffineExpr row, lane, pair, half;
  bindDims(op.getContext(), row, lane, pair, half);
  return op.getIndexingMapsArray()[0] == AffineMap::get(4, 0, {row, pair, half}, op.getContext());
}

/// `pairs`, [pair, half, row] -> [pair, row, half], as [pair, half, row] -> [row, pair, half].
Value buildTransposition(RewriterBase &b, linalg::GenericOp pairs) {
  b.setInsertionPoint(pairs);
  ArrayRef<int64_t> shape = cast<RankedTensorType>(pairs.getResult(0).getType()).getShape();
  Value empty = tensor::EmptyOp::create(b, pairs.getLoc(), {shape[1], shape[0], shape[2]}, b.getBF16Type());
  AffineExpr row, pair, half;
  bindDims(b.getContext(), row, pair, half);
  AffineMap maps[] = {AffineMap::get(3, 0, {pair, half, row}, b.getContext()), b.getMultiDimIdentityMap(3)};
  auto transposed = linalg::GenericOp::create(b, pairs.getLoc(), empty.getType(), pairs.getDpsInputs(), empty, maps,
                                              pairs.getIteratorTypesArray());
  b.cloneRegionBefore(pairs.getRegion(), transposed.getRegion(), transposed.getRegion().end());
  return transposed.getResult(0);
}

struct ChooseMatrixTiles : impl::ChooseMatrixTilesBase<ChooseMatrixTiles> {
  void runOnOperation() override {
    IRRewriter b(&getContext());
    getOperation().walk([&](linalg::GenericOp op) {
      if (!isWordContraction(op) || !hasWholeTiles(op))
        return;
      if (linalg::GenericOp pairs = getPairsFirst(op)) {
        Value rows = buildTransposition(b, pairs);
        SmallVector<AffineMap> maps = op.getIndexingMapsArray();
        AffineExpr row, lane, pair, half;
        bindDims(b.getContext(), row, lane, pair, half);
        maps[0] = AffineMap::get(4, 0, {row, pair, half}, b.getContext());
        b.modifyOpInPlace(op, [&] {
          op.getInputsMutable()[0].set(rows);
          op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
        });
      } else if (!isRowFirst(op) || !isInnermostDense(op.getDpsInputs()[0])) {
        return;
      }
      b.modifyOpInPlace(op, [&] {
        op->setAttr(kMatrixTiles, b.getUnitAttr());
        startFromZeros(b, op);
      });
    });
  }
};

} // namespace
} // namespace mlir::gqa
