#ifndef GQA_PASSES_GPU_KERNELOPERANDS_H
#define GQA_PASSES_GPU_KERNELOPERANDS_H

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/gpu/GQAGpuDialect.h"
#include "passes/IndexMath.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::gqa {

/// A tensor in global memory as a kernel sees it: the parameters of gqa_gpu.launch for one tensor.
struct GlobalTensor {
  Value pointer;
  SmallVector<Value> strides; // i64, in elements
  SmallVector<int64_t> shape;
  Type element;

  /// The offset of an element, i64. An extent of 1 needs no stride, a missing index is 0.
  Value getOffset(OpBuilder &b, Location loc, ArrayRef<Value> indices) const {
    Value offset;
    for (auto [stride, index, extent] : llvm::zip_equal(strides, indices, shape)) {
      if (!index || extent == 1)
        continue;
      Value wide = index.getType().isIndex() ? Value(arith::IndexCastOp::create(b, loc, b.getI64Type(), index))
                                             : Value(arith::ExtSIOp::create(b, loc, b.getI64Type(), index));
      Value term = arith::MulIOp::create(b, loc, wide, stride);
      offset = offset ? Value(arith::AddIOp::create(b, loc, offset, term)) : term;
    }
    return offset ? offset : Value(arith::ConstantIntOp::create(b, loc, 0, 64));
  }

  Value load(OpBuilder &b, Location loc, ArrayRef<Value> indices) const {
    Value address = LLVM::GEPOp::create(b, loc, pointer.getType(), element, pointer,
                                        ArrayRef<LLVM::GEPArg>{getOffset(b, loc, indices)});
    return LLVM::LoadOp::create(b, loc, element, address, /*alignment=*/0, /*isVolatile=*/false,
                                /*isNonTemporal=*/false, /*isInvariant=*/true);
  }
};

/// The launch that is being prepared, and the kernel's function with parameters to match.
class KernelOperands {
public:
  /// Makes an empty kernel function called `name` at the end of `device` for tensors, `numScalars` i32 and tensor maps.
  KernelOperands(OpBuilder &b, ModuleOp device, StringRef name, ValueRange inputs, ValueRange outputs,
                 unsigned numScalars, unsigned numMaps = 0)
      : numScalars(numScalars), numMaps(numMaps) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(device.getBody());
    SmallVector<Type> types;
    auto addTensor = [&](Value tensor) {
      types.push_back(LLVM::LLVMPointerType::get(b.getContext(), /*addressSpace=*/1));
      types.append(cast<RankedTensorType>(tensor.getType()).getRank(), b.getI64Type());
    };
    llvm::for_each(inputs, addTensor);
    llvm::for_each(outputs, addTensor);
    types.append(numScalars, b.getI32Type());
    types.append(numMaps, LLVM::LLVMPointerType::get(b.getContext()));
    kernel = func::FuncOp::create(b, device.getLoc(), name, b.getFunctionType(types, {}));
    for (unsigned index = 0; index < numMaps; ++index)
      kernel.setArgAttr(types.size() - numMaps + index, kTensorMapAttr, b.getUnitAttr());
    Block *block = kernel.addEntryBlock();
    unsigned next = 0;
    auto readTensor = [&](Value tensor) {
      auto type = cast<RankedTensorType>(tensor.getType());
      GlobalTensor global{block->getArgument(next++), {}, SmallVector<int64_t>(type.getShape()), type.getElementType()};
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        global.strides.push_back(block->getArgument(next++));
      tensors.push_back(global);
    };
    llvm::for_each(inputs, readTensor);
    llvm::for_each(outputs, readTensor);
  }

  const GlobalTensor &getTensor(unsigned index) const { return tensors[index]; }
  Value getScalar(unsigned index) {
    return kernel.getArgument(kernel.getNumArguments() - numMaps - numScalars + index);
  }
  Value getMap(unsigned index) { return kernel.getArgument(kernel.getNumArguments() - numMaps + index); }

  /// Marks parameters that are tensor maps, passed by value.
  static constexpr StringLiteral kTensorMapAttr = "gqa_gpu.tensor_map";

  func::FuncOp kernel;

private:
  unsigned numScalars, numMaps;
  SmallVector<GlobalTensor> tensors;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_KERNELOPERANDS_H
