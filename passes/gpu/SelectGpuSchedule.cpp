#include "passes/gpu/EmitDevice.h"
#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/GpuTarget.h"
#include "passes/gpu/HopperKernel.h"
#include "passes/gpu/SharedLayout.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SELECTGPUSCHEDULE
#include "passes/gpu/GpuPasses.h.inc"

namespace {

using Schedule = gqa_gpu::ScheduleAttr;

/// Keys in one partial result when few rows attend to many keys. A constant, so that results are the same bits whatever
/// the batch and the chip.
constexpr int64_t kKeysPerSplit = 512;

/// Shared memory that every chip since sm_80 gives a block (GpuTarget).
constexpr int64_t kBlockBytes = 99 * 1024;

/// Shared memory of a block when there are few rows, so that two fit a multiprocessor of 164 KiB. With what chips have
/// beyond that, only more blocks of keys are on their way: how they are cut would show in the results' bits.
constexpr int64_t kRingBytes = 80 * 1024;

/// Warps that share the keys of a block when there are few rows.
constexpr int64_t kShortWarps = 4;

struct SelectGpuSchedule : impl::SelectGpuScheduleBase<SelectGpuSchedule> {
  using SelectGpuScheduleBase::SelectGpuScheduleBase;

  void runOnOperation() override {
    llvm::Expected<GpuTarget> target = GpuTarget::get(gpu);
    if (!target) {
      getOperation().emitError() << llvm::toString(target.takeError());
      return signalPassFailure();
    }
    stageBytes = target->sharedBytes / 2 - GpuTarget::kSystemSharedBytes;
    getOperation().walk([&](AttentionOp op) {
      if (op->hasAttr(Schedule::kName))
        return;
      std::string obstacle = gpu == "sm_90a" ? getObstacle(op) : "";
      if (!obstacle.empty())
        op->setAttr(kFallbackAttr, StringAttr::get(&getContext(), obstacle));
      bool isHopper = gpu == "sm_90a" && obstacle.empty();
      op->setAttr(Schedule::kName, isHopper ? Attribute(selectHopper(op)) : select(op));
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
  /// Three consumers have the time of two others for a softmax, and no registers for more. Masks by position make large
  /// blocks of keys wasteful, and lengths and softcap need registers that the largest leave none.
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
                                               /*pingPong=*/width <= 128, /*overlap=*/consumers == 2);
  }

  static int64_t getRows(const AttentionShape &shape) { return shape.getExtent(Dim::m) * shape.getTileHeads(); }

  /// Whether there are so few rows that the keys are shared among warps.
  static bool isShort(const AttentionShape &shape) {
    return !ShapedType::isDynamic(shape.getExtent(Dim::m)) && getRows(shape) <= 16 * kShortWarps;
  }

  Schedule select(AttentionOp op) const {
    AttentionShape shape(op);
    return isShort(shape) ? selectShort(shape, getRows(shape)) : selectLong(shape);
  }

  static Schedule get(const AttentionShape &shape, int64_t rowWarps, int64_t keyWarps, int64_t n, int64_t stages,
                      int64_t split) {
    // Registers bound the query: a lane holds as much of it per row as of the accumulators, and addresses of pages and
    // conversions take more of them. What is converted itself must pass through shared memory anyway, and what TF32
    // splits in two would take twice the registers.
    const auto &[query, key, value] = shape.tiles;
    AttentionOp op = shape.op;
    bool hasPlainKeys = !op.getBlockTable() && !key.isConverted() && !value.isConverted();
    int64_t widest = hasPlainKeys ? 320 : 192;
    bool isShared = shape.getPaddedDqk() + shape.getPaddedDv() > widest || query.isConverted() || query.element.isF32();
    return Schedule::get(op->getContext(), /*warpRows=*/16, rowWarps, keyWarps, n, stages, split, isShared);
  }

  static bool fits(const AttentionShape &shape, Schedule schedule, int64_t bytes) {
    return SharedLayout(shape, schedule).total <= bytes;
  }

  static Schedule selectLong(const AttentionShape &shape) {
    int64_t width = std::max(shape.getPaddedDqk(), shape.getPaddedDv());
    int64_t rowWarps = width > 128 ? 4 : 8;
    if (shape.tiles.query.element.isF32())
      rowWarps /= 2; // rows are twice as long in shared memory
    int64_t n = 64;
    auto schedule = [&] { return get(shape, rowWarps, /*keyWarps=*/1, n, /*stages=*/2, /*split=*/0); };
    while (n > 16 && !fits(shape, schedule(), kBlockBytes))
      n -= 16;
    return schedule();
  }

  /// Decoding reads keys and values once: the more of them are on their way, the better.
  Schedule selectShort(const AttentionShape &shape, int64_t rows) const {
    int64_t rowWarps = llvm::PowerOf2Ceil(llvm::divideCeil(std::max<int64_t>(rows, 1), 16));
    int64_t keys = shape.getExtent(Dim::n);
    int64_t split = !ShapedType::isDynamic(keys) && keys <= kKeysPerSplit ? 0 : kKeysPerSplit;
    int64_t keyWarps = kShortWarps / rowWarps, n = 16 * keyWarps, stages = 2;
    auto schedule = [&] { return get(shape, rowWarps, keyWarps, n, stages, split); };
    while (rowWarps > 1 && !fits(shape, schedule(), kBlockBytes)) // more blocks instead
      rowWarps /= 2;
    // Where rows are long, 16 keys for each of four warps would be too much for a stage.
    while (keyWarps > 1 && !fits(shape, schedule(), kRingBytes)) {
      keyWarps /= 2;
      n = 16 * keyWarps;
    }
    auto grow = [&](int64_t &what, int64_t next, int64_t limit, int64_t bytes) {
      int64_t current = what;
      what = next;
      bool isFit = next <= limit && fits(shape, schedule(), bytes);
      if (!isFit)
        what = current;
      return isFit;
    };
    while (grow(n, 2 * n, 64, kRingBytes)) {
    }
    while (grow(stages, stages + 1, 4, stageBytes)) {
    }
    return schedule();
  }

  int64_t stageBytes = 0; ///< shared memory of each of two blocks on a multiprocessor
};

} // namespace
} // namespace mlir::gqa
