#ifndef GQA_PASSES_ONLINEBLOCK_H
#define GQA_PASSES_ONLINEBLOCK_H

#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"

namespace mlir::gqa {

/// What gqa.online_attention takes of one block of keys; its operands by name.
struct OnlineBlock {
  MappedTensor query, key, value;
  std::optional<MappedTensor> bias, mask, kvLen, positions, keyScale, valueScale, keyPositions;
  Value keyStart;
  bool dot = false, shorts = false;
};

/// gqa.online_attention on a block of the keys of `op`: `state` with that block. Scores are those of `op`, which masks
/// by position where the block has the positions of its rows.
SoftmaxState buildOnlineBlock(OpBuilder &b, AttentionOp op, const OnlineBlock &block, const SoftmaxState &state);

} // namespace mlir::gqa

#endif // GQA_PASSES_ONLINEBLOCK_H
