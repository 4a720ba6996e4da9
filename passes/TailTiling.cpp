#include "passes/TailTiling.h"

#include "passes/IndexMath.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/TilingInterface.h"

namespace mlir::gqa {

namespace {

struct TailTiler {
  TailTiler(RewriterBase &b, linalg::LinalgOp op, ArrayRef<LoopSteps> order)
      : b(b), loc(op.getLoc()), op(op), math{b, loc}, order(order) {
    for (Range &range : cast<TilingInterface>(op.getOperation()).getIterationDomain(b)) {
      extents.push_back(range.size);
      offsets.push_back(math.constant(0));
      sizes.push_back(range.size);
    }
  }

  FailureOr<SmallVector<Value>> tile() { return buildLoops(0, op.getDpsInits()); }

private:
  FailureOr<SmallVector<Value>> buildLoops(unsigned level, ValueRange outputs) {
    if (level == order.size())
      return buildTile(outputs);
    OpFoldResult extent = extents[order[level].loop], done = math.constant(0);
    SmallVector<Value> results(outputs);
    for (int64_t step : order[level].steps) {
      OpFoldResult end = step == 1 ? extent : math.roundDown(extent, step);
      if (isEqualConstantIntOrValue(done, end))
        continue;
      FailureOr<SmallVector<Value>> current = buildLoop(level, done, end, step, results);
      if (failed(current))
        return failure();
      results = *current;
      done = end;
    }
    return results;
  }

  FailureOr<SmallVector<Value>> buildLoop(unsigned level, OpFoldResult begin, OpFoldResult end, int64_t step,
                                          ValueRange outputs) {
    unsigned loop = order[level].loop;
    if (order[level].keepsLanes && step > 1)
      return buildLaneLoop(loop, begin, end, step, outputs);
    sizes[loop] = math.constant(step);
    if (isConstantIntValue(math.sub(end, begin), step)) {
      offsets[loop] = begin;
      return buildLoops(level + 1, outputs);
    }
    auto steps =
        scf::ForOp::create(b, loc, math.value(begin), math.value(end), math.value(math.constant(step)), outputs);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(steps.getBody());
    offsets[loop] = steps.getInductionVar();
    FailureOr<SmallVector<Value>> inner = buildLoops(level + 1, steps.getRegionIterArgs());
    if (failed(inner))
      return failure();
    scf::YieldOp::create(b, loc, *inner);
    return SmallVector<Value>(steps.getResults());
  }

  /// The reduction over [begin, end) with an accumulator per lane, `step` of them.
  FailureOr<SmallVector<Value>> buildLaneLoop(unsigned loop, OpFoldResult begin, OpFoldResult end, int64_t step,
                                              ValueRange outputs) {
    offsets[loop] = begin;
    sizes[loop] = math.sub(end, begin);
    return buildTile(outputs, [&](Operation *tile) -> FailureOr<SmallVector<Value>> {
      auto reduction = cast<PartialReductionOpInterface>(tile);
      SmallVector<OpFoldResult> laneOffsets(offsets.size(), math.constant(0)), laneSizes(sizes);
      laneSizes[loop] = math.constant(step);
      SetVector<unsigned> reduced;
      reduced.insert(loop);
      FailureOr<SmallVector<Value>> start =
          reduction.generateInitialTensorForPartialReduction(b, loc, laneSizes, reduced);
      if (failed(start))
        return failure();
      auto steps = scf::ForOp::create(b, loc, math.value(math.constant(0)), math.value(sizes[loop]),
                                      math.value(math.constant(step)), *start);
      {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(steps.getBody());
        laneOffsets[loop] = steps.getInductionVar();
        FailureOr<TilingResult> lanes = reduction.tileToPartialReduction(
            b, loc, ReductionTilingStrategy::PartialReductionOuterReduction, steps.getRegionIterArgs(), laneOffsets,
            laneSizes, reduced, /*splitReductionIvs=*/{});
        if (failed(lanes))
          return failure();
        scf::YieldOp::create(b, loc, lanes->tiledValues);
      }
      FailureOr<MergeResult> merged = reduction.mergeReductions(b, loc, steps.getResults(), reduced);
      if (failed(merged))
        return failure();
      b.eraseOp(tile);
      return merged->replacements;
    });
  }

  FailureOr<SmallVector<Value>> buildTile(ValueRange outputs) {
    return buildTile(outputs, [](Operation *tile) -> FailureOr<SmallVector<Value>> {
      return SmallVector<Value>(tile->getResults());
    });
  }

  /// What `compute` makes of the op on the current tile, inserted into `outputs`.
  FailureOr<SmallVector<Value>> buildTile(ValueRange outputs,
                                          function_ref<FailureOr<SmallVector<Value>>(Operation *)> compute) {
    auto whole = cast<linalg::LinalgOp>(b.clone(*op.getOperation()));
    whole.getDpsInitsMutable().assign(outputs);
    auto tileable = cast<TilingInterface>(whole.getOperation());
    FailureOr<TilingResult> tiled = tileable.getTiledImplementation(b, offsets, sizes);
    if (failed(tiled))
      return failure();
    FailureOr<SmallVector<Value>> values = compute(tiled->tiledOps.front());
    if (failed(values))
      return failure();
    SmallVector<Value> results;
    for (auto [number, output] : llvm::enumerate(outputs)) {
      SmallVector<OpFoldResult> resultOffsets, resultSizes;
      if (failed(tileable.getResultTilePosition(b, number, offsets, sizes, resultOffsets, resultSizes)))
        return failure();
      SmallVector<OpFoldResult> strides(resultOffsets.size(), math.constant(1));
      results.push_back(
          tensor::InsertSliceOp::create(b, loc, (*values)[number], output, resultOffsets, resultSizes, strides));
    }
    b.eraseOp(whole);
    return results;
  }

  RewriterBase &b;
  Location loc;
  linalg::LinalgOp op;
  IndexMath math;
  ArrayRef<LoopSteps> order;
  SmallVector<OpFoldResult> extents, offsets, sizes;
};

} // namespace

bool canKeepLanes(linalg::LinalgOp op) {
  return llvm::all_of(llvm::seq<unsigned>(0, op.getNumDpsInits()), [&](unsigned output) {
    SmallVector<Operation *, 1> combiners;
    if (!matchReduction(op.getRegionOutputArgs(), output, combiners) || combiners.size() != 1)
      return false;
    // What starts from NaN (maxnumf) relies on an order of operands that vector code does not keep.
    std::optional<TypedAttr> neutral = arith::getNeutralElement(combiners.front());
    auto number = neutral ? dyn_cast<FloatAttr>(*neutral) : FloatAttr();
    return neutral && !(number && number.getValue().isNaN());
  });
}

LogicalResult tileWithTails(RewriterBase &rewriter, linalg::LinalgOp op, ArrayRef<LoopSteps> order) {
  rewriter.setInsertionPoint(op);
  FailureOr<SmallVector<Value>> results = TailTiler(rewriter, op, order).tile();
  if (failed(results))
    return failure();
  rewriter.replaceOp(op, *results);
  return success();
}

} // namespace mlir::gqa
