// What rows do not see of a ring lies around its cursor: behind it the tokens that are newer than the first row, before
// it the oldest ones, which the window of the last row has left.
//
//     sinks | newer ... | older, in all windows | too new for some | cursor | too old for some | ...
//
// Either side may run over the ring's end, and goes on at its other end.

#include "passes/RingRange.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::gqa {

OpFoldResult Ring::getPast(const IndexMath &math) const { return math.max(math.add(length, -sinks), math.constant(0)); }

OpFoldResult Ring::getCursor(const IndexMath &math) const {
  OpFoldResult past = getPast(math);
  return math.add(math.sub(past, math.roundDown(past, slots)), sinks);
}

std::pair<OpFoldResult, OpFoldResult> getFullSlots(const IndexMath &math, const Ring &ring, OpFoldResult low,
                                                   OpFoldResult high) {
  OpFoldResult zero = math.constant(0), slots = math.constant(ring.slots);
  auto clamp = [&](OpFoldResult value) { return math.max(math.min(value, slots), zero); };
  OpFoldResult tooNew = clamp(math.add(math.sub(ring.length, ring.firstPosition), -1)), tooOld = zero;
  if (ring.windowLeft)
    tooOld = clamp(math.add(math.sub(ring.lastPosition, ring.length), ring.slots - *ring.windowLeft));
  OpFoldResult cursor = ring.getCursor(math);
  OpFoldResult begin = math.sub(math.min(cursor, ring.length), tooNew), end = math.add(cursor, tooOld);

  auto select = [&](arith::CmpIPredicate predicate, OpFoldResult lhs, OpFoldResult rhs, OpFoldResult yes,
                    OpFoldResult no) -> OpFoldResult {
    Value holds = arith::CmpIOp::create(math.b, math.loc, predicate, math.value(lhs), math.value(rhs));
    return arith::SelectOp::create(math.b, math.loc, holds, math.value(yes), math.value(no)).getResult();
  };
  using arith::CmpIPredicate;
  OpFoldResult ringEnd = math.constant(ring.sinks + ring.slots), ringBegin = math.constant(ring.sinks);
  OpFoldResult lowBegin = select(CmpIPredicate::sgt, end, ringEnd, math.add(end, -ring.slots), zero);
  OpFoldResult highEnd = select(CmpIPredicate::slt, begin, ringBegin, math.add(begin, ring.slots), ringEnd);
  lowBegin = math.max(lowBegin, low);
  OpFoldResult lowEnd = math.min(begin, high), highBegin = math.max(end, low);
  highEnd = math.min(highEnd, high);

  OpFoldResult lowSize = math.sub(lowEnd, lowBegin), highSize = math.sub(highEnd, highBegin);
  return {select(CmpIPredicate::sge, lowSize, highSize, lowBegin, highBegin),
          select(CmpIPredicate::sge, lowSize, highSize, lowEnd, highEnd)};
}

} // namespace mlir::gqa
