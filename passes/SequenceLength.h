#ifndef GQA_PASSES_SEQUENCELENGTH_H
#define GQA_PASSES_SEQUENCELENGTH_H

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "passes/IndexMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace mlir::gqa {

/// Positions and distances stay within this, so that sums of them fit i32.
constexpr int64_t kFarPosition = int64_t(1) << 30;

/// Keys that `op` has for every sequence. Beside bounds of n itself, keys end with the pages' blocks, and there are
/// none without pages.
inline OpFoldResult buildKeyExtent(const IndexMath &math, AttentionOp op) {
  SmallVector<AffineMap> maps = op.getMaps();
  auto extent = [&](ArrayRef<AffineMap> someMaps, ValueRange tensors, Dim dim) {
    return getExtent(math.b, math.loc, someMaps, tensors, dim);
  };
  OpFoldResult keys = extent(maps, op.getOperands(), Dim::n);
  if (!op.getBlockTable())
    return keys;
  if (llvm::any_of(maps, [](AffineMap map) { return hasDim(map, Dim::n); })) {
    AffineMap pagedMaps[] = {op.getMap(*op.getBlockTableMutable().begin()), op.getKeyMap()};
    keys = math.min(keys, extent(pagedMaps, {op.getBlockTable(), op.getKey()}, Dim::n));
  }
  OpFoldResult pages = extent(maps, op.getOperands(), Dim::page);
  if (std::optional<int64_t> constant = getConstantIntValue(pages))
    return *constant == 0 ? math.constant(0) : keys;
  Value zero = math.value(math.constant(0));
  Value isEmpty = arith::CmpIOp::create(math.b, math.loc, arith::CmpIPredicate::eq, math.value(pages), zero);
  return arith::SelectOp::create(math.b, math.loc, isEmpty, zero, math.value(keys)).getResult();
}

/// How long one sequence is.
struct SequenceLength {
  OpFoldResult keys;   ///< that it has
  OpFoldResult tokens; ///< so far: in a ring, more than it has keys

  /// Of `keyExtent` keys; `kvLen` and `length` are those of `op` for the sequence, as index, where it has them.
  static SequenceLength get(const IndexMath &math, AttentionOp op, OpFoldResult keyExtent, OpFoldResult kvLen,
                            OpFoldResult length) {
    auto clamp = [&](OpFoldResult value, OpFoldResult high) {
      return math.max(math.min(value, high), math.constant(0));
    };
    if (length) {
      OpFoldResult tokens = clamp(length, math.constant(kFarPosition));
      OpFoldResult stored = math.constant(op.getRingSinksAttr().getInt() + op.getRingSlotsAttr().getInt());
      return {math.min(tokens, math.min(stored, keyExtent)), tokens};
    }
    OpFoldResult keys = kvLen ? clamp(kvLen, keyExtent) : keyExtent;
    return {keys, keys};
  }
};

/// Where the first query row of a sequence stands; `offset` is that of `op`, where it has one.
inline OpFoldResult buildFirstPosition(const IndexMath &math, AttentionOp op, const SequenceLength &sequence,
                                       OpFoldResult rows, OpFoldResult offset) {
  if (offset)
    return offset;
  return op.getAlignment() == Alignment::BottomRight ? math.sub(sequence.tokens, rows) : math.constant(0);
}

} // namespace mlir::gqa

#endif // GQA_PASSES_SEQUENCELENGTH_H
