#include "passes/gpu/GpuTarget.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace mlir::gqa {

llvm::Expected<GpuTarget> GpuTarget::get(llvm::StringRef arch) {
  GpuTarget target;
  target.arch = arch.str();
  // Kernels are the same for both as yet: on Hopper, assembling them for the chip saves the driver's work.
  if (arch == "sm_80") {
    target.capability = 80;
    target.ptxFeature = "+ptx70";
    target.sharedBytes = 164 * 1024;
    // An A100 has 163 KiB for a block, but the PTX also runs on chips (8.6, 8.9, 12.0) that have no more than this.
    target.maxSharedBytes = 99 * 1024;
  } else if (arch == "sm_90a") {
    target.capability = 90;
    target.isSpecific = true;
    target.ptxFeature = "+ptx81";
    target.sharedBytes = 228 * 1024;
    target.maxSharedBytes = 227 * 1024;
  } else {
    return llvm::createStringError("unknown GPU '" + arch + "': expected sm_80 or sm_90a");
  }
  return target;
}

int64_t GpuTarget::getOccupancy(int64_t registersPerThread, int64_t threads, int64_t dynamicSharedBytes) const {
  // Registers are given to warps in units of 256.
  int64_t warps = llvm::divideCeil(threads, 32);
  int64_t blockRegisters = warps * llvm::alignTo(32 * std::max<int64_t>(registersPerThread, 1), 256);
  int64_t blocks = std::min(maxBlocks, maxThreads / (32 * warps));
  blocks = std::min(blocks, registers / blockRegisters);
  return std::min(blocks, sharedBytes / (dynamicSharedBytes + kSystemSharedBytes));
}

} // namespace mlir::gqa
