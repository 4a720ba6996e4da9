#include "passes/raise/Arrangement.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa::raise {

SmallVector<Loop> Arrangement::getLoops() const {
  SmallVector<Loop> loops;
  for (ArrayRef<Loop> group : dims)
    loops.append(group.begin(), group.end());
  return loops;
}

SmallVector<int64_t> Arrangement::getGroupSizes() const {
  return llvm::map_to_vector(dims, [](const SmallVector<Loop> &group) { return int64_t(group.size()); });
}

std::optional<SmallVector<int64_t>> groupLoops(ArrayRef<Loop> rest, ArrayRef<int64_t> shape, const Loops &loops) {
  SmallVector<int64_t> sizes;
  for (int64_t extent : shape) {
    sizes.push_back(0);
    for (int64_t left = extent; left != 1; ++sizes.back()) {
      if (rest.empty())
        return std::nullopt;
      int64_t next = loops.getExtent(rest.front());
      bool isDynamic = ShapedType::isDynamic(left) || ShapedType::isDynamic(next);
      if (isDynamic ? next != left : next == 0 || left % next != 0)
        return std::nullopt;
      left = isDynamic ? 1 : left / next;
      rest = rest.drop_front();
    }
  }
  return rest.empty() ? std::optional(sizes) : std::nullopt;
}

/// The permutation that `op` is, as the position in its operand of each dimension of its result.
static std::optional<SmallVector<int64_t>> getPermutation(Operation *op) {
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return llvm::to_vector(transpose.getPermutation());
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInputs() != 1 || generic.getNumDpsInits() != 1 ||
      generic.getBlock()->getTerminator()->getOperand(0) != generic.getBlock()->getArgument(0))
    return std::nullopt;
  AffineMap input = generic.getIndexingMapsArray()[0], result = generic.getIndexingMapsArray()[1];
  if (!input.isPermutation() || !result.isPermutation())
    return std::nullopt;
  return llvm::map_to_vector(result.getResults(),
                             [&](AffineExpr dim) { return int64_t(*input.getResultPosition(dim)); });
}

static std::optional<Arrangement> rearrange(const Arrangement &arrangement, Operation *op, const Loops &loops) {
  Arrangement next{op->getResult(0), {}};
  if (std::optional<SmallVector<int64_t>> permutation = getPermutation(op)) {
    for (int64_t dim : *permutation)
      next.dims.push_back(arrangement.dims[dim]);
    return next;
  }
  if (!isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    return std::nullopt;
  SmallVector<Loop> all = arrangement.getLoops();
  ArrayRef<Loop> rest = all;
  std::optional<SmallVector<int64_t>> sizes =
      groupLoops(rest, cast<RankedTensorType>(next.tensor.getType()).getShape(), loops);
  if (!sizes)
    return std::nullopt;
  for (int64_t size : *sizes) {
    next.dims.emplace_back(rest.take_front(size));
    rest = rest.drop_front(size);
  }
  return next;
}

SmallVector<Arrangement> followArrangements(const Arrangement &first, const Loops &loops) {
  SmallVector<Arrangement> arrangements = {first};
  while (true) {
    Value tensor = arrangements.back().tensor;
    if (!tensor.hasOneUse())
      return arrangements;
    OpOperand &use = *tensor.use_begin();
    bool isSource = use.getOperandNumber() == 0 && use.getOwner()->getNumResults() == 1 &&
                    use.getOwner()->getBlock() == tensor.getParentBlock();
    std::optional<Arrangement> next = isSource ? rearrange(arrangements.back(), use.getOwner(), loops) : std::nullopt;
    if (!next)
      return arrangements;
    arrangements.push_back(*next);
  }
}

} // namespace mlir::gqa::raise
