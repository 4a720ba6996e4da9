#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

namespace mlir::gqa {

Program::Program(ModuleOp module) : module(module) {
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPublic())
      for (Type type : function.getArgumentTypes()) {
        auto tensor = dyn_cast<RankedTensorType>(type);
        permutations.push_back(llvm::to_vector(llvm::seq<int64_t>(0, tensor ? tensor.getRank() : 0)));
      }
}

SmallVector<int64_t> drawPermutation(int64_t rank, Random &random) {
  std::vector<int64_t> permutation(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i)
    permutation[static_cast<size_t>(i)] = i;
  random.shuffle(permutation);
  return SmallVector<int64_t>(permutation.begin(), permutation.end());
}

Value buildTranspose(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> permutation) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, value);
  Value empty = tensor::EmptyOp::create(b, loc, applyPermutation(sizes, permutation),
                                        cast<RankedTensorType>(value.getType()).getElementType());
  return linalg::TransposeOp::create(b, loc, value, empty, permutation)->getResult(0);
}

} // namespace mlir::gqa
