#include "passes/gpu/Workspace.h"
#include "passes/HostTable.h"

#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir::gqa {

namespace {

/// What the workspace's address and every buffer in it are multiples of.
constexpr int64_t kAlignment = 256;

/// The field of gqa_device_host with the workspace's address (runtime/gqa_device.h).
constexpr int32_t kWorkspaceField = 4;

SmallVector<memref::AllocOp> getBuffers(func::FuncOp function) {
  return llvm::to_vector(function.getBody().front().getOps<memref::AllocOp>());
}

/// The bytes of a buffer, a multiple of kAlignment, as index.
Value buildBytes(OpBuilder &b, memref::AllocOp buffer) {
  Location loc = buffer.getLoc();
  MemRefType type = buffer.getType();
  int64_t fixed = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t extent : type.getShape())
    fixed *= ShapedType::isDynamic(extent) ? 1 : extent;
  Value bytes = arith::ConstantIndexOp::create(b, loc, fixed);
  for (Value extent : buffer.getDynamicSizes())
    bytes = arith::MulIOp::create(b, loc, bytes, extent);
  Value rounded = arith::AddIOp::create(b, loc, bytes, arith::ConstantIndexOp::create(b, loc, kAlignment - 1));
  return arith::AndIOp::create(b, loc, rounded, arith::ConstantIndexOp::create(b, loc, -kAlignment));
}

/// Erases what nothing uses any more.
void eraseUnused(func::FuncOp function) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (op.use_empty() && (isa<memref::AllocOp>(op) || isOpTriviallyDead(&op)))
      op.erase();
}

/// A copy of the entry that computes the bytes of its buffers and runs nothing.
void addWorkspaceFunction(func::FuncOp entry) {
  OpBuilder b(entry.getContext());
  b.setInsertionPoint(entry);
  auto function = cast<func::FuncOp>(b.clone(*entry));
  function.setName(getWorkspaceName(entry.getName()));
  Block &block = function.getBody().front();
  b.setInsertionPoint(block.getTerminator());
  Location loc = entry.getLoc();
  Value total = arith::ConstantIndexOp::create(b, loc, 0);
  for (memref::AllocOp buffer : getBuffers(function))
    total = arith::AddIOp::create(b, loc, total, buildBytes(b, buffer));
  for (Operation &op : llvm::make_early_inc_range(block))
    if (isa<gqa_gpu::LaunchOp>(op))
      op.erase();

  // The results' destinations give way to the number.
  int64_t numResults = entry->getAttrOfType<IntegerAttr>("gqa.num_results").getInt();
  Value destination = block.addArgument(MemRefType::get({1}, b.getI64Type()), loc);
  total = arith::IndexCastOp::create(b, loc, b.getI64Type(), total);
  memref::StoreOp::create(b, loc, total, destination, ValueRange{arith::ConstantIndexOp::create(b, loc, 0)});
  eraseUnused(function);
  block.eraseArguments(block.getNumArguments() - 1 - numResults, numResults);
  function.setFunctionType(b.getFunctionType(block.getArgumentTypes(), b.getI32Type()));
}

} // namespace

void placeInWorkspace(func::FuncOp entry) {
  SmallVector<memref::AllocOp> buffers = getBuffers(entry);
  if (buffers.empty())
    return;
  addWorkspaceFunction(entry);

  OpBuilder b(entry.getContext());
  Location loc = entry.getLoc();
  Block &block = entry.getBody().front();
  b.setInsertionPointToStart(&block);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  Value device = loadHostField(b, loc, entry.getArgument(0), HostField::device);
  Value field = LLVM::GEPOp::create(b, loc, pointer, pointer, device, ArrayRef<LLVM::GEPArg>{kWorkspaceField});
  Value address = LLVM::LoadOp::create(b, loc, pointer, field);
  // The workspace as a buffer of bytes; no view of it looks at its size.
  Type i64 = b.getI64Type();
  auto one = LLVM::LLVMArrayType::get(i64, 1);
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), {pointer, pointer, i64, one, one});
  Value descriptor = LLVM::ZeroOp::create(b, loc, type);
  for (int64_t i : {0, 1})
    descriptor = LLVM::InsertValueOp::create(b, loc, descriptor, address, ArrayRef<int64_t>{i});
  Value stride = LLVM::ConstantOp::create(b, loc, i64, 1);
  descriptor = LLVM::InsertValueOp::create(b, loc, descriptor, stride, ArrayRef<int64_t>{4, 0});
  auto bytesType = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
  Value workspace = UnrealizedConversionCastOp::create(b, loc, bytesType, descriptor).getResult(0);

  Value offset = arith::ConstantIndexOp::create(b, loc, 0);
  for (memref::AllocOp buffer : buffers) {
    b.setInsertionPoint(buffer);
    Value view = memref::ViewOp::create(b, loc, buffer.getType(), workspace, offset, buffer.getDynamicSizes());
    offset = arith::AddIOp::create(b, loc, offset, buildBytes(b, buffer));
    buffer.replaceAllUsesWith(view);
    buffer.erase();
  }
}

} // namespace mlir::gqa
