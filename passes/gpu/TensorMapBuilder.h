#ifndef GQA_PASSES_GPU_TENSORMAPBUILDER_H
#define GQA_PASSES_GPU_TENSORMAPBUILDER_H

#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::gqa {

/// The address of a struct of `values` in the stack frame of `entry`, laid out as C does; stores them where `b` stands.
Value storeOnStack(OpBuilder &b, Location loc, func::FuncOp entry, ArrayRef<Value> values);

/// Makes the tensor maps of launches, by the table in runtime/gqa_device.h or by the emulator.
class TensorMapBuilder {
public:
  TensorMapBuilder(OpBuilder &b, func::FuncOp entry, bool isEmulated)
      : b(b), entry(entry), loc(entry.getLoc()), isEmulated(isEmulated),
        pointer(LLVM::LLVMPointerType::get(b.getContext())) {}

  struct Encoded {
    Value address; ///< of 128 bytes
    Value status;  ///< i32, 0 if it was encoded
  };

  /// Describes `tensor`, a memref, as `map` says, and has it encoded.
  Encoded encode(Value tensor, gqa_gpu::TensorMapAttr map);

private:
  /// gqa_device_tensor_map.
  Value describe(Value tensor, gqa_gpu::TensorMapAttr map);
  Value callEncoder(Value description, Value encoded);

  Value i32(int64_t value);
  Value i64(int64_t value);

  OpBuilder &b;
  func::FuncOp entry;
  Location loc;
  bool isEmulated;
  Type pointer;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_TENSORMAPBUILDER_H
