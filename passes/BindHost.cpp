#include "passes/HostTable.h"
#include "passes/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_BINDHOST
#include "passes/Passes.h.inc"

namespace {

constexpr StringLiteral kWrapperPrefix = "_mlir_ciface_";
/// Functions that have the names of their entries already.
constexpr StringLiteral kHelperPrefixes[] = {"gqa_shape_", "gqa_workspace_"};
constexpr StringLiteral kRunPrefix = "gqa_run_";

/// Alignment of what the host allocates: a cache line, and a 512-bit vector.
constexpr int64_t kAlignment = 64;

/// A task gets its frame and its number and returns nothing.
bool isTask(LLVM::LLVMFuncOp function) {
  return isa<LLVM::LLVMVoidType>(function.getFunctionType().getReturnType()) && function.getNumArguments() == 2;
}

/// The functions that allocate: entries, whose first argument is the host, and tasks, whose frame leads to it.
struct HostAccess {
  OpBuilder &b;
  LLVM::LLVMFuncOp function;
  Location loc;

  Value getHost() {
    Value first = function.getArgument(0);
    return isTask(function) ? loadFrameField(first, kFrameHostField) : first;
  }

  /// Ends the function with `status`.
  void buildFailure(EntryStatus status) {
    Value code = LLVM::ConstantOp::create(b, loc, b.getI32Type(), static_cast<int32_t>(status));
    if (!isTask(function)) {
      LLVM::ReturnOp::create(b, loc, code);
      return;
    }
    LLVM::StoreOp::create(b, loc, code, loadFrameField(function.getArgument(0), kFrameStatusField));
    LLVM::ReturnOp::create(b, loc, ValueRange{});
  }

private:
  Value loadFrameField(Value frame, unsigned field) {
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Value address =
        LLVM::GEPOp::create(b, loc, pointer, pointer, frame, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(field)});
    return LLVM::LoadOp::create(b, loc, pointer, address);
  }
};

struct BindHost : impl::BindHostBase<BindHost> {
  void runOnOperation() override {
    SmallVector<LLVM::LLVMFuncOp> functions = llvm::to_vector(getOperation().getOps<LLVM::LLVMFuncOp>());
    OpBuilder builder(&getContext());
    for (LLVM::LLVMFuncOp function : functions) {
      if (function.isExternal())
        continue;
      bindCalls(builder, function);
      if (function.getName().starts_with(kWrapperPrefix))
        buildPackedEntry(builder, function);
      function.setLinkage(LLVM::Linkage::Internal);
      function.removeSymVisibilityAttr();
    }
    for (StringRef name : {"malloc", "free", "puts", "abort"})
      if (auto function = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name))
        function.erase();
  }

private:
  void bindCalls(OpBuilder &b, LLVM::LLVMFuncOp function) {
    SmallVector<LLVM::CallOp> calls;
    function.walk([&](LLVM::CallOp call) { calls.push_back(call); });
    for (LLVM::CallOp call : calls) {
      if (call.getCallee() == "malloc")
        bindAllocation(b, function, call);
      else if (call.getCallee() == "free")
        bindDeallocation(b, function, call);
      else if (call.getCallee() == "puts")
        bindMessage(b, function, call);
      else if (call.getCallee() == "abort")
        bindAbort(b, function, call);
    }
  }

  void bindAllocation(OpBuilder &b, LLVM::LLVMFuncOp function, LLVM::CallOp call) {
    b.setInsertionPoint(call);
    HostAccess access{b, function, call.getLoc()};
    Value alignment = LLVM::ConstantOp::create(b, call.getLoc(), b.getI64Type(), kAlignment);
    LLVM::CallOp allocate = callHost(b, call.getLoc(), access.getHost(), HostField::allocate,
                                     call.getResult().getType(), {call.getOperand(0), alignment});
    Value null = LLVM::ZeroOp::create(b, call.getLoc(), call.getResult().getType());
    Value failed = LLVM::ICmpOp::create(b, call.getLoc(), LLVM::ICmpPredicate::eq, allocate.getResult(), null);
    call.getResult().replaceAllUsesWith(allocate.getResult());

    Block *block = call->getBlock();
    Block *rest = block->splitBlock(call);
    Block *failure = b.createBlock(rest);
    access.buildFailure(EntryStatus::outOfMemory);
    b.setInsertionPointToEnd(block);
    LLVM::CondBrOp::create(b, call.getLoc(), failed, failure, rest);
    call.erase();
  }

  void bindDeallocation(OpBuilder &b, LLVM::LLVMFuncOp function, LLVM::CallOp call) {
    b.setInsertionPoint(call);
    HostAccess access{b, function, call.getLoc()};
    callHost(b, call.getLoc(), access.getHost(), HostField::deallocate, /*result=*/{}, call.getOperand(0));
    call.erase();
  }

  /// What upstream makes of an assertion, a message printed and the end of the process, becomes a message for the host
  /// and a status.
  void bindMessage(OpBuilder &b, LLVM::LLVMFuncOp function, LLVM::CallOp call) {
    b.setInsertionPoint(call);
    HostAccess access{b, function, call.getLoc()};
    callHost(b, call.getLoc(), access.getHost(), HostField::reportError, /*result=*/{}, call.getOperand(0));
    call.erase();
  }

  void bindAbort(OpBuilder &b, LLVM::LLVMFuncOp function, LLVM::CallOp call) {
    Operation *unreachable = call->getBlock()->getTerminator();
    b.setInsertionPoint(call);
    HostAccess{b, function, call.getLoc()}.buildFailure(EntryStatus::executionFailed);
    call.erase();
    unreachable->erase();
  }

  /// i32 @gqa_run_f(host, args), @gqa_shape_f(host, args) or @gqa_workspace_f(host, args) around @_mlir_ciface_f(host,
  /// descriptor, ...).
  void buildPackedEntry(OpBuilder &b, LLVM::LLVMFuncOp wrapper) {
    StringRef name = wrapper.getName().drop_front(kWrapperPrefix.size());
    bool isHelper = llvm::any_of(kHelperPrefixes, [&](StringRef prefix) { return name.starts_with(prefix); });
    if (isHelper) {
      // The plain function gives its name to the entry.
      auto plain = getOperation().lookupSymbol<LLVM::LLVMFuncOp>(name);
      std::string inner = (name + "_body").str();
      (void)SymbolTable::replaceAllSymbolUses(plain, b.getStringAttr(inner), getOperation());
      plain.setSymName(inner);
    }
    std::string entryName = isHelper ? name.str() : (kRunPrefix + name).str();
    Location loc = wrapper.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    b.setInsertionPointAfter(wrapper);
    auto entry =
        LLVM::LLVMFuncOp::create(b, loc, entryName, LLVM::LLVMFunctionType::get(b.getI32Type(), {pointer, pointer}));
    b.setInsertionPointToStart(entry.addEntryBlock(b));
    SmallVector<Value> operands = {entry.getArgument(0)};
    for (int32_t i = 0, count = wrapper.getNumArguments() - 1; i < count; ++i) {
      Value address = LLVM::GEPOp::create(b, loc, pointer, pointer, entry.getArgument(1), ArrayRef<LLVM::GEPArg>{i});
      operands.push_back(LLVM::LoadOp::create(b, loc, pointer, address));
    }
    auto call = LLVM::CallOp::create(b, loc, wrapper, operands);
    LLVM::ReturnOp::create(b, loc, call.getResult());
  }
};

} // namespace
} // namespace mlir::gqa
