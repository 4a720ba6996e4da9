#ifndef GQA_PASSES_GPU_HOPPERKERNEL_H
#define GQA_PASSES_GPU_HOPPERKERNEL_H

#include "passes/gpu/VisibleKeys.h"

namespace mlir::gqa {

/// Why the kernel for Hopper cannot compute `op`; empty if it can.
std::string getHopperObstacle(AttentionOp op);

/// Whether the heads of a group fill the 64 rows of a consumer evenly, so that boxes of a tensor map can hold them.
bool canPackHeads(const AttentionShape &shape);

/// Where things lie in the shared memory of a block, in bytes. Matrices are slabs of 64 columns.
struct HopperLayout {
  HopperLayout(const AttentionShape &shape, gqa_gpu::WarpgroupScheduleAttr schedule);

  static constexpr int64_t kSlab = 64, kSlabRowBytes = 128;
  static constexpr int64_t kSumBytes = 256; ///< of a warp: two numbers of each lane
  int64_t querySlabs, valueSlabs;           ///< of rows of the query and of keys, and of values
  int64_t queryBytes, keyBytes, valueBytes; ///< of the query, and of one stage
  int64_t keys, values, barriers, sums;     ///< where they begin
  int64_t total;
};

/// The mbarriers of a block: for the query and for each stage of keys and of values, one that ends a phase when the
/// data is there, and one when all consumers are done with it.
enum class HopperBarrier { fullQuery, fullKey, emptyKey, fullValue, emptyValue };

/// What producer and consumers of a block know.
struct HopperBlock {
  HopperBlock(OpBuilder &b, const AttentionShape &shape, gqa_gpu::WarpgroupScheduleAttr schedule,
              KernelOperands &operands);

  Value getBarrier(HopperBarrier barrier, Value stage = {}) const;
  /// The address of `offset` bytes plus `index` (i32, or null) times `bytes`.
  Value getAddress(int64_t offset, Value index = {}, int64_t bytes = 0) const;
  /// The stage of the block of keys `number` (index), and the parity of that stage's phase (i32).
  Value getStage(Value number) const;
  Value getParity(Value number) const;

  Value add(Value lhs, Value rhs) const { return arith::AddIOp::create(b, loc, lhs, rhs); }
  Value mul(Value lhs, int64_t rhs) const { return arith::MulIOp::create(b, loc, lhs, place.i32(rhs)); }

  OpBuilder &b;
  Location loc;
  const AttentionShape &shape;
  gqa_gpu::WarpgroupScheduleAttr schedule;
  KernelOperands &operands;
  HopperLayout layout;
  AttentionPlace place;
  Value shared, warpgroup, firstRow; // i32 but for `shared`
  std::optional<VisibleKeys> keys;
};

/// Tensor maps of query, key and value, the operands' first three.
SmallVector<Attribute> getHopperTensorMaps(const AttentionShape &shape, gqa_gpu::WarpgroupScheduleAttr schedule);

/// Fills the kernel.
void buildHopperKernel(OpBuilder &b, const AttentionShape &shape, gqa_gpu::WarpgroupScheduleAttr schedule,
                       KernelOperands &operands);

/// The code of the warpgroups that compute.
void buildHopperConsumer(const HopperBlock &block);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_HOPPERKERNEL_H
