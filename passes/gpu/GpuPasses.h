#ifndef GQA_PASSES_GPU_GPUPASSES_H
#define GQA_PASSES_GPU_GPUPASSES_H

#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Pass/Pass.h"

namespace mlir::gqa {

#define GEN_PASS_DECL
#include "passes/gpu/GpuPasses.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/gpu/GpuPasses.h.inc"

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_GPUPASSES_H
