#include "passes/SplitRanges.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

OpFoldResult SplitRanges::count(OpFoldResult batch) {
  return math.ceilDiv(task.loadLength(batch).keys, task.schedule.getSplit());
}

std::optional<SplitRanges::List> SplitRanges::buildList() {
  std::optional<MappedTensor> lengths =
      task.operand(task.op.getLength() ? task.op.getLengthMutable() : task.op.getKvLenMutable());
  if (!lengths || !hasDim(lengths->map, Dim::b) || getConstantIntValue(task.extent(Dim::b)) == 1)
    return std::nullopt;
  Value zero = math.value(math.constant(0)), one = math.value(math.constant(1));
  OpBuilder::InsertionGuard guard(b);
  auto loop = scf::ForOp::create(b, loc, zero, math.value(task.extent(Dim::b)), one, ValueRange{zero, zero});
  b.setInsertionPointToStart(loop.getBody());
  Value ranges = math.value(count(loop.getInductionVar()));
  Value sum = arith::AddIOp::create(b, loc, loop.getRegionIterArg(0), ranges);
  Value most = arith::MaxSIOp::create(b, loc, loop.getRegionIterArg(1), ranges);
  scf::YieldOp::create(b, loc, ValueRange{sum, most});
  b.setInsertionPointAfter(loop);
  return fillList(loop.getResult(0), loop.getResult(1));
}

SplitRanges::List SplitRanges::fillList(OpFoldResult size, OpFoldResult mostRanges) {
  Value zero = math.value(math.constant(0)), one = math.value(math.constant(1));
  Value empty = tensor::EmptyOp::create(b, loc, size, b.getIndexType());
  auto outer = scf::ForOp::create(b, loc, zero, math.value(mostRanges), one, ValueRange{empty, empty, zero});
  b.setInsertionPointToStart(outer.getBody());
  auto inner =
      scf::ForOp::create(b, loc, zero, math.value(task.extent(Dim::b)), one, ValueRange(outer.getRegionIterArgs()));
  scf::YieldOp::create(b, loc, inner.getResults());
  b.setInsertionPointToStart(inner.getBody());
  Value range = outer.getInductionVar(), batch = inner.getInductionVar();
  Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, range, math.value(count(batch)));
  auto added = scf::IfOp::create(
      b, loc, isThere,
      [&](OpBuilder &nested, Location l) {
        Value position = inner.getRegionIterArg(2);
        Value ranges = tensor::InsertOp::create(nested, l, range, inner.getRegionIterArg(0), position);
        Value batches = tensor::InsertOp::create(nested, l, batch, inner.getRegionIterArg(1), position);
        Value next = arith::AddIOp::create(nested, l, position, one);
        scf::YieldOp::create(nested, l, ValueRange{ranges, batches, next});
      },
      [&](OpBuilder &nested, Location l) { scf::YieldOp::create(nested, l, inner.getRegionIterArgs()); });
  scf::YieldOp::create(b, loc, added.getResults());
  return {outer.getResult(0), outer.getResult(1), size, mostRanges};
}

} // namespace mlir::gqa
