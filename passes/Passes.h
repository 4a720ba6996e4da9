#ifndef GQA_PASSES_PASSES_H
#define GQA_PASSES_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::gqa {

/// On gqa.attention between gqa-select-schedule and gqa-specialize-rows: schedules for few query positions, each for as
/// many as its tile holds.
constexpr llvm::StringLiteral kFewRowsSchedules = "gqa.few_rows_schedules";

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace mlir::gqa

#endif // GQA_PASSES_PASSES_H
