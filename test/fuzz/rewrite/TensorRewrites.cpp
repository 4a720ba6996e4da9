#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

namespace mlir::gqa {

namespace {

/// A use of a computed tensor of at least `rank` dimensions by an op that takes any tensor of that type.
OpOperand *pickUse(Program &program, Random &random, int64_t rank) {
  SmallVector<OpOperand *> uses;
  auto add = [&](OpOperand &use) {
    auto type = dyn_cast<RankedTensorType>(use.get().getType());
    Operation *producer = use.get().getDefiningOp();
    bool isComputed = !producer || !(producer->hasTrait<OpTrait::ConstantLike>() || isa<tensor::EmptyOp>(producer));
    if (type && type.getRank() >= rank && isComputed)
      uses.push_back(&use);
  };
  program.module.walk([&](Operation *op) {
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
      for (OpOperand *input : linalgOp.getDpsInputOperands())
        add(*input);
    if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, func::ReturnOp>(op))
      for (OpOperand &use : op->getOpOperands())
        add(use);
  });
  return pickFrom(ArrayRef<OpOperand *>(uses), random).value_or(nullptr);
}

bool transposeTwice(Program &program, Random &random) {
  OpOperand *use = pickUse(program, random, 2);
  if (!use)
    return false;
  OpBuilder b(use->getOwner());
  Location loc = use->getOwner()->getLoc();
  SmallVector<int64_t> permutation = drawPermutation(cast<RankedTensorType>(use->get().getType()).getRank(), random);
  Value turned = buildTranspose(b, loc, use->get(), permutation);
  use->set(buildTranspose(b, loc, turned, invertPermutationVector(permutation)));
  return true;
}

/// Two static dimensions merged and split again.
bool collapseAndExpand(Program &program, Random &random) {
  OpOperand *use = pickUse(program, random, 2);
  if (!use)
    return false;
  auto type = cast<RankedTensorType>(use->get().getType());
  int64_t at = random.between(0, type.getRank() - 2);
  if (!type.hasStaticShape())
    return false;
  SmallVector<ReassociationIndices> groups;
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (dim == at + 1)
      groups.back().push_back(dim);
    else
      groups.push_back({dim});
  OpBuilder b(use->getOwner());
  Location loc = use->getOwner()->getLoc();
  Value collapsed = tensor::CollapseShapeOp::create(b, loc, use->get(), groups);
  use->set(tensor::ExpandShapeOp::create(b, loc, type, collapsed, groups));
  return true;
}

/// One static dimension split, or a unit dimension put in, and taken back; in between a transposition that is undone.
bool expandAndCollapse(Program &program, Random &random) {
  OpOperand *use = pickUse(program, random, 1);
  if (!use)
    return false;
  auto type = cast<RankedTensorType>(use->get().getType());
  int64_t at = random.between(0, type.getRank() - 1), extent = type.getDimSize(at), inner = 1;
  if (!ShapedType::isDynamic(extent) && extent > 0)
    for (int64_t factor : {2, 3, 4, 8})
      if (extent % factor == 0 && random.chance(40))
        inner = factor;
  bool isUnitFirst = inner == 1 && random.chance(50);
  OpBuilder b(use->getOwner());
  Location loc = use->getOwner()->getLoc();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, use->get()), expanded;
  SmallVector<int64_t> shape;
  SmallVector<ReassociationIndices> groups;
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    auto size = static_cast<int64_t>(shape.size());
    if (dim != at) {
      shape.push_back(type.getDimSize(dim));
      expanded.push_back(sizes[dim]);
      groups.push_back({size});
      continue;
    }
    OpFoldResult whole = inner == 1 ? sizes[dim] : OpFoldResult(b.getIndexAttr(extent / inner));
    int64_t outer = inner == 1 ? extent : extent / inner;
    llvm::append_range(shape, isUnitFirst ? ArrayRef<int64_t>{1, outer} : ArrayRef<int64_t>{outer, inner});
    expanded.push_back(isUnitFirst ? b.getIndexAttr(1) : whole);
    expanded.push_back(isUnitFirst ? whole : OpFoldResult(b.getIndexAttr(inner)));
    groups.push_back({size, size + 1});
  }
  auto wide = RankedTensorType::get(shape, type.getElementType());
  Value value = tensor::ExpandShapeOp::create(b, loc, wide, use->get(), groups, expanded);
  if (random.chance(50)) {
    SmallVector<int64_t> permutation = drawPermutation(wide.getRank(), random);
    value = buildTranspose(b, loc, buildTranspose(b, loc, value, permutation), invertPermutationVector(permutation));
  }
  use->set(tensor::CollapseShapeOp::create(b, loc, type, value, groups));
  return true;
}

/// A copy; for floats perhaps through a wider type.
bool copy(Program &program, Random &random) {
  OpOperand *use = pickUse(program, random, 0);
  if (!use)
    return false;
  OpBuilder b(use->getOwner());
  Location loc = use->getOwner()->getLoc();
  auto type = cast<RankedTensorType>(use->get().getType());
  bool isFloat = type.getElementType().isF16() || type.getElementType().isBF16();
  auto build = [&](Value value, Type element) {
    Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, value), element);
    SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(type.getRank()));
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    auto op = linalg::GenericOp::create(
        b, loc, empty.getType(), value, empty, maps, iterators, [&](OpBuilder &nested, Location l, ValueRange args) {
          Value scalar = args[0];
          if (scalar.getType().getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
            scalar = arith::ExtFOp::create(nested, l, element, scalar);
          else if (scalar.getType() != element)
            scalar = arith::TruncFOp::create(nested, l, element, scalar);
          linalg::YieldOp::create(nested, l, scalar);
        });
    return op.getResult(0);
  };
  if (type.getElementType().isIndex())
    return false;
  bool isWidened = isFloat && random.chance(50);
  Value value = isWidened ? build(use->get(), b.getF32Type()) : use->get();
  use->set(build(value, type.getElementType()));
  return true;
}

} // namespace

void addTensorRewrites(std::vector<Rewrite> &rewrites) {
  rewrites.push_back({"transpose-twice", transposeTwice});
  rewrites.push_back({"collapse-and-expand", collapseAndExpand});
  rewrites.push_back({"expand-and-collapse", expandAndCollapse});
  rewrites.push_back({"copy", copy});
}

} // namespace mlir::gqa
