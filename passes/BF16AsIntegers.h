#ifndef GQA_PASSES_BF16ASINTEGERS_H
#define GQA_PASSES_BF16ASINTEGERS_H

#include "llvm/IR/Module.h"

namespace mlir::gqa {

/// Lets all that moves or widens bf16 (loads, stores, shuffles, insertions, extractions, selections, phis, extensions)
/// work on integers of the same bits, where LLVM 22 has trouble with it on x86:
///
/// - vectors whose lengths are not powers of two, on every CPU: "do not know how to soft promote this operator's
///   operand";
/// - all of it, unless the CPU `hasBF16` in registers: LLVM takes vectors that live across blocks apart, widens elements
///   that it only copies to f32 and calls `__truncsfbf2` to narrow them again, a function that artifacts do not have.
void moveBF16AsIntegers(llvm::Module &module, bool hasBF16);

} // namespace mlir::gqa

#endif // GQA_PASSES_BF16ASINTEGERS_H
