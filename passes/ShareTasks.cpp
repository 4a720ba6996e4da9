#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SHARETASKS
#include "passes/Passes.h.inc"

namespace {

/// Functions that differ in nothing but their names and where they come from.
struct SameCode : llvm::DenseMapInfo<func::FuncOp> {
  static constexpr auto kFlags = OperationEquivalence::IgnoreLocations;

  static unsigned getHashValue(func::FuncOp function) {
    llvm::hash_code hash = llvm::hash_value(function.getFunctionType().getAsOpaquePointer());
    function.getBody().walk([&](Operation *op) {
      hash = llvm::hash_combine(hash, OperationEquivalence::computeHash(op, OperationEquivalence::ignoreHashValue,
                                                                        OperationEquivalence::ignoreHashValue, kFlags));
    });
    return hash;
  }

  static bool isEqual(func::FuncOp a, func::FuncOp b) {
    if (a == b)
      return true;
    auto isKey = [](func::FuncOp f) { return f != getEmptyKey() && f != getTombstoneKey(); };
    return isKey(a) && isKey(b) && a.getFunctionType() == b.getFunctionType() &&
           OperationEquivalence::isRegionEquivalentTo(&a.getBody(), &b.getBody(), kFlags);
  }
};

struct ShareTasks : impl::ShareTasksBase<ShareTasks> {
  void runOnOperation() override {
    llvm::DenseSet<func::FuncOp, SameCode> kept;
    SmallVector<std::pair<func::FuncOp, StringAttr>> copies; // and the name of what stands for them
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!function.isPrivate() || function.isExternal())
        continue;
      auto [found, isNew] = kept.insert(function);
      if (!isNew)
        copies.emplace_back(function, found->getSymNameAttr());
    }
    SymbolTableCollection tables;
    SymbolUserMap users(tables, getOperation());
    for (auto [copy, name] : copies)
      users.replaceAllUsesWith(copy, name);
    for (auto [copy, name] : copies)
      copy.erase();
  }
};

} // namespace
} // namespace mlir::gqa
