#ifndef GQA_DIALECT_GPU_GQAGPUDIALECT_H
#define GQA_DIALECT_GPU_GQAGPUDIALECT_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/gpu/GQAGpuDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/gpu/GQAGpuAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialect/gpu/GQAGpuOps.h.inc"

namespace mlir::gqa_gpu {

/// Lets gqa_gpu.launch go from tensors to buffers.
void registerBufferization(DialectRegistry &registry);

/// The bytes between rows of `columns` elements in shared memory.
inline int64_t getSharedPitch(int64_t columns, Type element) {
  return columns * element.getIntOrFloatBitWidth() / 8 + 16;
}

/// The bytes that one asynchronous copy takes of rows of `columns` elements: 16, or the most that divides their length.
inline int64_t getCopyBytes(int64_t columns, Type element) {
  int64_t bytes = columns * element.getIntOrFloatBitWidth() / 8;
  return bytes % 16 == 0 ? 16 : bytes % 8 == 0 ? 8 : 4;
}

} // namespace mlir::gqa_gpu

#endif // GQA_DIALECT_GPU_GQAGPUDIALECT_H
