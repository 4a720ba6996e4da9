#include "passes/BF16AsIntegers.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {

namespace {

llvm::Type *getIntegerType(llvm::Type *type) {
  return type->getWithNewType(llvm::Type::getInt16Ty(type->getContext()));
}

void replace(llvm::Instruction &instruction, llvm::Value *value) {
  instruction.replaceAllUsesWith(value);
  instruction.eraseFromParent();
}

void loadIntegers(llvm::LoadInst &load) {
  llvm::IRBuilder<> builder(&load);
  llvm::LoadInst *integers =
      builder.CreateAlignedLoad(getIntegerType(load.getType()), load.getPointerOperand(), load.getAlign());
  integers->copyMetadata(load);
  replace(load, builder.CreateBitCast(integers, load.getType()));
}

void storeIntegers(llvm::StoreInst &store) {
  llvm::IRBuilder<> builder(&store);
  llvm::Value *value = store.getValueOperand();
  store.setOperand(0, builder.CreateBitCast(value, getIntegerType(value->getType())));
}

void shuffleIntegers(llvm::ShuffleVectorInst &shuffle) {
  llvm::IRBuilder<> builder(&shuffle);
  llvm::Type *type = getIntegerType(shuffle.getOperand(0)->getType());
  llvm::Value *left = builder.CreateBitCast(shuffle.getOperand(0), type);
  llvm::Value *right = builder.CreateBitCast(shuffle.getOperand(1), type);
  llvm::Value *result = builder.CreateShuffleVector(left, right, shuffle.getShuffleMask());
  replace(shuffle, builder.CreateBitCast(result, shuffle.getType()));
}

void insertInteger(llvm::InsertElementInst &insert) {
  llvm::IRBuilder<> builder(&insert);
  llvm::Value *vector = builder.CreateBitCast(insert.getOperand(0), getIntegerType(insert.getType()));
  llvm::Value *element = builder.CreateBitCast(insert.getOperand(1), builder.getInt16Ty());
  llvm::Value *result = builder.CreateInsertElement(vector, element, insert.getOperand(2));
  replace(insert, builder.CreateBitCast(result, insert.getType()));
}

void extractInteger(llvm::ExtractElementInst &extract) {
  llvm::IRBuilder<> builder(&extract);
  llvm::Value *vector = extract.getVectorOperand();
  vector = builder.CreateBitCast(vector, getIntegerType(vector->getType()));
  replace(extract,
          builder.CreateBitCast(builder.CreateExtractElement(vector, extract.getIndexOperand()), extract.getType()));
}

void selectIntegers(llvm::SelectInst &select) {
  llvm::IRBuilder<> builder(&select);
  llvm::Type *type = getIntegerType(select.getType());
  llvm::Value *ifTrue = builder.CreateBitCast(select.getTrueValue(), type);
  llvm::Value *ifFalse = builder.CreateBitCast(select.getFalseValue(), type);
  llvm::Value *result = builder.CreateSelect(select.getCondition(), ifTrue, ifFalse);
  replace(select, builder.CreateBitCast(result, select.getType()));
}

/// bf16 is the upper half of f32.
void extendIntegers(llvm::FPExtInst &extend) {
  llvm::IRBuilder<> builder(&extend);
  llvm::Type *wide = extend.getType()->getWithNewType(builder.getInt32Ty());
  llvm::Value *integers = builder.CreateBitCast(extend.getOperand(0), getIntegerType(extend.getSrcTy()));
  llvm::Value *result = builder.CreateShl(builder.CreateZExt(integers, wide), 16);
  replace(extend, builder.CreateBitCast(result, extend.getType()));
}

void mergeIntegers(llvm::PHINode &phi) {
  llvm::Type *type = getIntegerType(phi.getType());
  llvm::IRBuilder<> builder(&phi);
  llvm::PHINode *integers = builder.CreatePHI(type, phi.getNumIncomingValues());
  builder.SetInsertPoint(phi.getParent(), phi.getParent()->getFirstInsertionPt());
  phi.replaceAllUsesWith(builder.CreateBitCast(integers, phi.getType()));
  for (unsigned i = 0; i < phi.getNumIncomingValues(); ++i) {
    builder.SetInsertPoint(phi.getIncomingBlock(i)->getTerminator());
    integers->addIncoming(builder.CreateBitCast(phi.getIncomingValue(i), type), phi.getIncomingBlock(i));
  }
  phi.eraseFromParent();
}

/// Integers that became bf16 only to become integers again stay integers, in other blocks, too.
void foldBitCasts(llvm::Function &function) {
  for (llvm::Instruction &instruction : llvm::make_early_inc_range(llvm::instructions(function))) {
    auto *toIntegers = llvm::dyn_cast<llvm::BitCastInst>(&instruction);
    auto *fromIntegers = toIntegers ? llvm::dyn_cast<llvm::BitCastInst>(toIntegers->getOperand(0)) : nullptr;
    if (fromIntegers && fromIntegers->getSrcTy() == toIntegers->getDestTy())
      replace(*toIntegers, fromIntegers->getOperand(0));
  }
}

/// Moves what `instruction` moves as integers, if `isMoved` says so of the type.
void moveAsIntegers(llvm::Instruction &instruction, llvm::function_ref<bool(llvm::Type *)> isMoved) {
  if (auto *load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) {
    if (isMoved(load->getType()))
      loadIntegers(*load);
  } else if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&instruction)) {
    if (isMoved(store->getValueOperand()->getType()))
      storeIntegers(*store);
  } else if (auto *shuffle = llvm::dyn_cast<llvm::ShuffleVectorInst>(&instruction)) {
    if (isMoved(shuffle->getOperand(0)->getType()) || isMoved(shuffle->getType()))
      shuffleIntegers(*shuffle);
  } else if (auto *insert = llvm::dyn_cast<llvm::InsertElementInst>(&instruction)) {
    if (isMoved(insert->getType()))
      insertInteger(*insert);
  } else if (auto *extract = llvm::dyn_cast<llvm::ExtractElementInst>(&instruction)) {
    if (isMoved(extract->getVectorOperandType()))
      extractInteger(*extract);
  } else if (auto *select = llvm::dyn_cast<llvm::SelectInst>(&instruction)) {
    if (isMoved(select->getType()))
      selectIntegers(*select);
  } else if (auto *extend = llvm::dyn_cast<llvm::FPExtInst>(&instruction)) {
    if (isMoved(extend->getSrcTy()) && extend->getType()->getScalarType()->isFloatTy())
      extendIntegers(*extend);
  } else if (auto *phi = llvm::dyn_cast<llvm::PHINode>(&instruction)) {
    if (isMoved(phi->getType()))
      mergeIntegers(*phi);
  }
}

} // namespace

void moveBF16AsIntegers(llvm::Module &module, bool hasBF16) {
  auto isMoved = [&](llvm::Type *type) {
    if (!type->getScalarType()->isBFloatTy())
      return false;
    auto *vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
    return !hasBF16 || (vector && !llvm::isPowerOf2_32(vector->getNumElements()));
  };
  for (llvm::Function &function : module) {
    for (llvm::Instruction &instruction : llvm::make_early_inc_range(llvm::instructions(function)))
      moveAsIntegers(instruction, isMoved);
    foldBitCasts(function);
  }
}

} // namespace mlir::gqa
