#include "passes/ShuffleAsIntegers.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {

namespace {

bool isOddBF16(llvm::Type *type) {
  auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  return vector && vector->getElementType()->isBFloatTy() && !llvm::isPowerOf2_32(vector->getNumElements());
}

void shuffleAsIntegers(llvm::ShuffleVectorInst &shuffle) {
  llvm::IRBuilder<> builder(&shuffle);
  auto *type = llvm::cast<llvm::FixedVectorType>(shuffle.getOperand(0)->getType());
  auto *integers = llvm::FixedVectorType::get(builder.getInt16Ty(), type->getNumElements());
  llvm::Value *left = builder.CreateBitCast(shuffle.getOperand(0), integers);
  llvm::Value *right = builder.CreateBitCast(shuffle.getOperand(1), integers);
  llvm::Value *result = builder.CreateShuffleVector(left, right, shuffle.getShuffleMask());
  shuffle.replaceAllUsesWith(builder.CreateBitCast(result, shuffle.getType()));
  shuffle.eraseFromParent();
}

} // namespace

void shuffleOddBF16AsIntegers(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::make_early_inc_range(llvm::instructions(function)))
      if (auto *shuffle = llvm::dyn_cast<llvm::ShuffleVectorInst>(&instruction))
        if (isOddBF16(shuffle->getOperand(0)->getType()) || isOddBF16(shuffle->getType()))
          shuffleAsIntegers(*shuffle);
}

} // namespace mlir::gqa
