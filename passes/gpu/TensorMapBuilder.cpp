#include "passes/gpu/TensorMapBuilder.h"
#include "passes/HostTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::gqa {

namespace {

/// Numbers of the driver's enumerations (CUtensorMapDataType, ...Swizzle, ...L2promotion).
constexpr int64_t kFloat16 = 6, kBFloat16 = 9, kSwizzle128 = 3, kPromote256 = 3;
constexpr int64_t kMaxRank = 5, kMapBytes = 128, kMapAlignment = 64;

/// Fields of gqa_device_host.
constexpr int32_t kStateField = 0, kEncodeField = 2;

} // namespace

Value storeOnStack(OpBuilder &b, Location loc, func::FuncOp entry, ArrayRef<Value> values) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  SmallVector<Type> types(ValueRange(values).getTypes());
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), types);
  OpBuilder top = OpBuilder::atBlockBegin(&entry.getBody().front());
  Value one = LLVM::ConstantOp::create(top, loc, b.getI64Type(), 1);
  Value address = LLVM::AllocaOp::create(top, loc, pointer, type, one);
  for (auto [i, value] : llvm::enumerate(values)) {
    Value field =
        LLVM::GEPOp::create(b, loc, pointer, type, address, ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
    LLVM::StoreOp::create(b, loc, value, field);
  }
  return address;
}

Value TensorMapBuilder::i32(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 32); }
Value TensorMapBuilder::i64(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 64); }

Value TensorMapBuilder::describe(Value tensor, gqa_gpu::TensorMapAttr map) {
  auto type = cast<MemRefType>(tensor.getType());
  int64_t elementBytes = type.getElementTypeBitWidth() / 8, rank = map.getDims().size();
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, tensor);
  auto toI64 = [&](Value index) { return arith::IndexCastOp::create(b, loc, b.getI64Type(), index).getResult(); };
  Value base = toI64(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, tensor));
  Value offset = arith::MulIOp::create(b, loc, toI64(metadata.getOffset()), i64(elementBytes));
  SmallVector<Value> extents, strides, box, elementStrides;
  for (int64_t i = 0; i < kMaxRank; ++i) {
    bool exists = i < rank;
    Value extent = exists ? toI64(metadata.getSizes()[map.getDims()[i]]) : i64(1);
    Value stride = i64(16);
    if (exists) {
      // The stride of an extent of 1 may be anything, and is not used.
      Value bytes = arith::MulIOp::create(b, loc, toI64(metadata.getStrides()[map.getDims()[i]]), i64(elementBytes));
      Value isOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, extent, i64(1));
      stride = arith::SelectOp::create(b, loc, isOne, stride, bytes);
    }
    extents.push_back(extent);
    strides.push_back(stride);
    box.push_back(i32(exists ? map.getBox()[i] : 1));
    elementStrides.push_back(i32(1));
  }
  Value address = arith::AddIOp::create(b, loc, base, offset);
  SmallVector<Value> fields = {LLVM::IntToPtrOp::create(b, loc, pointer, address),
                               i32(type.getElementType().isBF16() ? kBFloat16 : kFloat16), i32(rank)};
  for (ArrayRef<Value> part :
       {ArrayRef<Value>(extents), ArrayRef<Value>(strides), ArrayRef<Value>(box), ArrayRef<Value>(elementStrides)})
    llvm::append_range(fields, part);
  fields.append({i32(0), i32(kSwizzle128), i32(kPromote256), i32(0)});
  return storeOnStack(b, loc, entry, fields);
}

Value TensorMapBuilder::callEncoder(Value description, Value encoded) {
  if (!isEmulated) {
    Value device = loadHostField(b, loc, entry.getArgument(0), HostField::device);
    auto loadField = [&](int32_t field) -> Value {
      Value address = LLVM::GEPOp::create(b, loc, pointer, pointer, device, ArrayRef<LLVM::GEPArg>{field});
      return LLVM::LoadOp::create(b, loc, pointer, address);
    };
    auto type = LLVM::LLVMFunctionType::get(b.getI32Type(), {pointer, pointer, pointer});
    SmallVector<Value> operands = {loadField(kEncodeField), loadField(kStateField), description, encoded};
    return LLVM::CallOp::create(b, loc, type, operands).getResult();
  }
  auto module = entry->getParentOfType<ModuleOp>();
  auto function = module.lookupSymbol<LLVM::LLVMFuncOp>("gqa_emulate_encode_tensor_map");
  if (!function) {
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    function = LLVM::LLVMFuncOp::create(top, loc, "gqa_emulate_encode_tensor_map",
                                        LLVM::LLVMFunctionType::get(b.getI32Type(), {pointer, pointer}));
  }
  return LLVM::CallOp::create(b, loc, function, ValueRange{description, encoded}).getResult();
}

TensorMapBuilder::Encoded TensorMapBuilder::encode(Value tensor, gqa_gpu::TensorMapAttr map) {
  Value description = describe(tensor, map);
  Value encoded;
  {
    OpBuilder top = OpBuilder::atBlockBegin(&entry.getBody().front());
    Value bytes = LLVM::ConstantOp::create(top, loc, b.getI64Type(), kMapBytes);
    encoded = LLVM::AllocaOp::create(top, loc, pointer, b.getI8Type(), bytes, kMapAlignment);
  }
  return {encoded, callEncoder(description, encoded)};
}

} // namespace mlir::gqa
