#ifndef GQA_PASSES_HOSTTABLE_H
#define GQA_PASSES_HOSTTABLE_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

/// How compiled code reaches the callbacks of its caller: the layout of `gqa_host` in runtime/gqa_host.h.
namespace mlir::gqa {

/// The fields of gqa_host, in order.
enum class HostField : int32_t { parallelFor, allocate, deallocate, reportError, state, device };

/// The values of gqa_status that compiled code returns (runtime/gqa.h).
enum class EntryStatus : int32_t { ok = 0, invalidArgument = 1, outOfMemory = 6, executionFailed = 7 };

/// The first fields of a task's frame: the host, and the address of the status word that the entry returns.
constexpr unsigned kFrameHostField = 0, kFrameStatusField = 1;

/// Loads a field of the table that `host` points to.
inline Value loadHostField(OpBuilder &builder, Location loc, Value host, HostField field) {
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Value address =
      LLVM::GEPOp::create(builder, loc, pointer, pointer, host, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(field)});
  return LLVM::LoadOp::create(builder, loc, pointer, address);
}

/// Calls `host->field(host->state, args...)`.
inline LLVM::CallOp callHost(OpBuilder &builder, Location loc, Value host, HostField field, Type result,
                             ValueRange args) {
  MLIRContext *context = builder.getContext();
  Value callee = loadHostField(builder, loc, host, field);
  SmallVector<Value> operands = {callee, loadHostField(builder, loc, host, HostField::state)};
  llvm::append_range(operands, args);
  SmallVector<Type> types(ValueRange(operands).drop_front().getTypes());
  auto type = LLVM::LLVMFunctionType::get(result ? result : LLVM::LLVMVoidType::get(context), types);
  return LLVM::CallOp::create(builder, loc, type, operands);
}

} // namespace mlir::gqa

#endif // GQA_PASSES_HOSTTABLE_H
