#ifndef GQA_PASSES_GPU_ATTENTIONKERNEL_H
#define GQA_PASSES_GPU_ATTENTIONKERNEL_H

#include "dialect/OnlineSoftmax.h"
#include "passes/gpu/AttentionGrid.h"

namespace mlir::gqa {

/// Scalar parameters of both kernels, in order: query positions, keys, splits; blocks of a sequence, pages, and slots
/// of a page, each 1 where keys are not in pages.
enum class KernelScalar : unsigned { m, n, splits, blocks, pages, slots };
constexpr unsigned kNumKernelScalars = 6;

/// Fills the kernel that computes attention, or with a split schedule one partial result per range of keys. The
/// operands are those of the op without its outputs, then its outputs, or acc [b, heads, splits, rows, dv], max and sum
/// [b, heads, splits, rows].
void buildAttentionKernel(OpBuilder &b, const AttentionShape &shape, gqa_gpu::ScheduleAttr schedule,
                          KernelOperands &operands);

/// Columns of dv that one block of the merge kernel takes.
int64_t getMergeColumns(const AttentionShape &shape);

/// Fills the kernel that merges partial results: one warp per 16 rows and getMergeColumns() columns. The operands are
/// acc, max, sum and the op's sink, if any, then the op's outputs.
void buildMergeKernel(OpBuilder &b, const AttentionShape &shape, KernelOperands &operands);

/// What both kernels do at their end: normalise the rows from `firstRow` on and store them.
struct ResultWriter {
  const AttentionPlace &place;
  KernelOperands &operands;
  unsigned firstOutput;         ///< number of the output among the kernel's tensors
  std::optional<unsigned> sink; ///< likewise
  Value firstRow;               ///< i32
  Value firstColumn;            ///< of dv, that the state begins with: i64
  Value isWriter, isLseWriter;  ///< i1: whether this warp stores
  int64_t columns;              ///< of the state that are stored

  void write(const SoftmaxState &state) const;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_ATTENTIONKERNEL_H
