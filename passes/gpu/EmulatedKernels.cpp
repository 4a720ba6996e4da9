#include "passes/gpu/EmulatedKernels.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::gqa {

/// What LowerToEmulator calls the entry of a kernel.
constexpr llvm::StringLiteral kSuffix = "_emulated";

/// The kernels, and what they call and read, in turn.
static llvm::SetVector<Operation *> collectKernels(ModuleOp emulated) {
  SymbolTable symbols(emulated);
  llvm::SetVector<Operation *> needed;
  for (auto function : emulated.getOps<LLVM::LLVMFuncOp>())
    if (function.getName().ends_with(kSuffix))
      needed.insert(function);
  for (size_t next = 0; next < needed.size(); ++next)
    if (std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(needed[next]))
      for (const SymbolTable::SymbolUse &use : *uses)
        if (Operation *used = symbols.lookup(use.getSymbolRef().getLeafReference()))
          needed.insert(used);
  return needed;
}

llvm::Error addEmulatedKernels(ModuleOp module, ModuleOp emulated) {
  SymbolTable symbols(module);
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  for (Operation *op : collectKernels(emulated)) {
    auto name = SymbolTable::getSymbolName(op);
    if (Operation *other = symbols.lookup(name)) {
      auto function = dyn_cast<LLVM::LLVMFuncOp>(other);
      if (function && function.isExternal())
        continue;
      return llvm::createStringError("'" + name.getValue() + "' is in host code and in emulated kernels");
    }
    Operation *copy = b.clone(*op);
    if (!name.getValue().ends_with(kSuffix))
      continue;
    cast<LLVM::LLVMFuncOp>(copy).setLinkage(LLVM::Linkage::External);
    SymbolTable::setSymbolVisibility(copy, SymbolTable::Visibility::Public);
  }
  return llvm::Error::success();
}

} // namespace mlir::gqa
