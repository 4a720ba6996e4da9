#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::gqa_gpu;

#include "dialect/gpu/GQAGpuDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/gpu/GQAGpuAttributes.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/gpu/GQAGpuOps.cpp.inc"

void GQAGpuDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/gpu/GQAGpuAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/gpu/GQAGpuOps.cpp.inc"
      >();
}

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t warpRows, int64_t rowWarps,
                                   int64_t keyWarps, int64_t n, int64_t stages, int64_t split, bool sharedQuery) {
  if (rowWarps < 1 || keyWarps < 1 || rowWarps > 32 || keyWarps > 32 / rowWarps)
    return emitError() << "a block must have 1 to 32 warps, got " << rowWarps << " * " << keyWarps << " (S1)";
  if (warpRows < 16 || warpRows % 16 != 0)
    return emitError() << "warpRows must be a positive multiple of 16, got " << warpRows << " (S1)";
  if (n < 16 * keyWarps || n % (16 * keyWarps) != 0)
    return emitError() << "n (" << n << ") must give each of " << keyWarps << " key warps a multiple of 16 keys (S1)";
  if (stages < 2)
    return emitError() << "stages must be at least 2, got " << stages << " (S2)";
  if (split < 0 || split % n != 0)
    return emitError() << "split (" << split << ") must be a multiple of n (" << n << "), or 0 (S3)";
  return success();
}

LogicalResult WarpgroupScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t consumers, int64_t n,
                                            int64_t stages, bool packed, bool pingPong, bool overlap) {
  if (consumers < 1 || consumers > 3)
    return emitError() << "consumers must be 1 to 3, got " << consumers << " (W1)";
  if (n < 16 || n > 256 || n % 16 != 0)
    return emitError() << "n must be a multiple of 16 from 16 to 256, got " << n << " (W2)";
  if (stages < 2 || stages > 8)
    return emitError() << "stages must be 2 to 8, got " << stages << " (W3)";
  return success();
}

using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

// Copies begin in global and end in shared memory; nothing may be moved across them.
void CopyRowsOp::getEffects(Effects &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

void ConvertRowsOp::getEffects(Effects &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

void LoadRowsOp::getEffects(Effects &effects) { effects.emplace_back(MemoryEffects::Read::get()); }

void StoreRowsOp::getEffects(Effects &effects) { effects.emplace_back(MemoryEffects::Write::get()); }

// On tensors a launch is a pure function; on buffers it reads and writes them.
void LaunchOp::getEffects(Effects &effects) {
  for (OpOperand &operand : getInputsMutable())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  for (OpOperand &operand : getOutputsMutable())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
}

LogicalResult LaunchOp::verify() {
  if (getGrid().size() != 3)
    return emitOpError() << "grid must have three extents, got " << getGrid().size() << " (L1)";
  if (getAlignments().size() != getAlignedOperands().size())
    return emitOpError() << "has " << getAlignments().size() << " alignments for " << getAlignedOperands().size()
                         << " aligned operands (L2)";
  return success();
}

namespace {

struct LaunchBufferization : bufferization::DstBufferizableOpInterfaceExternalModel<LaunchBufferization, LaunchOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const bufferization::AnalysisState &) const {
    return cast<LaunchOp>(op).isDpsInput(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const bufferization::BufferizationOptions &options,
                          bufferization::BufferizationState &state) const {
    auto launch = cast<LaunchOp>(op);
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (!isa<TensorType>(operand.getType())) {
        operands.push_back(operand);
        continue;
      }
      FailureOr<Value> buffer = bufferization::getBuffer(rewriter, operand, options, state);
      if (failed(buffer))
        return failure();
      operands.push_back(*buffer);
    }
    SmallVector<Value> destinations(operands.begin() + launch.getInputs().size(),
                                    operands.begin() + launch.getInputs().size() + launch.getOutputs().size());
    LaunchOp::create(rewriter, op->getLoc(), TypeRange{}, operands, op->getAttrs());
    bufferization::replaceOpWithBufferizedValues(rewriter, op, destinations);
    return success();
  }
};

} // namespace

void mlir::gqa_gpu::registerBufferization(DialectRegistry &registry) {
  registry.addExtension(
      +[](MLIRContext *context, GQAGpuDialect *) { LaunchOp::attachInterface<LaunchBufferization>(*context); });
}
