// The first contraction of a softmax, and which tensors its operands and the value are views of.

#include "passes/raise/Softmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa::raise {

namespace {

/// Whether `op` puts tensors together along `dim`.
bool concatenatesAlong(Operation *op, unsigned dim) {
  if (auto concat = dyn_cast_or_null<tensor::ConcatOp>(op))
    return concat.getDim() == dim;
  auto insert = dyn_cast_or_null<tensor::InsertSliceOp>(op);
  return insert && insert.getSourceType().getRank() == insert.getType().getRank() &&
         insert.getSourceType().getDimSize(dim) != insert.getType().getDimSize(dim);
}

/// The op that repeats elements to make `value`, behind ops that only move elements; null if there is none.
Operation *findRepeat(Value value) {
  SmallVector<Value> worklist = {value};
  for (unsigned step = 0; step < 64 && !worklist.empty(); ++step) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp, tensor::ExtractSliceOp, tensor::ConcatOp,
            tensor::InsertSliceOp, tensor::ReshapeOp>(op)) {
      llvm::append_range(worklist, op->getOperands());
      continue;
    }
    auto copy = dyn_cast<linalg::LinalgOp>(op);
    if (!copy || copy.getNumDpsInputs() != 1 || copy.getNumReductionLoops() > 0)
      continue;
    AffineMap map = copy.getIndexingMapsArray()[0];
    bool isFill = map.getNumResults() == 0;
    for (auto [loop, extent] : llvm::enumerate(copy.getStaticLoopRanges()))
      if (!isFill && extent != 1 && !map.isFunctionOfDim(loop))
        return op;
    worklist.push_back(copy.getDpsInputs()[0]);
  }
  return nullptr;
}

} // namespace

std::optional<Mismatch> SoftmaxMatcher::matchProducts() {
  Scores &scores = softmax.scores;
  auto op = scores.products->value.getDefiningOp<linalg::LinalgOp>();
  SmallVector<int64_t> extents = Tracer::getReductionExtents(op);
  if (extents.size() != 1)
    return Mismatch{op, "does not sum over one dimension of query and key"};
  softmax.depthLoop = tracer.loops.create(extents[0], /*canSplit=*/false);
  ExprRef summand = openSum(scores.products, {tracer.exprs.getIndex(softmax.depthLoop)});
  if (!summand)
    return Mismatch{op, "is no sum of products that starts from 0"};
  Product product;
  flatten(summand, /*isDivisor=*/false, Expand::none, product);
  bool isProduct = product.factors.size() == 2 && product.divisors.empty() && product.kept.empty() &&
                   llvm::all_of(product.factors, [](ExprRef factor) { return factor->kind == Expr::Kind::load; });
  if (!isProduct)
    return Mismatch{op, "computes more than a product of query and key"};
  scores.scale *= product.constant;
  bool isSwapped = dependsOn(product.factors[0], softmax.keyLoop, tracer.loops);
  softmax.query = product.factors[isSwapped ? 1 : 0];
  softmax.key = product.factors[isSwapped ? 0 : 1];
  if (dependsOn(softmax.query, softmax.keyLoop, tracer.loops))
    return Mismatch{op, "reads both operands along the keys"};
  for (auto [operand, name] : {std::pair(&softmax.key, "key"), std::pair(&softmax.value, "value")}) {
    ExprRef view = followCopies(*operand, operand == &softmax.key ? &scores.scale : nullptr);
    if (!view)
      return Mismatch{(*operand)->origin ? (*operand)->origin : op, (Twine(name) + " is no view of a tensor").str()};
    // A tensor that still holds copies of heads, in an order that is no map: to fuse attention around it saves nothing.
    // Parts of the head dimension are another matter: some of a key may be shared by heads that differ in the rest.
    bool hasParts = false;
    for (auto [dim, index] : llvm::enumerate(view->operands))
      hasParts |=
          dependsOn(index, softmax.depthLoop, tracer.loops) && concatenatesAlong(view->value.getDefiningOp(), dim);
    if (Operation *repeat = hasParts ? nullptr : findRepeat(view->value))
      return Mismatch{repeat, (Twine("repeats heads of the ") + name + " in an order that is not one of groups").str()};
    *operand = view;
  }
  ExprRef query = followCopies(softmax.query, &scores.scale);
  if (!query)
    return Mismatch{softmax.query->origin ? softmax.query->origin : op, "is a query that is no view of a tensor"};
  softmax.query = query;
  return std::nullopt;
}

/// Without `scale`, only copies count that are the same numbers.
ExprRef SoftmaxMatcher::followCopies(ExprRef load, double *scale) {
  ExprRef view = isView(load) ? load : nullptr, current = load;
  double factor = 1, viewFactor = 1;
  while (true) {
    ExprRef expr = tracer.expand(current);
    if (!expr || expr->isOp<arith::SelectOp>())
      expr = tracer.expandByCases(current);
    if (!expr)
      break;
    while (expr->kind == Expr::Kind::op) {
      if (expr->isOp<arith::ExtFOp>()) {
        expr = expr->operands[0];
        continue;
      }
      bool isDivision = expr->isOp<arith::DivFOp>();
      if (!isDivision && !expr->isOp<arith::MulFOp>())
        break;
      std::optional<double> left = getNumber(tracer.expandAll(expr->operands[0]));
      std::optional<double> right = getNumber(tracer.expandAll(expr->operands[1]));
      if (right && *right != 0)
        factor = isDivision ? factor / *right : factor * *right;
      else if (left && !isDivision)
        factor *= *left;
      else
        break;
      expr = expr->operands[right ? 0 : 1];
    }
    if (expr->kind != Expr::Kind::load)
      break;
    current = expr;
    if (isView(current) && (scale || factor == 1)) {
      view = current;
      viewFactor = factor;
    }
  }
  if (scale)
    *scale *= viewFactor;
  return view;
}

/// Whether reshapes and slices of its tensor make a load a projection: each dimension runs through loops of its own, in
/// row-major order.
bool SoftmaxMatcher::isView(ExprRef load) {
  if (!load->type.isF32() && !load->type.isF16() && !load->type.isBF16())
    return false;
  llvm::DenseSet<Loop> used;
  for (ExprRef operand : load->operands) {
    std::optional<Linear> index = tracer.exprs.getLinear(operand);
    if (!index || index->constant < 0)
      return false;
    SmallVector<Linear::Term, 2> terms = index->getOutermostFirst();
    int64_t stride = terms.empty() ? 1 : terms.back().second;
    for (auto [loop, coefficient] : llvm::reverse(terms)) {
      if (coefficient != stride || stride <= 0 || !used.insert(loop).second)
        return false;
      int64_t extent = tracer.loops.getExtent(loop);
      stride = ShapedType::isDynamic(extent) ? 0 : stride * extent;
    }
  }
  return true;
}

} // namespace mlir::gqa::raise
