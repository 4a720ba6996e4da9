#ifndef GQA_PASSES_RINGRANGE_H
#define GQA_PASSES_RINGRANGE_H

#include "passes/IndexMath.h"

#include <optional>

namespace mlir::gqa {

/// A ring of keys (docs/kv-cache.md, "Storage") and the query rows that attend to it.
struct Ring {
  int64_t sinks, slots;
  OpFoldResult length;                      ///< tokens so far
  OpFoldResult firstPosition, lastPosition; ///< of the rows
  std::optional<int64_t> windowLeft;

  /// Tokens beside the sinks.
  OpFoldResult getPast(const IndexMath &math) const;
  /// The slot that the next token overwrites: the oldest token's, once the ring is full.
  OpFoldResult getCursor(const IndexMath &math) const;
};

/// A range of slots in [low, high), as long as one range can be, in which every row sees every key.
std::pair<OpFoldResult, OpFoldResult> getFullSlots(const IndexMath &math, const Ring &ring, OpFoldResult low,
                                                   OpFoldResult high);

} // namespace mlir::gqa

#endif // GQA_PASSES_RINGRANGE_H
