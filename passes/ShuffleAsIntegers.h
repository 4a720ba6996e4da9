#ifndef GQA_PASSES_SHUFFLEASINTEGERS_H
#define GQA_PASSES_SHUFFLEASINTEGERS_H

#include "llvm/IR/Module.h"

namespace mlir::gqa {

/// Lets shuffles of bf16 vectors whose lengths are not powers of two work on integers of the same bits. LLVM 22 cannot
/// select some of them on x86: "do not know how to soft promote this operator's operand".
void shuffleOddBF16AsIntegers(llvm::Module &module);

} // namespace mlir::gqa

#endif // GQA_PASSES_SHUFFLEASINTEGERS_H
