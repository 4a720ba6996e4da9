#include "passes/KeyBlocks.h"
#include "passes/Passes.h"
#include "passes/SplitRanges.h"
#include "passes/TileResults.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_TILEATTENTION
#include "passes/Passes.h.inc"

namespace {

/// Tiles one op.
struct Tiler {
  Tiler(RewriterBase &b, AttentionOp op)
      : b(b), loc(op.getLoc()), task(b, op), loader(task), results(task, loader), math(task.math) {}

  SmallVector<Value> tile() { return task.schedule.getSplit() == 0 ? tileWhole() : tileSplit(); }

private:
  /// One task computes its rows over all keys.
  SmallVector<Value> tileWhole() {
    return results.buildForall(task.getCounts(), task.op.getOutputs(), [&](ValueRange ids, ValueRange destinations) {
      task.place(ids[0], ids[1], ids[2], ids[3]);
      results.insertResults(KeyBlocks(task, loader).build(math.constant(0), task.keyExtent), destinations);
    });
  }

  /// One task computes its rows over one range of keys; a second set of tasks merges the ranges.
  SmallVector<Value> tileSplit() {
    int64_t split = task.schedule.getSplit();
    SmallVector<OpFoldResult> counts = task.getCounts();
    SplitRanges ranges(task);
    std::optional<SplitRanges::List> list = ranges.buildList();
    OpFoldResult splits = list ? list->mostRanges : ranges.count(math.constant(0));
    auto emptyPartials = [&](ArrayRef<OpFoldResult> tileSizes) -> Value {
      SmallVector<OpFoldResult> sizes(counts);
      sizes.push_back(splits);
      llvm::append_range(sizes, tileSizes);
      return tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    };
    SmallVector<Value> partials = {emptyPartials(task.accSizes()), emptyPartials(task.rowSizes()),
                                   emptyPartials(task.rowSizes())};
    // The same range of all sequences comes in a row, so that pages of a prefix that they share are read from memory
    // once and then found in the caches.
    SmallVector<OpFoldResult> splitTasks = {counts[1], counts[2], counts[3]};
    if (list)
      splitTasks.push_back(list->size);
    else
      llvm::append_values(splitTasks, splits, counts[0]);
    partials = results.buildForall(splitTasks, partials, [&](ValueRange ids, ValueRange destinations) {
      Value head = ids[0], groupTile = ids[1], rowTile = ids[2], range, batch;
      if (list) {
        range = tensor::ExtractOp::create(b, loc, list->ranges, ids[3]);
        batch = tensor::ExtractOp::create(b, loc, list->batches, ids[3]);
      } else {
        range = ids[3];
        batch = ids[4];
      }
      task.place(batch, head, groupTile, rowTile);
      OpFoldResult begin = math.mul(range, split);
      SoftmaxState state = KeyBlocks(task, loader).build(begin, math.add(begin, split));
      Value tensors[] = {state.acc.tensor, state.max.tensor, state.sum.tensor};
      for (auto [tensor, destination] : llvm::zip_equal(tensors, destinations))
        results.insertPartial(tensor, destination, {batch, head, groupTile, rowTile, range});
    });

    return results.buildForall(counts, task.op.getOutputs(), [&](ValueRange ids, ValueRange destinations) {
      task.place(ids[0], ids[1], ids[2], ids[3]);
      OpFoldResult mine = list ? ranges.count(ids[0]) : splits;
      SoftmaxState partial = {{results.extractPartials(partials[0], ids, mine), task.accMap},
                              {results.extractPartials(partials[1], ids, mine), task.rowMap},
                              {results.extractPartials(partials[2], ids, mine), task.rowMap}};
      SoftmaxState init = buildInitialState(b, loc, task.accMap, task.rowMap, task.accSizes(), task.rowSizes());
      results.insertResults(buildMerge(b, loc, partial, init), destinations);
    });
  }

  RewriterBase &b;
  Location loc;
  AttentionTask task;
  TileLoader loader;
  TileResults results;
  IndexMath &math;
};

/// What this pass needs from a schedule beyond what the attribute verifies.
LogicalResult checkSchedule(AttentionOp op) {
  std::optional<ScheduleAttr> schedule = op.getSchedule();
  if (!schedule)
    return op.emitOpError() << "has no schedule; run gqa-select-schedule first";
  if (hasDim(op.getKeyMap(), Dim::g) && schedule->getG() != 1)
    return op.emitOpError() << "schedule puts g = " << schedule->getG()
                            << " query heads into one tile, but key lists g, so it must be 1";
  return success();
}

struct TileAttention : impl::TileAttentionBase<TileAttention> {
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    SmallVector<Attribute> scoreShapes;
    for (AttentionOp op : ops) {
      if (failed(checkSchedule(op)))
        return signalPassFailure();
      if (!hasScoreSizedOperand(op))
        scoreShapes.push_back(getScoreShape(op));
      rewriter.setInsertionPoint(op);
      rewriter.replaceOp(op, Tiler(rewriter, op).tile());
    }
    if (!scoreShapes.empty())
      getOperation()->setAttr("gqa.score_shapes", rewriter.getArrayAttr(scoreShapes));
  }

private:
  /// A bias or mask per head, row and key, as ALiBi needs it, is as large as the scores by itself.
  static bool hasScoreSizedOperand(AttentionOp op) {
    for (auto [tensor, map] : llvm::zip_equal(op.getOperands(), op.getMaps()))
      if ((tensor == op.getBias() || tensor == op.getMask()) && hasDim(map, Dim::m) && hasDim(map, Dim::n) &&
          (hasDim(map, Dim::hkv) || hasDim(map, Dim::g)))
        return true;
    return false;
  }

  /// The extents of [b, hkv, g, m, n], for gqa-verify-no-kv-expansion.
  static Attribute getScoreShape(AttentionOp op) {
    SmallVector<int64_t> shape;
    for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n})
      shape.push_back(getStaticExtent(op.getMaps(), op.getOperands(), dim));
    return DenseI64ArrayAttr::get(op.getContext(), shape);
  }
};

} // namespace
} // namespace mlir::gqa
