#ifndef GQA_PASSES_RINGPOSITIONS_H
#define GQA_PASSES_RINGPOSITIONS_H

#include "passes/RingRange.h"

namespace mlir::gqa {

/// The positions of keys in a ring of a sequence (gqa.attention's `ring`). With `past` tokens beside the sinks, slot i
/// of the ring holds the token of round past / slots, or, from past mod slots on, that of the round before.
class RingPositions {
public:
  /// Of a sequence of `length` tokens (index).
  RingPositions(const IndexMath &math, OpFoldResult length, int64_t sinks, int64_t slots) {
    Ring ring{sinks, slots, length, {}, {}, std::nullopt};
    OpFoldResult round = math.roundDown(ring.getPast(math), slots);
    auto toI32 = [&](OpFoldResult value) -> Value {
      return arith::IndexCastOp::create(math.b, math.loc, math.b.getI32Type(), math.value(value));
    };
    thisRound = toI32(round);
    previousRound = toI32(math.add(round, -slots));
    zero = toI32(math.constant(0));
    firstSlot = toI32(math.constant(sinks));
    cursor = toI32(ring.getCursor(math));
  }

  /// The position of key number `key`; both i32.
  Value get(OpBuilder &b, Location loc, Value key) const {
    auto isBelow = [&](Value bound) { return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, key, bound); };
    Value rounds = arith::SelectOp::create(b, loc, isBelow(cursor), thisRound, previousRound);
    rounds = arith::SelectOp::create(b, loc, isBelow(firstSlot), zero, rounds);
    return arith::AddIOp::create(b, loc, key, rounds);
  }

private:
  Value thisRound, previousRound, zero, firstSlot;
  Value cursor; ///< the key that the next token overwrites
};

} // namespace mlir::gqa

#endif // GQA_PASSES_RINGPOSITIONS_H
