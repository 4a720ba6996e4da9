#ifndef GQA_PASSES_EXPANDF8_H
#define GQA_PASSES_EXPANDF8_H

#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {

/// arith.extf from f8E4M3FN to f32, which most chips have no instruction for, on scalars and vectors.
void populateExpandF8(RewritePatternSet &patterns);

} // namespace mlir::gqa

#endif // GQA_PASSES_EXPANDF8_H
