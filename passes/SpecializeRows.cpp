#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_SPECIALIZEROWS
#include "passes/Passes.h.inc"

namespace {

/// The branches of one op: each of `schedules` for as many rows as its tile holds, the first that fits; else the op's.
struct Specializer {
  AttentionOp op;
  Value rows;

  ValueRange build(OpBuilder &b, ArrayRef<ScheduleAttr> schedules) {
    if (schedules.empty())
      return b.clone(*op)->getResults();
    Location loc = op.getLoc();
    Value bound = arith::ConstantIndexOp::create(b, loc, schedules.front().getM());
    Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, rows, bound);
    auto choice = scf::IfOp::create(
        b, loc, fits,
        [&](OpBuilder &nested, Location) {
          auto few = cast<AttentionOp>(nested.clone(*op));
          few.setScheduleAttr(schedules.front());
          scf::YieldOp::create(nested, loc, few.getResults());
        },
        [&](OpBuilder &nested, Location) { scf::YieldOp::create(nested, loc, build(nested, schedules.drop_front())); });
    return choice.getResults();
  }
};

struct SpecializeRows : impl::SpecializeRowsBase<SpecializeRows> {
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    for (AttentionOp op : ops) {
      auto attribute = dyn_cast_or_null<ArrayAttr>(op->removeDiscardableAttr(kFewRowsSchedules));
      if (!attribute)
        continue;
      OpBuilder b(op);
      OpFoldResult rows = getExtent(b, op.getLoc(), op.getMaps(), op.getOperands(), Dim::m);
      Specializer specializer{op, getValueOrCreateConstantIndexOp(b, op.getLoc(), rows)};
      op.replaceAllUsesWith(specializer.build(b, llvm::to_vector(attribute.getAsRange<ScheduleAttr>())));
      op.erase();
    }
  }
};

} // namespace
} // namespace mlir::gqa
