#ifndef GQA_PASSES_GPU_SHAREDLAYOUT_H
#define GQA_PASSES_GPU_SHAREDLAYOUT_H

#include "passes/gpu/AttentionGrid.h"

namespace mlir::gqa {

/// Whether scales are one number per key.
inline bool isPerKey(AffineMap map) { return hasDim(map, Dim::n) || hasDim(map, Dim::slot); }

/// Where things lie in the shared memory of the attention kernel, in bytes: the query, if it stays there; the tiles of
/// keys and values that are converted; a ring of stages, each the keys and values of a block, and their scales, as they
/// are stored. The merge of key warps uses the ring's memory again, and so does a query that is converted.
struct SharedLayout {
  SharedLayout(const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule) {
    const auto &[query, key, value] = shape.tiles;
    int64_t n = schedule.getN();
    auto getTileBytes = [&](const OperandTile &tile) { return tile.isConverted() ? n * tile.getTilePitch() : 0; };
    auto getScaleBytes = [&](MutableOperandRange scale) {
      AttentionOp op = shape.op;
      return !scale.empty() && isPerKey(op.getMap(*scale.begin())) ? 4 * n : 0;
    };
    keyTile = schedule.getSharedQuery() ? schedule.getRows() * query.getTilePitch() : 0;
    valueTile = keyTile + getTileBytes(key);
    ring = valueTile + getTileBytes(value);

    AttentionOp op = shape.op;
    stageValue = n * key.getCopiedRows().pitch;
    stageKeyScale = stageValue + n * value.getCopiedRows().pitch;
    stageValueScale = stageKeyScale + getScaleBytes(op.getKeyScaleMutable());
    stage = stageValueScale + getScaleBytes(op.getValueScaleMutable());

    int64_t rows = schedule.getWarpRows();
    accBytes = 4 * rows * shape.getPaddedDv();
    rowBytes = 4 * 32 * (rows / 8);
    state = accBytes + 2 * rowBytes;
    int64_t states = schedule.getKeyWarps() > 1 ? state * schedule.getThreads() / 32 : 0;
    int64_t rawQuery = query.isConverted() ? schedule.getRows() * query.getCopiedRows().pitch : 0;
    total = ring + std::max({stage * schedule.getStages(), states, rawQuery});
  }

  int64_t keyTile, valueTile, ring;
  int64_t stageValue, stageKeyScale, stageValueScale; ///< from the beginning of a stage
  int64_t stage;                                      ///< bytes of one
  int64_t state, accBytes, rowBytes;                  ///< of one warp's running softmax
  int64_t total;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_SHAREDLAYOUT_H
