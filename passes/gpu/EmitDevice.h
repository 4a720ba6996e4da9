#ifndef GQA_PASSES_GPU_EMITDEVICE_H
#define GQA_PASSES_GPU_EMITDEVICE_H

#include "passes/gpu/GpuTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/JSON.h"
#include <vector>

namespace mlir::gqa {

/// What is known of one kernel. The last line is ptxas's, and absent without it.
struct KernelReport {
  std::string name;
  std::string fallback; ///< why it is not the kernel made for this chip; empty if it is
  int64_t threads = 0, sharedBytes = 0, numTensorMaps = 0;
  int64_t coming = 0; ///< bytes of keys and values that are on their way while a block computes; 0: not counted
  int64_t registers = 0, stackBytes = 0, spillStoreBytes = 0, spillLoadBytes = 0, occupancy = 0;
};

/// The attribute of attention ops and kernels that says why they go without what the chip has.
constexpr llvm::StringLiteral kFallbackAttr = "gqa_gpu.fallback";

/// The attribute of kernels for KernelReport::coming.
constexpr llvm::StringLiteral kComingAttr = "gqa_gpu.coming_bytes";

/// Kernels as they go into an artifact.
struct DeviceCode {
  std::string ptx;
  std::string cubin; ///< empty if no ptxas was found
  std::vector<KernelReport> kernels;
  std::vector<std::string> warnings; ///< of ptxas
};

/// Translates the kernels of `module`'s `@gqa_device`, which `buildLowerGQAGpu` has brought to the LLVM dialect, and
/// takes that module out. `isAssembled`: by ptxas, too, which is looked for in PATH, CUDA_HOME, CUDA_PATH and
/// /usr/local/cuda.
llvm::Expected<DeviceCode> compileDevice(ModuleOp module, const GpuTarget &target, bool isAssembled = true);

/// Adds the images of `code` to a host module (runtime/gqa_device.h) and describes them (docs/gpu.md).
llvm::json::Object addImages(llvm::Module &module, const DeviceCode &code, const GpuTarget &target);

/// A table of the kernels for people.
std::string explain(const DeviceCode &code, const GpuTarget &target);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_EMITDEVICE_H
