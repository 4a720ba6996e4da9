#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

namespace mlir::gqa {

namespace {

bool isInBody(Operation *op) { return isa_and_nonnull<linalg::LinalgOp>(op->getParentOp()); }

bool commute(Program &program, Random &random) {
  auto op = pickOp<Operation *>(program.module, random, [](Operation *op) {
    return isInBody(op) && op->getNumOperands() == 2 && op->hasTrait<OpTrait::IsCommutative>();
  });
  if (!op)
    return false;
  Value first = op->getOperand(0);
  op->setOperand(0, op->getOperand(1));
  op->setOperand(1, first);
  return true;
}

/// a < b as b > a.
bool turnComparison(Program &program, Random &random) {
  using arith::CmpIPredicate;
  auto op = pickOp<arith::CmpIOp>(program.module, random, [](arith::CmpIOp op) {
    return isInBody(op) && op.getPredicate() != CmpIPredicate::eq && op.getPredicate() != CmpIPredicate::ne;
  });
  if (!op)
    return false;
  static const std::pair<CmpIPredicate, CmpIPredicate> kTurned[] = {{CmpIPredicate::slt, CmpIPredicate::sgt},
                                                                    {CmpIPredicate::sle, CmpIPredicate::sge},
                                                                    {CmpIPredicate::ult, CmpIPredicate::ugt},
                                                                    {CmpIPredicate::ule, CmpIPredicate::uge}};
  for (auto [less, more] : kTurned) {
    CmpIPredicate turned = op.getPredicate() == less ? more : op.getPredicate() == more ? less : CmpIPredicate::eq;
    if (turned == CmpIPredicate::eq)
      continue;
    OpBuilder b(op);
    Value result = arith::CmpIOp::create(b, op.getLoc(), turned, op.getRhs(), op.getLhs());
    op.replaceAllUsesWith(result);
    op.erase();
    return true;
  }
  return false;
}

/// c ? x : y as !c ? y : x.
bool negateCondition(Program &program, Random &random) {
  auto op = pickOp<arith::SelectOp>(program.module, random, [](arith::SelectOp op) { return isInBody(op); });
  if (!op)
    return false;
  OpBuilder b(op);
  Value one = arith::ConstantIntOp::create(b, op.getLoc(), 1, 1);
  Value negated = arith::XOrIOp::create(b, op.getLoc(), op.getCondition(), one);
  Value result = arith::SelectOp::create(b, op.getLoc(), negated, op.getFalseValue(), op.getTrueValue());
  op.replaceAllUsesWith(result);
  op.erase();
  return true;
}

/// x - y as x + -y.
bool subtractByAdding(Program &program, Random &random) {
  auto op = pickOp<arith::SubFOp>(program.module, random, [](arith::SubFOp op) { return isInBody(op); });
  if (!op)
    return false;
  OpBuilder b(op);
  Value negated = arith::NegFOp::create(b, op.getLoc(), op.getRhs());
  Value result = arith::AddFOp::create(b, op.getLoc(), op.getLhs(), negated);
  op.replaceAllUsesWith(result);
  op.erase();
  return true;
}

/// x * c as (x * c/2) * 2, and x / c as (x / 2c) * 2: the same bits.
template <typename OpTy> bool splitFactor(Program &program, Random &random) {
  auto getFactor = [](OpTy op) {
    FloatAttr factor;
    return matchPattern(op.getRhs(), m_Constant(&factor)) ? factor : FloatAttr();
  };
  auto op = pickOp<OpTy>(program.module, random, [&](OpTy op) { return isInBody(op) && getFactor(op); });
  if (!op)
    return false;
  OpBuilder b(op);
  double factor = getFactor(op).getValueAsDouble();
  double changed = std::is_same_v<OpTy, arith::MulFOp> ? factor / 2 : factor * 2;
  auto constant = [&](double value) {
    return arith::ConstantOp::create(b, op.getLoc(), b.getFloatAttr(op.getType(), value));
  };
  Value part = OpTy::create(b, op.getLoc(), op.getLhs(), constant(changed));
  Value result = arith::MulFOp::create(b, op.getLoc(), part, constant(2));
  op.replaceAllUsesWith(result);
  op.erase();
  return true;
}

/// A float through a wider type and back.
bool castScalar(Program &program, Random &random) {
  SmallVector<OpOperand *> uses;
  program.module.walk([&](Operation *op) {
    if (isInBody(op))
      for (OpOperand &use : op->getOpOperands())
        if (use.get().getType().isF32() || use.get().getType().isF16() || use.get().getType().isBF16())
          uses.push_back(&use);
  });
  std::optional<OpOperand *> use = pickFrom(ArrayRef<OpOperand *>(uses), random);
  if (!use)
    return false;
  OpBuilder b((*use)->getOwner());
  Location loc = (*use)->getOwner()->getLoc();
  Type type = (*use)->get().getType(), wide = type.isF32() ? b.getF64Type() : b.getF32Type();
  Value widened = arith::ExtFOp::create(b, loc, wide, (*use)->get());
  (*use)->set(arith::TruncFOp::create(b, loc, type, widened));
  return true;
}

} // namespace

void addScalarRewrites(std::vector<Rewrite> &rewrites) {
  rewrites.push_back({"commute", commute});
  rewrites.push_back({"turn-comparison", turnComparison});
  rewrites.push_back({"negate-condition", negateCondition});
  rewrites.push_back({"subtract-by-adding", subtractByAdding});
  rewrites.push_back({"split-factor", splitFactor<arith::MulFOp>});
  rewrites.push_back({"split-divisor", splitFactor<arith::DivFOp>});
  rewrites.push_back({"cast-scalar", castScalar});
}

} // namespace mlir::gqa
