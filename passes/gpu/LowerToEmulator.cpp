#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/KernelOperands.h"

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
    int64_t numFloats = 0, numWords = 8;
    kernel.walk([&](Operation *op) {
      if (isa<WgmmaOp, WgmmaWaitOp>(op))
        numFloats = std::max<int64_t>(numFloats, op->getNumResults());
      if (auto product = dyn_cast<WgmmaOp>(op))
        numWords = std::max<int64_t>(numWords, product.getA().size());
    });
    if (numFloats != 0) {
      floats = buildArray(numFloats);
      pairs = buildArray(numWords);
    }
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
        .Case<CpAsyncOp>([&](auto copy) {
          return call("cp_async", {},
                      {copy.getDestination(), copy.getSource(), copy.getBytes(), constant(copy.getSize())});
        })
        .Case<CpAsyncCommitOp>([&](auto) { return call("cp_async_commit", {}, {}); })
        .Case<CpAsyncWaitOp>([&](auto wait) { return call("cp_async_wait", {}, constant(wait.getPending())); })
        .Case<ShuffleXorOp>(
            [&](auto shuffle) { return call("shuffle_xor", f32, {shuffle.getValue(), constant(shuffle.getMask())}); })
        .Case<LdMatrixOp>([&](auto load) {
          call("ldmatrix", {}, {load.getAddress(), constant(load.getTranspose()), words});
          return loadWords(load->getResultTypes(), 0, words);
        })
        .Case<WarpgroupIdOp>([&](auto) { return call("warpgroup_id", i32, {}); })
        .Case<SharedOffsetOp>([&](auto offset) { return call("shared_offset", i32, offset.getAddress()); })
        // What the emulator has no need of: it does not count registers, and sees all memory at once.
        .Case<SetMaxRegistersOp, MBarrierFenceOp, AsyncProxyFenceOp>([&](auto) { return SmallVector<Value>(); })
        .Case<NamedBarrierOp>([&](auto barrier) {
          return call("named_barrier", {},
                      {barrier.getId(), constant(barrier.getThreads()), constant(barrier.getArriveOnly())});
        })
        .Case<MBarrierInitOp>([&](auto barrier) {
          return call("mbarrier_init", {}, {barrier.getBarrier(), constant(barrier.getCount())});
        })
        .Case<MBarrierExpectOp>([&](auto barrier) {
          return call("mbarrier_expect", {}, {barrier.getBarrier(), constant(barrier.getBytes())});
        })
        .Case<MBarrierArriveOp>([&](auto barrier) {
          Value predicate = LLVM::ZExtOp::create(b, loc, b.getI8Type(), barrier.getPredicate());
          return call("mbarrier_arrive", {}, {barrier.getBarrier(), predicate});
        })
        .Case<MBarrierWaitOp>(
            [&](auto barrier) { return call("mbarrier_wait", {}, {barrier.getBarrier(), barrier.getParity()}); })
        .Case<TmaLoadOp>([&](auto load) {
          for (auto [i, coordinate] : llvm::enumerate(load.getCoordinates()))
            LLVM::StoreOp::create(b, loc, coordinate, getWord(words, i));
          return call(
              "tma_load", {},
              {load.getMap(), load.getDestination(), load.getBarrier(), words, constant(load.getCoordinates().size())});
        })
        .Case<WgmmaOp>([&](auto product) { return lowerProduct(product); })
        .Case<WgmmaWaitOp>([&](auto wait) {
          storeAll(wait.getValues(), floats);
          call("wgmma_wait", {}, {constant(wait.getPending()), floats, constant(wait.getValues().size())});
          return loadWords(wait->getResultTypes(), 0, floats);
        })
        .Case<MmaOp>([&](auto mma) {
          for (auto [i, operand] : llvm::enumerate(mma->getOperands()))
            LLVM::StoreOp::create(b, loc, operand, getWord(words, i));
          bool isBF16 = cast<VectorType>(mma.getA0().getType()).getElementType().isBF16();
          call("mma", {}, {words, constant(isBF16)});
          return loadWords(mma->getResultTypes(), 6, words);
        })
        .Case<MmaTF32Op>([&](auto mma) {
          storeAll(mma->getOperands(), words);
          call("mma_tf32", {}, {words});
          return loadWords(mma->getResultTypes(), 6, words);
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

  Value getWord(Value array, int64_t index) {
    return LLVM::GEPOp::create(b, loc, pointer, b.getI32Type(), array,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  }

  void storeAll(ValueRange values, Value array) {
    for (auto [i, value] : llvm::enumerate(values))
      LLVM::StoreOp::create(b, loc, value, getWord(array, i));
  }

  SmallVector<Value> loadWords(TypeRange types, int64_t first, Value array) {
    SmallVector<Value> values;
    for (Type type : types)
      values.push_back(LLVM::LoadOp::create(b, loc, type, getWord(array, first++), /*alignment=*/4));
    return values;
  }

  /// One call for each instruction of the group; accumulators stay in their array from one to the next.
  SmallVector<Value> lowerProduct(WgmmaOp product) {
    storeAll(product.getInit(), floats);
    storeAll(product.getA(), pairs);
    Value zero = LLVM::ConstantOp::create(b, loc, b.getI64Type(), 0);
    bool inRegisters = !product.getA().empty();
    for (auto [step, bStep] : llvm::enumerate(product.getBSteps())) {
      bool accumulates = step != 0 || !product.getInit().empty();
      // gqa_emulated_wgmma_flags
      int64_t flags = (product.getElement().isBF16() ? 1 : 0) + (inRegisters ? 2 : 0) +
                      (product.getTransposeB() ? 4 : 0) + (accumulates ? 8 : 0);
      Value a =
          inRegisters ? zero : buildDescriptor(product.getADescriptor(), product.getASteps()[step], product.getAHigh());
      Value words = getWord(pairs, inRegisters ? 4 * step : 0);
      call("wgmma", {},
           {floats, words, a, buildDescriptor(product.getBDescriptor(), bStep, product.getBHigh()),
            constant(product.getN()), constant(flags)});
    }
    call("wgmma_commit", {}, {});
    return loadWords(product->getResultTypes(), 0, floats);
  }

  Value buildDescriptor(Value low, int64_t step, int64_t high) {
    Value word = LLVM::ZExtOp::create(b, loc, b.getI64Type(), LLVM::AddOp::create(b, loc, low, constant(step)));
    return LLVM::OrOp::create(b, loc, word, LLVM::ConstantOp::create(b, loc, b.getI64Type(), high << 32));
  }

  /// void @kernel_emulated(thread, parameters): what gqa_emulate_launch calls.
  void buildEntry() {
    b.setInsertionPointAfter(kernel);
    auto entry =
        func::FuncOp::create(b, loc, (kernel.getName() + "_emulated").str(), b.getFunctionType({pointer, pointer}, {}));
    b.setInsertionPointToStart(entry.addEntryBlock());
    SmallVector<Value> arguments = {entry.getArgument(0)};
    auto isMap = [&](unsigned i) {
      return static_cast<bool>(kernel.getArgAttr(i + 1, KernelOperands::kTensorMapAttr));
    };
    for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes().drop_front())) {
      Value slot = LLVM::GEPOp::create(b, loc, pointer, pointer, entry.getArgument(1),
                                       ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
      Value address = LLVM::LoadOp::create(b, loc, pointer, slot);
      // Tensor maps are passed by value, and so by the address of where they are.
      arguments.push_back(isMap(i) ? address : Value(LLVM::LoadOp::create(b, loc, type, address)));
    }
    func::CallOp::create(b, loc, kernel, arguments);
    func::ReturnOp::create(b, loc);
  }

  ModuleOp module;
  func::FuncOp kernel;
  OpBuilder b;
  Location loc;
  Type pointer;
  Value thread, words, floats, pairs;
};

struct LowerToEmulator : impl::LowerToEmulatorBase<LowerToEmulator> {
  void runOnOperation() override {
    for (func::FuncOp kernel : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      EmulatorLowering(getOperation(), kernel).lower();
  }
};

} // namespace
} // namespace mlir::gqa
