#ifndef GQA_PASSES_EMITARTIFACT_H
#define GQA_PASSES_EMITARTIFACT_H

#include "passes/Target.h"
#include "passes/gpu/EmitDevice.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <string>

namespace mlir::gqa {

/// Writes `module`, which `buildLowerGQA` has brought to the LLVM dialect, as an artifact (docs/design.md, "Artifact")
/// to `path`. The file appears whole or not at all. The linker resets the values of `cl::opt`s, so `path` is a copy.
/// What goes into an artifact beside the module.
struct ArtifactParts {
  const DeviceCode *device = nullptr; ///< the kernels of its entries
  const GpuTarget *gpu = nullptr;     ///< what they were made for
  std::vector<std::string> archives;  ///< linked as well
};
llvm::Error emitArtifact(ModuleOp module, const Target &target, std::string path, const ArtifactParts &parts = {});

/// The same as LLVM IR, assembly or an object file, for looking at.
enum class EmitKind { llvmIR, assembly, object };
llvm::Expected<std::string> emitText(ModuleOp module, const Target &target, EmitKind kind,
                                     const ArtifactParts &parts = {});

} // namespace mlir::gqa

#endif // GQA_PASSES_EMITARTIFACT_H
