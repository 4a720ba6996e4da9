#ifndef GQA_PASSES_GPU_HOPPERTONVVM_H
#define GQA_PASSES_GPU_HOPPERTONVVM_H

#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {

/// Patterns that turn the instructions for Hopper into NVVM's, and wgmma into inline PTX: NVVM's own wgmma takes no
/// operand from registers, and its waits do not tie accumulators.
void populateHopperToNVVM(RewritePatternSet &patterns);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_HOPPERTONVVM_H
