#include "passes/gpu/EmitDevice.h"
#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/HopperKernel.h"

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
  using SelectGpuScheduleBase::SelectGpuScheduleBase;

  void runOnOperation() override {
    getOperation().walk([&](AttentionOp op) {
      if (op->hasAttr(gqa_gpu::ScheduleAttr::kName))
        return;
      std::string obstacle = gpu == "sm_90a" ? getObstacle(op) : "";
      if (!obstacle.empty())
        op->setAttr(kFallbackAttr, StringAttr::get(&getContext(), obstacle));
      bool isHopper = gpu == "sm_90a" && obstacle.empty();
      op->setAttr(gqa_gpu::ScheduleAttr::kName, isHopper ? Attribute(selectHopper(op)) : select(op));
    });
  }

private:
  /// Why the attention does without Hopper's warpgroups.
  static std::string getObstacle(AttentionOp op) {
    if (isShort(AttentionShape(op)))
      return "its rows do not fill the 64 of a warpgroup";
    return getHopperObstacle(op);
  }

  /// Tiles as in FlashAttention-3 (hopper/tile_size.h): as many keys as registers and shared memory have room for.
  /// Masks by position make large blocks of keys wasteful, and lengths and softcap need registers that the largest
  /// leave none.
  static Attribute selectHopper(AttentionOp op) {
    AttentionShape shape(op);
    int64_t width = std::max(shape.dqk, shape.dv), consumers = 2, n;
    if (width <= 64)
      consumers = 3, n = 128;
    else if (width <= 128)
      n = op.isMaskedByPosition() || op.getKvLen() || op.getSoftcap() || width <= 96 ? 128 : 176;
    else
      n = width <= 192 ? 112 : 80;
    return gqa_gpu::WarpgroupScheduleAttr::get(op.getContext(), consumers, n, /*stages=*/2, canPackHeads(shape),
                                               /*pingPong=*/width <= 128);
  }

  /// Whether there are so few rows that the keys are shared among warps.
  static bool isShort(const AttentionShape &shape) {
    int64_t positions = shape.getExtent(Dim::m);
    return !ShapedType::isDynamic(positions) && positions * shape.getTileHeads() <= 16 * kShortWarps;
  }

  static gqa_gpu::ScheduleAttr select(AttentionOp op) {
    AttentionShape shape(op);
    int64_t width = std::max(shape.getPaddedDqk(), shape.getPaddedDv());
    int64_t positions = shape.getExtent(Dim::m), keys = shape.getExtent(Dim::n);
    if (isShort(shape))
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
