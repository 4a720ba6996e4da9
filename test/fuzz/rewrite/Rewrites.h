#ifndef GQA_TEST_FUZZ_REWRITE_REWRITES_H
#define GQA_TEST_FUZZ_REWRITE_REWRITES_H

#include "test/fuzz/Random.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::gqa {

using ::gqa::Random;

/// A module under change. The public function's arguments may come to be transposed: argument `i` is then
/// `transpose(original, permutations[i])`, as NumPy says it.
struct Program {
  ModuleOp module;
  SmallVector<SmallVector<int64_t>> permutations;

  explicit Program(ModuleOp module);
};

/// A change that keeps what the public function computes, but for roundings. `apply` returns false if the program has
/// no place for it; it is then unchanged.
struct Rewrite {
  std::string name;
  std::function<bool(Program &, Random &)> apply;
};

/// Upstream's own passes: canonicalize, cse, inline, named ops to generics and back, fusion, unit dimensions, TOSA.
void addPassRewrites(std::vector<Rewrite> &rewrites);
/// In the bodies of linalg ops: operands commuted, comparisons turned, constants split, casts put in.
void addScalarRewrites(std::vector<Rewrite> &rewrites);
/// Of linalg ops: loops interchanged, inputs reordered, operands and results transposed, fills in other forms.
void addLoopRewrites(std::vector<Rewrite> &rewrites);
/// Between ops: transpositions, reshapes, copies and casts that are undone.
void addTensorRewrites(std::vector<Rewrite> &rewrites);
/// Of functions: an op outlined to a function, an argument that comes in another layout.
void addFunctionRewrites(std::vector<Rewrite> &rewrites);

/// One of `values`, or nothing if there is none.
template <typename T> std::optional<T> pickFrom(ArrayRef<T> values, Random &random) {
  if (values.empty())
    return std::nullopt;
  return values[static_cast<size_t>(random.between(0, static_cast<int64_t>(values.size()) - 1))];
}

/// One of the ops of kind `OpTy` for which `isGood` holds.
template <typename OpTy> OpTy pickOp(ModuleOp module, Random &random, function_ref<bool(OpTy)> isGood) {
  SmallVector<OpTy> ops;
  module.walk([&](OpTy op) {
    if (isGood(op))
      ops.push_back(op);
  });
  return pickFrom(ArrayRef<OpTy>(ops), random).value_or(OpTy());
}

SmallVector<int64_t> drawPermutation(int64_t rank, Random &random);

/// `linalg.transpose`: dimension `i` of the result is dimension `permutation[i]` of `value`.
Value buildTranspose(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> permutation);

} // namespace mlir::gqa

#endif // GQA_TEST_FUZZ_REWRITE_REWRITES_H
