#include "passes/HostTable.h"
#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/TensorMapBuilder.h"
#include "passes/gpu/Workspace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include "llvm/ADT/StringExtras.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_LOWERLAUNCH
#include "passes/gpu/GpuPasses.h.inc"

namespace {

using gqa_gpu::LaunchOp;

/// Builds the launches of one entry.
struct LaunchLowering {
  LaunchLowering(func::FuncOp entry, bool isEmulated)
      : entry(entry), isEmulated(isEmulated), b(entry.getContext()), loc(entry.getLoc()),
        pointer(LLVM::LLVMPointerType::get(entry.getContext())) {}

  void lower() {
    SmallVector<LaunchOp> launches;
    entry.walk([&](LaunchOp launch) { launches.push_back(launch); });
    for (LaunchOp launch : launches) {
      b.setInsertionPoint(launch);
      loc = launch.getLoc();
      lowerLaunch(launch);
      launch.erase();
    }
    if (status)
      entry.getBody().front().getTerminator()->setOperand(0, status);
  }

private:
  /// A launch happens if those before it have succeeded.
  void lowerLaunch(LaunchOp launch) {
    SmallVector<Value> parameters = getParameters(launch);
    Value isAligned = checkAlignment(launch);
    if (!status) {
      status = buildChecked(launch, parameters, isAligned);
      return;
    }
    Value isOk = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, status, i32(0));
    auto branch = scf::IfOp::create(b, loc, b.getI32Type(), isOk, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, loc, buildChecked(launch, parameters, isAligned));
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, status);
    status = branch.getResult(0);
  }

  /// The call, or the status that says why there is none.
  Value buildChecked(LaunchOp launch, ArrayRef<Value> parameters, Value isAligned) {
    if (!isAligned)
      return buildCall(launch, parameters);
    auto branch = scf::IfOp::create(b, loc, b.getI32Type(), isAligned, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, loc, buildCall(launch, parameters));
    b.setInsertionPointToStart(branch.elseBlock());
    Value text = buildText(describeAlignments(launch));
    callHost(b, loc, entry.getArgument(0), HostField::reportError, /*result=*/{}, text);
    scf::YieldOp::create(b, loc, i32(static_cast<int32_t>(EntryStatus::invalidArgument)));
    return branch.getResult(0);
  }

  /// Address and strides of each tensor (i64), then scalars (i32).
  SmallVector<Value> getParameters(LaunchOp launch) {
    SmallVector<Value> parameters;
    for (Value tensor : llvm::concat<Value>(launch.getInputs(), launch.getOutputs())) {
      auto type = cast<MemRefType>(tensor.getType());
      auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, tensor);
      Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, tensor);
      Value bytes =
          arith::MulIOp::create(b, loc, metadata.getOffset(), arith::ConstantIndexOp::create(b, loc, getBytes(type)));
      parameters.push_back(toI64(arith::AddIOp::create(b, loc, base, bytes)));
      for (Value stride : metadata.getStrides())
        parameters.push_back(toI64(stride));
    }
    llvm::append_range(parameters, launch.getScalars());
    return parameters;
  }

  static int64_t getBytes(MemRefType type) { return llvm::divideCeil(type.getElementTypeBitWidth(), 8); }

  static std::string describeAlignments(LaunchOp launch) {
    std::string text = "query, key, value and output must begin at multiples of ";
    ArrayRef<int64_t> alignments = launch.getAlignments();
    if (llvm::all_equal(alignments))
      text += std::to_string(alignments[0]);
    else
      text += llvm::join(llvm::map_range(alignments, [](int64_t bytes) { return std::to_string(bytes); }), ", ");
    return text + " bytes, and so must their rows";
  }

  /// Whether addresses and strides of the operands that need it are multiples of so many bytes; null if none needs it.
  Value checkAlignment(LaunchOp launch) {
    Value bits;
    auto require = [&](Value value, int64_t alignment) {
      value = arith::AndIOp::create(b, loc, value, arith::ConstantIndexOp::create(b, loc, alignment - 1));
      bits = bits ? Value(arith::OrIOp::create(b, loc, bits, value)) : value;
    };
    SmallVector<Value> tensors(launch.getInputs());
    llvm::append_range(tensors, launch.getOutputs());
    for (auto [number, alignment] : llvm::zip_equal(launch.getAlignedOperands(), launch.getAlignments())) {
      auto type = cast<MemRefType>(tensors[number].getType());
      auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, tensors[number]);
      Value elementBytes = arith::ConstantIndexOp::create(b, loc, getBytes(type));
      require(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, tensors[number]), alignment);
      require(arith::MulIOp::create(b, loc, metadata.getOffset(), elementBytes), alignment);
      for (auto [stride, extent] : llvm::zip(metadata.getStrides().drop_back(), type.getShape()))
        if (extent != 1)
          require(arith::MulIOp::create(b, loc, stride, elementBytes), alignment);
    }
    if (!bits)
      return {};
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, bits, arith::ConstantIndexOp::create(b, loc, 0));
  }

  /// Encodes the tensor maps and starts the kernel, unless something fails on the way.
  Value buildCall(LaunchOp launch, ArrayRef<Value> parameters) {
    TensorMapBuilder maps(b, entry, isEmulated);
    SmallVector<Value> addresses;
    for (Value parameter : parameters)
      addresses.push_back(buildOnStack({parameter}));
    Value encoded;
    for (auto map : launch.getTensorMaps().getAsRange<gqa_gpu::TensorMapAttr>()) {
      Value tensor = launch->getOperand(map.getOperand());
      TensorMapBuilder::Encoded result = maps.encode(tensor, map);
      addresses.push_back(result.address);
      encoded = encoded ? Value(arith::MaxUIOp::create(b, loc, encoded, result.status)) : result.status;
    }
    if (!encoded)
      return buildStart(launch, addresses);
    Value isOk = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, encoded, i32(0));
    auto branch = scf::IfOp::create(b, loc, b.getI32Type(), isOk, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, loc, buildStart(launch, addresses));
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, encoded);
    return branch.getResult(0);
  }

  Value buildStart(LaunchOp launch, ArrayRef<Value> addresses) {
    Value array = buildOnStack(addresses);
    SmallVector<Value> grid = llvm::map_to_vector(launch.getGrid(), [&](Value extent) { return toI64(extent); });
    return isEmulated ? callEmulator(launch, grid, array) : callDevice(launch, grid, array);
  }

  /// int32_t gqa_emulate_launch(kernel, grid, threads, shared_bytes, parameters).
  Value callEmulator(LaunchOp launch, ArrayRef<Value> grid, Value parameters) {
    auto type = b.getFunctionType({pointer, pointer}, {});
    Value constant = func::ConstantOp::create(b, loc, type, (launch.getKernel() + "_emulated").str());
    Value kernel = UnrealizedConversionCastOp::create(b, loc, pointer, constant).getResult(0);
    auto module = entry->getParentOfType<ModuleOp>();
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>("gqa_emulate_launch");
    if (!function) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      Type i32Type = b.getI32Type();
      function =
          LLVM::LLVMFuncOp::create(top, loc, "gqa_emulate_launch",
                                   LLVM::LLVMFunctionType::get(i32Type, {pointer, pointer, i32Type, i32Type, pointer}));
    }
    SmallVector<Value> operands = {kernel, buildOnStack(grid), i32(launch.getThreads()), i32(launch.getSharedBytes()),
                                   parameters};
    return LLVM::CallOp::create(b, loc, function, operands).getResult();
  }

  /// host->device->launch(state, &launch), as runtime/gqa_device.h lays them out.
  Value callDevice(LaunchOp launch, ArrayRef<Value> grid, Value parameters) {
    Value zero = i32(0), one = i32(1);
    Value name = buildText(launch.getKernel());
    SmallVector<Value> fields = {name};
    llvm::append_range(fields, grid);
    fields.append(
        {i32(launch.getThreads()), one, one, zero, zero, zero, i32(launch.getSharedBytes()), zero, parameters});
    Value device = loadHostField(b, loc, entry.getArgument(0), HostField::device);
    auto loadField = [&](int32_t field) -> Value {
      Value address = LLVM::GEPOp::create(b, loc, pointer, pointer, device, ArrayRef<LLVM::GEPArg>{field});
      return LLVM::LoadOp::create(b, loc, pointer, address);
    };
    auto type = LLVM::LLVMFunctionType::get(b.getI32Type(), {pointer, pointer});
    SmallVector<Value> operands = {loadField(1), loadField(0), buildOnStack(fields)};
    return LLVM::CallOp::create(b, loc, type, operands).getResult();
  }

  Value buildOnStack(ArrayRef<Value> values) { return storeOnStack(b, loc, entry, values); }

  /// The address of a NUL-terminated constant.
  Value buildText(StringRef text) {
    auto module = entry->getParentOfType<ModuleOp>();
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    std::string symbol;
    for (unsigned i = 0; symbol.empty() || module.lookupSymbol(symbol); ++i)
      symbol = "gqa_text" + std::to_string(i);
    std::string terminated = text.str() + '\0';
    LLVM::GlobalOp::create(top, loc, LLVM::LLVMArrayType::get(b.getI8Type(), terminated.size()), /*isConstant=*/true,
                           LLVM::Linkage::Internal, symbol, b.getStringAttr(terminated));
    return LLVM::AddressOfOp::create(b, loc, pointer, symbol);
  }

  Value i32(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 32); }
  Value toI64(Value index) { return arith::IndexCastOp::create(b, loc, b.getI64Type(), index); }

  func::FuncOp entry;
  bool isEmulated;
  OpBuilder b;
  Location loc;
  Type pointer;
  Value status;
};

/// Everything that an entry on a device may do: launch kernels, and look at shapes.
LogicalResult verifyDeviceEntry(func::FuncOp entry) {
  WalkResult result = entry.walk([&](Operation *op) {
    bool isKnown = isa<LaunchOp, func::FuncOp, func::ReturnOp, memref::AllocOp, memref::DeallocOp, memref::DimOp,
                       memref::CastOp, memref::SubViewOp, memref::ExpandShapeOp, memref::CollapseShapeOp,
                       memref::ReinterpretCastOp, memref::ExtractStridedMetadataOp>(op) ||
                   (isa<arith::ArithDialect>(op->getDialect()) || op->getDialect()->getNamespace() == "affine");
    bool isInside = isa<LaunchOp, memref::AllocOp>(op) && op->getParentOp() != entry;
    if (isKnown && !isInside)
      return WalkResult::advance();
    op->emitOpError() << "has no code for a GPU; only attention, and what changes shapes around it, has";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

struct LowerLaunch : impl::LowerLaunchBase<LowerLaunch> {
  using LowerLaunchBase::LowerLaunchBase;

  void runOnOperation() override {
    for (func::FuncOp function : llvm::to_vector(getOperation().getOps<func::FuncOp>())) {
      if (!function.isPublic() || function.isExternal() || function.getName().starts_with("gqa_shape_"))
        continue;
      if (failed(verifyDeviceEntry(function)))
        return signalPassFailure();
      if (!emulate)
        placeInWorkspace(function);
      LaunchLowering(function, emulate).lower();
    }
    if (emulate)
      moveKernelsOut();
  }

private:
  /// Kernels that run on the CPU are functions beside their entries.
  void moveKernelsOut() {
    auto device = getOperation().lookupSymbol<ModuleOp>("gqa_device");
    for (Operation &op : llvm::make_early_inc_range(*device.getBody())) {
      SymbolTable::setSymbolVisibility(&op, SymbolTable::Visibility::Private);
      op.moveBefore(device);
    }
    device.erase();
  }
};

} // namespace
} // namespace mlir::gqa
