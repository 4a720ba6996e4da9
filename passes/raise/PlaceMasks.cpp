// Masks that compare positions become attributes and operands of the op.

#include "passes/raise/BuildAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::gqa::raise {

void AttentionBuilder::placeMasks() {
  MaskReader reader(tracer, softmax.keyLoop);
  auto isPerBatch = [&](ExprRef expr) {
    return llvm::all_of(getLoops(expr, tracer.loops), [&](Loop loop) { return names.lookup(loop) == Dim::b; });
  };
  PositionMasks positions = reader.read(softmax.scores.masks, rowLoop, isPerBatch);
  masks = positions.others;
  lengths = positions.lengths;
  placePositions(positions);
}

/// One position per row serves all comparisons: bounds that differ from the first one by more than a constant stay a
/// mask.
void AttentionBuilder::placePositions(PositionMasks &positions) {
  auto compare = [&](const Offset &bound, bool isUpper) {
    // n <= m + bound, as an expression again
    Type i64 = IntegerType::get(b.getContext(), 64);
    auto cast = [&](Loop loop) { return tracer.exprs.getOp<arith::IndexCastOp>({tracer.exprs.getIndex(loop)}, i64); };
    ExprRef row = rowLoop ? cast(*rowLoop) : tracer.exprs.getNumber(0, i64);
    ExprRef limit = tracer.exprs.getOp<arith::AddIOp>({row, getOffset(bound, tracer.exprs)}, i64);
    auto predicate = isUpper ? arith::CmpIPredicate::sle : arith::CmpIPredicate::sge;
    auto attributes = DictionaryAttr::get(
        b.getContext(), {b.getNamedAttr("predicate", arith::CmpIPredicateAttr::get(b.getContext(), predicate))});
    masks.push_back(tracer.exprs.getOp(OperationName(arith::CmpIOp::getOperationName(), b.getContext()), attributes,
                                       {cast(softmax.keyLoop), limit}, b.getI1Type(), softmax.root.getDefiningOp()));
  };
  auto keepTightest = [&](SmallVector<Offset> &bounds, bool isUpper) {
    while (bounds.size() > 1) {
      Offset last = bounds.pop_back_val();
      std::optional<int64_t> difference = getDifference(last, bounds[0], tracer.loops);
      if (!difference)
        compare(last, isUpper);
      else if (isUpper ? *difference < 0 : *difference > 0)
        bounds[0] = last;
    }
  };
  keepTightest(positions.uppers, /*isUpper=*/true);
  keepTightest(positions.lowers, /*isUpper=*/false);
  if (positions.uppers.empty() && positions.lowers.empty())
    return;

  // Rows stand where the causal bound is; a window alone leaves them where they are, if it reaches back to there.
  Offset base;
  std::optional<Offset> upper, lower;
  if (!positions.uppers.empty())
    upper = positions.uppers[0];
  if (!positions.lowers.empty())
    lower = positions.lowers[0];
  int64_t rows = rowLoop ? tracer.loops.getExtent(*rowLoop) : 1, keys = tracer.loops.getExtent(softmax.keyLoop);
  bool isSymmetric = upper && lower && upper->terms.empty() && lower->terms.empty() && rows == keys &&
                     upper->constant > 0 && upper->constant == -lower->constant;
  if (isSymmetric) {
    windowLeft = windowRight = upper->constant;
  } else if (upper) {
    base = *upper;
    isCausal = true;
    if (lower) {
      std::optional<int64_t> width = getDifference(base, *lower, tracer.loops);
      if (width && *width >= 0)
        windowLeft = *width;
      else
        compare(*lower, /*isUpper=*/false);
    }
  } else if (lower->terms.empty() && lower->constant <= 0) {
    windowLeft = -lower->constant;
  } else {
    base = *lower;
    windowLeft = 0;
  }
  bool isStatic = base.terms.empty() && !ShapedType::isDynamic(rows) && !ShapedType::isDynamic(keys);
  if (base.terms.empty() && base.constant == 0)
    alignment = Alignment::TopLeft;
  else if (isStatic && lengths.empty() && base.constant == keys - rows)
    alignment = Alignment::BottomRight;
  else
    offset = getOffset(base, tracer.exprs);
}

ExprRef AttentionBuilder::getKvLen() {
  ExprRef least = nullptr;
  for (const Offset &length : lengths) {
    ExprRef next = getOffset(length, tracer.exprs);
    least = least ? tracer.exprs.getOp<arith::MinSIOp>({least, next}, next->type) : next;
  }
  return least;
}

ExprRef AttentionBuilder::combineMasks() {
  ExprRef all = nullptr;
  for (ExprRef mask : masks)
    all = all ? tracer.exprs.getAnd(all, mask) : mask;
  return all;
}

ExprRef AttentionBuilder::sumBiases() {
  Type f32 = b.getF32Type();
  auto widen = [&](ExprRef expr) {
    return expr->type.isF32()                        ? expr
           : expr->type.getIntOrFloatBitWidth() > 32 ? tracer.exprs.getOp<arith::TruncFOp>({expr}, f32)
                                                     : tracer.exprs.getOp<arith::ExtFOp>({expr}, f32);
  };
  ExprRef sum = nullptr;
  for (ExprRef bias : softmax.scores.biases) {
    if (!sum && softmax.scores.biases.size() == 1)
      return bias->type.getIntOrFloatBitWidth() > 32 ? widen(bias) : bias;
    sum = sum ? tracer.exprs.getOp<arith::AddFOp>({sum, widen(bias)}, f32) : widen(bias);
  }
  return sum;
}

} // namespace mlir::gqa::raise
