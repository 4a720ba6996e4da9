#ifndef GQA_PASSES_GPU_GPUTARGET_H
#define GQA_PASSES_GPU_GPUTARGET_H

#include "llvm/Support/Error.h"
#include <string>

namespace mlir::gqa {

/// The one description of the GPU that kernels are made for.
struct GpuTarget {
  std::string arch;           ///< as ptxas calls it, e.g. "sm_80"
  int64_t capability = 0;     ///< 10 * major + minor
  bool isSpecific = false;    ///< code runs on exactly that capability, and on nothing later
  std::string ptxFeature;     ///< LLVM's name of the PTX version, the oldest that has what kernels use
  int64_t registers = 65536;  ///< of a multiprocessor
  int64_t maxThreads = 2048;  ///< of a multiprocessor
  int64_t maxBlocks = 32;     ///< of a multiprocessor
  int64_t sharedBytes = 0;    ///< of a multiprocessor, of which each block takes kSystemSharedBytes beside its own
  int64_t maxSharedBytes = 0; ///< of a block

  static constexpr int64_t kSystemSharedBytes = 1024;

  /// The GPU called `arch`. Fails with a message for an unknown one.
  static llvm::Expected<GpuTarget> get(llvm::StringRef arch);

  /// Blocks of a kernel that a multiprocessor holds at once.
  int64_t getOccupancy(int64_t registersPerThread, int64_t threads, int64_t dynamicSharedBytes) const;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_GPUTARGET_H
