#ifndef GQA_PASSES_ATTENTIONTASK_H
#define GQA_PASSES_ATTENTIONTASK_H

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"
#include "passes/IndexMath.h"
#include "passes/SequenceLength.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {

/// A range of one dimension that a tile takes: `size` of `extent` elements are inside the tensor, the rest is padding.
struct TileRange {
  OpFoldResult offset, size;
  int64_t extent = 0;
};

/// An attention op that is cut into tasks as its schedule says, and where the task at hand lies. Inside a tile the
/// query rows (g and m, in the query's order) are one dimension, called `m`.
struct AttentionTask {
  AttentionTask(RewriterBase &b, AttentionOp op);

  /// The numbers of tasks along (b, hkv, g tiles, m tiles).
  SmallVector<OpFoldResult> getCounts();

  /// Goes to the task with these indices. Causal tasks start with the last rows, which see the most keys.
  void place(OpFoldResult batch, OpFoldResult head, OpFoldResult groupTile, OpFoldResult rowTile);

  AffineMap dimsMap(ArrayRef<Dim> dims) { return getDimsMap(op.getContext(), dims); }
  OpFoldResult extent(Dim dim) { return extents[static_cast<unsigned>(dim)]; }
  TileRange &range(Dim dim) { return ranges[static_cast<unsigned>(dim)]; }

  /// The operand of a range of at most one, if it is there.
  std::optional<MappedTensor> operand(MutableOperandRange range);

  /// The element of a per-batch operand for sequence `batch`, as index; null if there is no such operand.
  OpFoldResult loadIndex(MutableOperandRange range, OpFoldResult batch);

  /// How long sequence `batch` is.
  SequenceLength loadLength(OpFoldResult batch);

  /// Extents of the tiles of max and sum, of acc, and of a tensor over rowDims.
  SmallVector<OpFoldResult> rowSizes() { return {math.constant(schedule.getRows())}; }
  SmallVector<OpFoldResult> accSizes();
  SmallVector<OpFoldResult> rowTileSizes();

  RewriterBase &b;
  Location loc;
  AttentionOp op;
  IndexMath math;
  ScheduleAttr schedule;
  SmallVector<AffineMap> maps;
  SmallVector<Dim> rowDims; ///< those of g and m that the query lists
  AffineMap accMap, rowMap;
  int64_t dqk, dv;
  OpFoldResult keyExtent; ///< keys that there are for the longest sequence

private:
  TileRange clampedRange(OpFoldResult offset, OpFoldResult extent, int64_t tile);

  SmallVector<OpFoldResult> extents;
  SmallVector<TileRange> ranges;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_ATTENTIONTASK_H
