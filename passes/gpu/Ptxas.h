#ifndef GQA_PASSES_GPU_PTXAS_H
#define GQA_PASSES_GPU_PTXAS_H

#include "passes/gpu/EmitDevice.h"

namespace mlir::gqa {

/// Assembles the PTX of `code` to a cubin and fills in what ptxas says of each kernel. Without ptxas, leaves `code` as
/// it is. A refusal of ptxas is an error with its message.
llvm::Error assemble(DeviceCode &code, const GpuTarget &target);

/// Reads ptxas's verbose report into `code`.
void parsePtxasReport(llvm::StringRef report, DeviceCode &code, const GpuTarget &target);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_PTXAS_H
