#ifndef GQA_PASSES_KEYRANGE_H
#define GQA_PASSES_KEYRANGE_H

#include "dialect/GQADialect.h"
#include "passes/RingRange.h"
#include "passes/SequenceLength.h"

#include <tuple>

namespace mlir::gqa {

/// Whether keys of `op` are masked by positions that do not follow from their numbers: any key may stand anywhere.
inline bool isRingByPosition(AttentionOp op) { return op.getLength() && op.isMaskedByPosition(); }

/// The blocks of `size` keys that some query rows have to visit: [low, high). In [fullLow, fullHigh) of them every row
/// sees every key; the others are edges, on one side or both, and need masks by position and by the number of keys.
struct KeyRange {
  OpFoldResult low, high, fullLow, fullHigh;

  /// Blocks of the keys in [begin, end) that `sequence` has, for rows at positions `firstPosition` to `lastPosition`
  /// (null where `op` masks nothing by position).
  static KeyRange get(const IndexMath &math, AttentionOp op, OpFoldResult begin, OpFoldResult end,
                      const SequenceLength &sequence, OpFoldResult firstPosition, OpFoldResult lastPosition,
                      int64_t size) {
    auto clamp = [](int64_t distance) { return std::min<int64_t>(distance, kFarPosition); };
    OpFoldResult low = begin, high = math.min(end, sequence.keys);
    OpFoldResult fullLow = low, fullHigh = high;
    auto boundAbove = [&](int64_t distance) {
      high = math.min(high, math.add(lastPosition, distance + 1));
      fullHigh = math.min(fullHigh, math.add(firstPosition, distance + 1));
    };
    if (isRingByPosition(op)) {
      std::optional<int64_t> left;
      if (op.getWindowLeft())
        left = clamp(*op.getWindowLeft());
      Ring ring{op.getRingSinksAttr().getInt(),
                op.getRingSlotsAttr().getInt(),
                sequence.tokens,
                firstPosition,
                lastPosition,
                left};
      std::tie(fullLow, fullHigh) = getFullSlots(math, ring, low, high);
    } else {
      if (op.getCausal())
        boundAbove(0);
      if (op.getWindowRight())
        boundAbove(clamp(*op.getWindowRight()));
      if (op.getWindowLeft()) {
        int64_t left = clamp(*op.getWindowLeft());
        low = math.max(low, math.add(firstPosition, -left));
        fullLow = math.max(fullLow, math.add(lastPosition, -left));
      }
    }
    KeyRange blocks;
    blocks.lastKey = high;
    blocks.low = math.floorDiv(low, size);
    blocks.high = math.max(math.ceilDiv(high, size), blocks.low);
    blocks.fullLow = math.min(math.ceilDiv(fullLow, size), blocks.high);
    blocks.fullHigh = math.max(math.floorDiv(math.min(fullHigh, high), size), blocks.fullLow);
    return blocks;
  }

  OpFoldResult getNumFull(const IndexMath &math) const { return math.sub(fullHigh, fullLow); }
  OpFoldResult getNumEdges(const IndexMath &math) const {
    return math.add(math.sub(fullLow, low), math.sub(high, fullHigh));
  }

  /// The number of the `edge`-th edge block.
  OpFoldResult getEdge(const IndexMath &math, Value edge) const {
    Value isRight =
        arith::CmpIOp::create(math.b, math.loc, arith::CmpIPredicate::sge, edge, math.value(math.sub(fullLow, low)));
    Value skip =
        arith::SelectOp::create(math.b, math.loc, isRight, math.value(getNumFull(math)), math.value(math.constant(0)));
    return math.add(math.add(edge, skip), low);
  }

  /// The end of the keys that some row sees.
  OpFoldResult lastKey;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_KEYRANGE_H
