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

/// The bytes between rows of a tile of half-precision numbers in shared memory.
inline int64_t getSharedPitch(int64_t columns) { return 2 * columns + 16; }

} // namespace mlir::gqa_gpu

#endif // GQA_DIALECT_GPU_GQAGPUDIALECT_H
