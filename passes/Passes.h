#ifndef GQA_PASSES_PASSES_H
#define GQA_PASSES_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::gqa {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace mlir::gqa

#endif // GQA_PASSES_PASSES_H
