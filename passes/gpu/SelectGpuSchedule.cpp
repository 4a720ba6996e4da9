#include "passes/gpu/AttentionGrid.h"
#include "passes/gpu/GpuPasses.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SELECTGPUSCHEDULE
#include "passes/gpu/GpuPasses.h.inc"

namespace {

/// Keys in one partial result when few rows attend to many keys. A constant, so that results are the same bits whatever
/// the batch and the chip.
constexpr int64_t kKeysPerSplit = 512;

/// Shared memory that every chip since sm_80 gives a block (GpuTarget).
constexpr int64_t kBlockBytes = 99 * 1024;

/// Shared memory for the ring of stages, so that two blocks fit a multiprocessor of 164 KiB.
constexpr int64_t kRingBytes = 80 * 1024;

/// Warps that share the keys of a block when there are few rows.
constexpr int64_t kShortWarps = 4;

struct SelectGpuSchedule : impl::SelectGpuScheduleBase<SelectGpuSchedule> {
  void runOnOperation() override {
    getOperation().walk([&](AttentionOp op) {
      if (!op->hasAttr(gqa_gpu::ScheduleAttr::kName))
        op->setAttr(gqa_gpu::ScheduleAttr::kName, select(op));
    });
  }

private:
  static gqa_gpu::ScheduleAttr select(AttentionOp op) {
    AttentionShape shape(op);
    int64_t width = std::max(shape.getPaddedDqk(), shape.getPaddedDv());
    int64_t positions = shape.getExtent(Dim::m), keys = shape.getExtent(Dim::n);
    bool isShort = !ShapedType::isDynamic(positions) && positions * shape.getTileHeads() <= 16 * kShortWarps;
    if (isShort)
      return selectShort(shape, positions * shape.getTileHeads(), keys);
    // Registers bound the tile: a lane holds width / 4 accumulators per 16 rows, and as much of the query.
    int64_t rowWarps = width > 128 ? 4 : 8;
    bool isQueryShared = shape.getPaddedDqk() + shape.getPaddedDv() > 320;
    int64_t queryBytes = isQueryShared ? 16 * rowWarps * gqa_gpu::getSharedPitch(shape.getPaddedDqk()) : 0;
    int64_t n = (kBlockBytes - queryBytes) / (2 * getBytesPerKey(shape)) / 16 * 16;
    return gqa_gpu::ScheduleAttr::get(op.getContext(), /*warpRows=*/16, rowWarps, /*keyWarps=*/1,
                                      std::min<int64_t>(n, 64), /*stages=*/2, /*split=*/0, isQueryShared);
  }

  static int64_t getBytesPerKey(const AttentionShape &shape) {
    return gqa_gpu::getSharedPitch(shape.getPaddedDqk()) + gqa_gpu::getSharedPitch(shape.getPaddedDv());
  }

  /// Decoding reads keys and values once: the more of them are on their way, the better.
  static gqa_gpu::ScheduleAttr selectShort(AttentionShape &shape, int64_t rows, int64_t keys) {
    int64_t rowWarps = llvm::PowerOf2Ceil(llvm::divideCeil(std::max<int64_t>(rows, 1), 16));
    // Where rows are long, 16 keys for each of four warps would be too much for a stage.
    int64_t bytesPerKey = getBytesPerKey(shape);
    int64_t keyWarps = kShortWarps / rowWarps;
    while (keyWarps > 1 && 2 * 16 * keyWarps * bytesPerKey > kRingBytes)
      keyWarps /= 2;
    int64_t n = 16 * keyWarps;
    while (2 * (2 * n * bytesPerKey) <= kRingBytes && n < 64)
      n *= 2;
    int64_t stages = std::clamp<int64_t>(kRingBytes / (n * bytesPerKey), 2, 4);
    int64_t split = !ShapedType::isDynamic(keys) && keys <= kKeysPerSplit ? 0 : kKeysPerSplit;
    return gqa_gpu::ScheduleAttr::get(shape.op->getContext(), /*warpRows=*/16, rowWarps, keyWarps, n, stages, split,
                                      /*sharedQuery=*/false);
  }
};

} // namespace
} // namespace mlir::gqa
