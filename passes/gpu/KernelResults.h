#ifndef GQA_PASSES_GPU_KERNELRESULTS_H
#define GQA_PASSES_GPU_KERNELRESULTS_H

#include "passes/gpu/KernelFrame.h"

namespace mlir::gqa {

/// The end of the attention kernel: the states of warps that shared keys are merged, and what comes out is written, as
/// results or as one partial result of a split.
class KernelResults {
public:
  explicit KernelResults(KernelFrame &frame) : frame(frame), b(frame.b), loc(frame.loc), op(frame.op) {}

  void write(SoftmaxState state);

private:
  SoftmaxState mergeKeyWarps(const SoftmaxState &state);
  Value isWriter();
  void writeResults(const SoftmaxState &state);
  void writePartial(const SoftmaxState &state);

  KernelFrame &frame;
  OpBuilder &b;
  Location loc;
  AttentionOp op;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_KERNELRESULTS_H
