#ifndef GQA_PASSES_GPU_WORKSPACE_H
#define GQA_PASSES_GPU_WORKSPACE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::gqa {

/// The name of the function that says how much workspace entry `name` needs.
inline std::string getWorkspaceName(StringRef name) { return ("gqa_workspace_" + name).str(); }

/// Buffers of a device entry become parts of the workspace that its caller passes, and a function
/// `gqa_workspace_<entry>` is added that computes its size (docs/gpu.md). Does nothing for entries without buffers.
void placeInWorkspace(func::FuncOp entry);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_WORKSPACE_H
