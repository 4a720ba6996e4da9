#include "passes/LinalgRoles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"

namespace mlir::gqa {

namespace {

/// The block argument that `value` is, if need be through widening conversions.
BlockArgument getWidenedArgument(Value value) {
  while (Operation *widening = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::SIToFPOp>(widening))
      break;
    value = widening->getOperand(0);
  }
  return dyn_cast<BlockArgument>(value);
}

/// The loop with the largest extent, dynamic ones first, later ones before earlier ones.
unsigned getLargest(ArrayRef<unsigned> loops, ArrayRef<int64_t> extents) {
  auto rank = [&](unsigned loop) {
    return ShapedType::isDynamic(extents[loop]) ? std::numeric_limits<int64_t>::max() : extents[loop];
  };
  unsigned largest = loops.front();
  for (unsigned loop : loops)
    if (rank(loop) >= rank(largest))
      largest = loop;
  return largest;
}

} // namespace

static bool isFloat(Type type) { return type.isF32() || type.isF16() || type.isBF16(); }

bool isFloatContraction(linalg::LinalgOp op) {
  return isWideningContraction(op) &&
         llvm::all_of(op.getDpsInputs(), [](Value input) { return isFloat(getElementTypeOrSelf(input)); });
}

bool isWideningContraction(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0 ||
      !llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isProjectedPermutation(); }) ||
      !llvm::all_of(op->getOperandTypes(), llvm::IsaPred<RankedTensorType>))
    return false;
  auto isNarrow = [](Value input) {
    Type type = getElementTypeOrSelf(input);
    return isFloat(type) || isa<Float8E4M3FNType>(type) || type.isInteger(8);
  };
  if (!llvm::all_of(op.getDpsInputs(), isNarrow) || !isFloat(getElementTypeOrSelf(op.getDpsInits()[0])))
    return false;
  Block *body = op.getBlock();
  auto sum = body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!sum)
    return false;
  for (auto [first, second] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    auto product = second.getDefiningOp<arith::MulFOp>();
    if (first != body->getArgument(2) || !product)
      continue;
    BlockArgument lhs = getWidenedArgument(product.getLhs()), rhs = getWidenedArgument(product.getRhs());
    return lhs && rhs && lhs.getArgNumber() + rhs.getArgNumber() == 1;
  }
  return false;
}

bool readsBackwards(linalg::LinalgOp op) {
  auto isNegation = [](AffineExpr expr) {
    auto product = dyn_cast<AffineBinaryOpExpr>(expr);
    auto factor = product && product.getKind() == AffineExprKind::Mul ? dyn_cast<AffineConstantExpr>(product.getRHS())
                                                                      : AffineConstantExpr();
    return factor && factor.getValue() < 0;
  };
  bool isFound = false;
  for (AffineMap map : op.getIndexingMapsArray())
    map.walkExprs([&](AffineExpr expr) { isFound |= isNegation(expr); });
  return isFound;
}

std::optional<ContractionRoles> getContractionRoles(linalg::LinalgOp op) {
  if (!isFloatContraction(op))
    return std::nullopt;
  FailureOr<linalg::ContractionDimensions> dims = linalg::inferContractionDims(op);
  AffineMap outputMap = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (failed(dims) || outputMap.getNumResults() == 0)
    return std::nullopt;

  ContractionRoles roles;
  roles.lanes = cast<AffineDimExpr>(outputMap.getResults().back()).getPosition();
  bool isSwapped = llvm::is_contained(dims->m, roles.lanes);
  if (!isSwapped && !llvm::is_contained(dims->n, roles.lanes))
    return std::nullopt;
  ArrayRef<unsigned> rows = isSwapped ? dims->n : dims->m;
  if (rows.empty() || dims->k.empty())
    return std::nullopt;
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  roles.rows = getLargest(rows, extents);
  roles.depth = getLargest(dims->k, extents);
  roles.lhs = isSwapped ? 1 : 0;
  if (extents[roles.rows] == 1 || extents[roles.lanes] == 1 || extents[roles.depth] == 1)
    return std::nullopt;
  return roles;
}

} // namespace mlir::gqa
