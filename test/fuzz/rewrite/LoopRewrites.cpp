#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"

namespace mlir::gqa {

namespace {

SmallVector<unsigned> toUnsigned(ArrayRef<int64_t> values) {
  return SmallVector<unsigned>(values.begin(), values.end());
}

bool interchangeLoops(Program &program, Random &random) {
  auto op =
      pickOp<linalg::GenericOp>(program.module, random, [](linalg::GenericOp op) { return op.getNumLoops() > 1; });
  if (!op)
    return false;
  IRRewriter rewriter(op);
  return succeeded(linalg::interchangeGenericOp(rewriter, op, toUnsigned(drawPermutation(op.getNumLoops(), random))));
}

/// Swaps the first input with another one: factors of a contraction among them.
bool swapInputs(Program &program, Random &random) {
  auto op =
      pickOp<linalg::GenericOp>(program.module, random, [](linalg::GenericOp op) { return op.getNumDpsInputs() > 1; });
  if (!op)
    return false;
  auto other = static_cast<unsigned>(random.between(1, op.getNumDpsInputs() - 1));
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  std::swap(maps[0], maps[other]);
  Value first = op->getOperand(0);
  op->setOperand(0, op->getOperand(other));
  op->setOperand(other, first);
  Block *body = op.getBody();
  Location loc = op.getLoc();
  BlockArgument left = body->insertArgument(0u, body->getArgument(other).getType(), loc);
  body->getArgument(other + 1).replaceAllUsesWith(left);
  BlockArgument right = body->insertArgument(other + 1, body->getArgument(1).getType(), loc);
  body->getArgument(1).replaceAllUsesWith(right);
  body->eraseArgument(other + 2);
  body->eraseArgument(1);
  op.setIndexingMapsAttr(OpBuilder(op).getAffineMapArrayAttr(maps));
  return true;
}

AffineMap permuteResults(AffineMap map, ArrayRef<int64_t> permutation) {
  SmallVector<AffineExpr> results = applyPermutation(SmallVector<AffineExpr>(map.getResults()), permutation);
  return AffineMap::get(map.getNumDims(), 0, results, map.getContext());
}

/// An input comes transposed, and its map takes that back.
bool transposeInput(Program &program, Random &random) {
  SmallVector<std::pair<linalg::GenericOp, unsigned>> inputs;
  program.module.walk([&](linalg::GenericOp op) {
    for (OpOperand *input : op.getDpsInputOperands())
      if (auto type = dyn_cast<RankedTensorType>(input->get().getType()); type && type.getRank() > 1)
        inputs.emplace_back(op, input->getOperandNumber());
  });
  auto input = pickFrom(ArrayRef<std::pair<linalg::GenericOp, unsigned>>(inputs), random);
  if (!input)
    return false;
  auto [op, number] = *input;
  OpBuilder b(op);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<int64_t> permutation = drawPermutation(maps[number].getNumResults(), random);
  op->setOperand(number, buildTranspose(b, op.getLoc(), op->getOperand(number), permutation));
  maps[number] = permuteResults(maps[number], permutation);
  op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  return true;
}

/// A result is computed transposed, and then turned back.
bool transposeResult(Program &program, Random &random) {
  auto op = pickOp<linalg::GenericOp>(program.module, random, [](linalg::GenericOp op) {
    return op->getNumResults() == 1 && cast<RankedTensorType>(op->getResult(0).getType()).getRank() > 1;
  });
  if (!op)
    return false;
  OpBuilder b(op);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<int64_t> permutation = drawPermutation(maps.back().getNumResults(), random);
  Value init = buildTranspose(b, op.getLoc(), op.getDpsInits()[0], permutation);
  maps.back() = permuteResults(maps.back(), permutation);
  auto turned = cast<linalg::GenericOp>(b.clone(*op));
  turned.getDpsInitsMutable().assign(init);
  turned->getResult(0).setType(init.getType());
  turned.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  Value result = buildTranspose(b, op.getLoc(), turned->getResult(0), invertPermutationVector(permutation));
  op->getResult(0).replaceAllUsesWith(result);
  op.erase();
  return true;
}

/// A fill as a generic without inputs, or as a constant.
bool changeFill(Program &program, Random &random) {
  auto op =
      pickOp<linalg::FillOp>(program.module, random, [](linalg::FillOp op) { return op.hasPureTensorSemantics(); });
  if (!op)
    return false;
  OpBuilder b(op);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  TypedAttr element;
  Value result;
  if (type.hasStaticShape() && matchPattern(op.getInputs()[0], m_Constant(&element)) && random.chance(50)) {
    result = arith::ConstantOp::create(b, op.getLoc(), DenseElementsAttr::get(type, Attribute(element)));
  } else {
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    result =
        linalg::GenericOp::create(
            b, op.getLoc(), type, ValueRange{}, op.getOutputs(), {b.getMultiDimIdentityMap(type.getRank())}, iterators,
            [&](OpBuilder &nested, Location l, ValueRange) { linalg::YieldOp::create(nested, l, op.getInputs()); })
            .getResult(0);
  }
  op->getResult(0).replaceAllUsesWith(result);
  op.erase();
  return true;
}

} // namespace

void addLoopRewrites(std::vector<Rewrite> &rewrites) {
  rewrites.push_back({"interchange-loops", interchangeLoops});
  rewrites.push_back({"swap-inputs", swapInputs});
  rewrites.push_back({"transpose-input", transposeInput});
  rewrites.push_back({"transpose-result", transposeResult});
  rewrites.push_back({"change-fill", changeFill});
}

} // namespace mlir::gqa
