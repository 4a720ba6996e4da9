#ifndef GQA_PASSES_TARGETOPTIONS_H
#define GQA_PASSES_TARGETOPTIONS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Operation.h"

namespace mlir::gqa {

/// Whether the options of a pass describe vector registers that exist.
inline LogicalResult verifyTargetOptions(Operation *op, int64_t vectorBits, int64_t registers) {
  if (vectorBits != 128 && vectorBits != 256 && vectorBits != 512)
    return emitError(op->getLoc()) << "option vector-bits must be 128, 256 or 512, got " << vectorBits;
  if (registers < 16 || registers > 1024)
    return emitError(op->getLoc()) << "option registers must be from 16 to 1024, got " << registers;
  return success();
}

/// Whether a tile size is one, or 0 for "chosen".
inline LogicalResult verifyTileOption(Operation *op, StringRef name, int64_t size) {
  constexpr int64_t kLargest = 4096; // tiles are unrolled and live on the stack
  if (size < 0 || size > kLargest)
    return emitError(op->getLoc()) << "option " << name << " must be from 0 to " << kLargest << ", got " << size;
  return success();
}

} // namespace mlir::gqa

#endif // GQA_PASSES_TARGETOPTIONS_H
