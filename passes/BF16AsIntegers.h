#ifndef GQA_PASSES_ODDBF16_H
#define GQA_PASSES_ODDBF16_H

#include "llvm/IR/Module.h"

namespace mlir::gqa {

/// Lets all that moves bf16 vectors whose lengths are not powers of two (loads, stores, shuffles, insertions, phis)
/// work on integers of the same bits. LLVM 22 cannot select some of them on x86: "do not know how to soft promote this
/// operator's operand".
void moveOddBF16AsIntegers(llvm::Module &module);

} // namespace mlir::gqa

#endif // GQA_PASSES_ODDBF16_H
