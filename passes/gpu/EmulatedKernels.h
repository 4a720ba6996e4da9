#ifndef GQA_PASSES_GPU_EMULATEDKERNELS_H
#define GQA_PASSES_GPU_EMULATEDKERNELS_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace mlir::gqa {

/// Copies the kernels of `emulated`, which `buildLowerGQAGpu` has brought to the LLVM dialect for the emulator, into
/// `module`, the same for a device, as public functions `<kernel>_emulated`. A driver that only pretends finds them
/// beside the kernels' PTX (test/unit/cuda/FakeCuda.h).
llvm::Error addEmulatedKernels(ModuleOp module, ModuleOp emulated);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_EMULATEDKERNELS_H
