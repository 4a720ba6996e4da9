#include "passes/gpu/GpuPasses.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_LOWERTOEMULATOR
#include "passes/gpu/GpuPasses.h.inc"

namespace {

using namespace gqa_gpu;

/// Lowers one kernel. Its instructions become calls of runtime/emulator/Emulator.h, whose first argument is the thread.
struct EmulatorLowering {
  EmulatorLowering(ModuleOp module, func::FuncOp kernel)
      : module(module), kernel(kernel), b(kernel.getContext()), loc(kernel.getLoc()),
        pointer(LLVM::LLVMPointerType::get(kernel.getContext())) {}

  void lower() {
    (void)kernel.insertArgument(0, pointer, {}, loc);
    thread = kernel.getArgument(0);
    b.setInsertionPointToStart(&kernel.getBody().front());
    words = buildArray(10);
    SmallVector<Operation *> ops;
    kernel.walk([&](Operation *op) {
      if (isa<GQAGpuDialect>(op->getDialect()))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      b.setInsertionPoint(op);
      SmallVector<Value> results = lowerOp(op);
      op->replaceAllUsesWith(results);
      op->erase();
    }
    buildEntry();
  }

private:
  SmallVector<Value> lowerOp(Operation *op) {
    Type i32 = b.getI32Type(), f32 = b.getF32Type();
    return llvm::TypeSwitch<Operation *, SmallVector<Value>>(op)
        .Case<ThreadIdOp>([&](auto) { return call("thread_id", i32, {}); })
        .Case<BlockIdOp>([&](auto id) { return call("block_id", i32, constant(id.getAxis())); })
        .Case<SharedMemoryOp>([&](auto memory) { return call("shared_memory", memory.getType(), {}); })
        .Case<BarrierOp>([&](auto) { return call("barrier", {}, {}); })
        .Case<CpAsyncOp>(
            [&](auto copy) { return call("cp_async", {}, {copy.getDestination(), copy.getSource(), copy.getBytes()}); })
        .Case<CpAsyncCommitOp>([&](auto) { return call("cp_async_commit", {}, {}); })
        .Case<CpAsyncWaitOp>([&](auto wait) { return call("cp_async_wait", {}, constant(wait.getPending())); })
        .Case<ShuffleXorOp>(
            [&](auto shuffle) { return call("shuffle_xor", f32, {shuffle.getValue(), constant(shuffle.getMask())}); })
        .Case<LdMatrixOp>([&](auto load) {
          call("ldmatrix", {}, {load.getAddress(), constant(load.getTranspose()), words});
          return loadWords(load->getResultTypes(), 0);
        })
        .Case<MmaOp>([&](auto mma) {
          for (auto [i, operand] : llvm::enumerate(mma->getOperands()))
            LLVM::StoreOp::create(b, loc, operand, getWord(i));
          bool isBF16 = cast<VectorType>(mma.getA0().getType()).getElementType().isBF16();
          call("mma", {}, {words, constant(isBF16)});
          return loadWords(mma->getResultTypes(), 6);
        });
  }

  SmallVector<Value> call(StringRef name, Type result, ValueRange operands) {
    std::string symbol = ("gqa_emulate_" + name).str();
    SmallVector<Value> all = {thread};
    llvm::append_range(all, operands);
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(symbol);
    if (!function) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      Type returned = result ? result : LLVM::LLVMVoidType::get(b.getContext());
      function = LLVM::LLVMFuncOp::create(
          top, loc, symbol, LLVM::LLVMFunctionType::get(returned, SmallVector<Type>(ValueRange(all).getTypes())));
    }
    return LLVM::CallOp::create(b, loc, function, all).getResults();
  }

  Value constant(int64_t value) { return LLVM::ConstantOp::create(b, loc, b.getI32Type(), value); }

  Value buildArray(int64_t count) {
    Value size = LLVM::ConstantOp::create(b, loc, b.getI64Type(), count);
    return LLVM::AllocaOp::create(b, loc, pointer, b.getI32Type(), size);
  }

  Value getWord(int64_t index) {
    return LLVM::GEPOp::create(b, loc, pointer, b.getI32Type(), words,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  }

  SmallVector<Value> loadWords(TypeRange types, int64_t first) {
    SmallVector<Value> values;
    for (Type type : types)
      values.push_back(LLVM::LoadOp::create(b, loc, type, getWord(first++), /*alignment=*/4));
    return values;
  }

  /// void @kernel_emulated(thread, parameters): what gqa_emulate_launch calls.
  void buildEntry() {
    b.setInsertionPointAfter(kernel);
    auto entry =
        func::FuncOp::create(b, loc, (kernel.getName() + "_emulated").str(), b.getFunctionType({pointer, pointer}, {}));
    b.setInsertionPointToStart(entry.addEntryBlock());
    SmallVector<Value> arguments = {entry.getArgument(0)};
    for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes().drop_front())) {
      Value slot = LLVM::GEPOp::create(b, loc, pointer, pointer, entry.getArgument(1),
                                       ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
      arguments.push_back(LLVM::LoadOp::create(b, loc, type, LLVM::LoadOp::create(b, loc, pointer, slot)));
    }
    func::CallOp::create(b, loc, kernel, arguments);
    func::ReturnOp::create(b, loc);
  }

  ModuleOp module;
  func::FuncOp kernel;
  OpBuilder b;
  Location loc;
  Type pointer;
  Value thread, words;
};

struct LowerToEmulator : impl::LowerToEmulatorBase<LowerToEmulator> {
  void runOnOperation() override {
    for (func::FuncOp kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      EmulatorLowering(getOperation(), kernel).lower();
  }
};

} // namespace
} // namespace mlir::gqa
