#include "passes/Passes.h"
#include "passes/TargetOptions.h"
#include "passes/WordProducts.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/ShortProducts.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SELECTSCHEDULE
#include "passes/Passes.h.inc"

namespace {

/// Keys in one block: K, V and the scores of a block stay in the second-level cache beside the accumulators.
constexpr int64_t kKeysPerBlock = 64;

/// The same where products of many rows have 32 vector registers: 24 accumulators, six keys by four vectors of rows,
/// take fewer loads for each multiplication than 16 (gqa-tile-to-registers), and 48 are divided by six.
constexpr int64_t kKeysPerWideBlock = 48;

/// Keys in one partial result when few rows attend to many keys. A constant, so that results are the same bits on every
/// machine; small enough to feed many cores, large enough that merging costs nothing.
constexpr int64_t kKeysPerSplit = 512;

/// Vectors of query rows in a tile; four of them times four rows of K or V fill half of the registers.
constexpr int64_t kVectorsPerTile = 4;

/// The same where matrix registers multiply: a block of V is turned for them once per tile, so more rows share the
/// work.
constexpr int64_t kVectorsPerMatrixTile = 8;

/// Lanes of partial dot products (dialect/OnlineDecomposition.cpp).
constexpr int64_t kDotLanes = 16;

/// Up to this many query rows, vectors along the head dimension beat vectors of rows, which would be half empty.
constexpr int64_t kMaxHeadDimRows = 8;

/// Where the number of query positions is dynamic: decoding has one, and a few more when tokens are guessed ahead
/// (Leviathan et al. 2023). Every further number would cost the time of compiling the attention once more.
constexpr int64_t kFewRows[] = {1, 4};

struct SelectSchedule : impl::SelectScheduleBase<SelectSchedule> {
  using SelectScheduleBase::SelectScheduleBase;

  void runOnOperation() override {
    if (failed(verifyTargetOptions(getOperation(), vectorBits, registers)))
      return signalPassFailure();
    for (auto [name, size] :
         {std::pair("tile-g", tileG.getValue()), {"tile-m", tileM.getValue()}, {"tile-n", tileN.getValue()}})
      if (failed(verifyTileOption(getOperation(), name, size)))
        return signalPassFailure();
    WalkResult result = getOperation().walk([&](AttentionOp op) {
      if (op.getSchedule())
        return WalkResult(verifyInstructions(op, *op.getSchedule()));
      int64_t rows = getStaticExtent(op.getMaps(), op.getOperands(), Dim::m);
      op.setScheduleAttr(select(op, rows));
      if (ShapedType::isDynamic(rows) && !tileM)
        setFewRowsSchedules(op);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  /// A schedule that was written by hand may ask for what the code generator cannot give.
  LogicalResult verifyInstructions(AttentionOp op, ScheduleAttr schedule) {
    if (schedule.getDot() && schedule.getLanes() == Lanes::Row && !hasDot)
      return op.emitOpError() << "has a schedule with 'dot', but the target has no products of pairs of bf16";
    if (schedule.getShorts() && !hasShortDot)
      return op.emitOpError() << "has a schedule with 'shorts', but the target has no products of 16-bit integers";
    return success();
  }

  /// Schedules for few positions, where they differ from the one for many.
  void setFewRowsSchedules(AttentionOp op) {
    SmallVector<Attribute> schedules;
    for (int64_t rows : kFewRows)
      if (ScheduleAttr schedule = select(op, rows); schedule != *op.getSchedule())
        schedules.push_back(schedule);
    if (!schedules.empty())
      op->setDiscardableAttr(kFewRowsSchedules, ArrayAttr::get(op.getContext(), schedules));
  }

  /// The schedule for `rows` query positions.
  ScheduleAttr select(AttentionOp op, int64_t rows) {
    auto extent = [&](Dim dim) { return getStaticExtent(op.getMaps(), op.getOperands(), dim); };
    int64_t vector = vectorBits / 32;
    int64_t group = hasDim(op.getKeyMap(), Dim::g) ? 1 : extent(Dim::g);
    int64_t n = tileN ? tileN : kKeysPerBlock;

    bool usesDot = hasDot && canUseDot(op, n);
    bool isShort = !ShapedType::isDynamic(rows) && group * rows <= kVectorsPerTile * vector;
    if (!tileN && !isShort && !usesDot && registers >= 32 && !mayBeCached(op))
      n = kKeysPerWideBlock;
    bool fillsMatrixTile = ShapedType::isDynamic(rows) || rows >= kVectorsPerMatrixTile * vector;
    int64_t tileRows =
        vector * (usesDot && hasMatrixTiles && fillsMatrixTile ? kVectorsPerMatrixTile : kVectorsPerTile);
    int64_t g = isShort ? group : largestPowerOfTwoFactor(group, kVectorsPerTile);
    int64_t m = isShort ? std::max<int64_t>(rows, 1) : tileRows / g;
    // Fewer query positions than that: heads fill the tile.
    if (!ShapedType::isDynamic(rows) && rows < m) {
      m = std::max<int64_t>(rows, 1);
      g = std::min(group, tileRows / m);
    }
    if (tileG)
      g = tileG;
    if (tileM)
      m = tileM;
    int64_t split = isShort ? llvm::alignTo(kKeysPerSplit, n) : 0;
    // One range is no split: merging it with nothing would give the same bits.
    if (int64_t keys = extent(Dim::n); !ShapedType::isDynamic(keys) && keys <= split)
      split = 0;
    bool hasWholeVectors = extent(Dim::dqk) % kDotLanes == 0 && extent(Dim::dv) % vector == 0;
    if (isShort && g * m <= kMaxHeadDimRows && hasWholeVectors) {
      bool usesTiles = hasMatrixTiles && hasBytes(op) && n % kMatrixTile == 0;
      bool usesShorts = !usesTiles && hasShortDot && canUseShorts(op, n);
      return ScheduleAttr::get(op.getContext(), Lanes::HeadDim, g, m, llvm::PowerOf2Ceil(g * m), n, split,
                               usesTiles || usesShorts, usesShorts);
    }
    // Register blocks are one, two or four vectors wide: four cost less than three times one.
    int64_t paddedRows = vector * llvm::PowerOf2Ceil(llvm::divideCeil(g * m, vector));
    return ScheduleAttr::get(op.getContext(), Lanes::Row, g, m, paddedRows, n, split, usesDot,
                             /*shorts=*/false);
  }

  /// Keys in a cache give the same bits in every layout, so all have the blocks that pages of 16, 32 or 64 keys fill.
  static bool mayBeCached(AttentionOp op) { return op.getBlockTable() || op.getKvLen() || op.getLength(); }

  /// Pairs of bf16 need bf16 operands and even extents (C12 of gqa.online_attention).
  static bool canUseDot(AttentionOp op, int64_t n) {
    auto isBF16 = [](Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType().isBF16(); };
    int64_t dqk = getStaticExtent(op.getMaps(), op.getOperands(), Dim::dqk);
    return isBF16(op.getQuery()) && isBF16(op.getKey()) && isBF16(op.getValue()) && n % 2 == 0 && dqk % 2 == 0;
  }

  /// Integers of 16 bits hold no query of f32, and need whole vectors (C12 of gqa.online_attention).
  static bool canUseShorts(AttentionOp op, int64_t n) {
    int64_t dqk = getStaticExtent(op.getMaps(), op.getOperands(), Dim::dqk);
    return hasBytes(op) && !getElementTypeOrSelf(op.getQuery()).isF32() && n % kBytesPerWord == 0 &&
           n <= kMaxShortProducts && dqk % (kShortLanes * kShortsPerLane) == 0 && dqk <= kMaxShortProducts;
  }

  /// Keys and values that matrix registers multiply as they are: i8, or bytes of two 4-bit elements, which become i8.
  static bool hasBytes(AttentionOp op) {
    return llvm::all_of(ArrayRef<Value>{op.getKey(), op.getValue()},
                        [](Value tensor) { return getElementTypeOrSelf(tensor).isInteger(8); });
  }

  static int64_t largestPowerOfTwoFactor(int64_t value, int64_t bound) {
    int64_t factor = 1;
    while (factor < bound && value % (2 * factor) == 0)
      factor *= 2;
    return factor;
  }
};

} // namespace
} // namespace mlir::gqa
