#ifndef GQA_PASSES_REPEATEDHEADS_H
#define GQA_PASSES_REPEATEDHEADS_H

#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"

namespace mlir::gqa {

/// A key or value as `repeat_interleave` of a smaller tensor: its head `h` is head `h floordiv group` of `source`.
struct RepeatedHeads {
  Value source;
  SmallVector<ReassociationIndices> groups; ///< which dimensions of `source` collapse, as all but one have extent 1
  AffineMap map;                            ///< what `source` lists after that: no g; no hkv if all heads are one
  int64_t group;

  /// The smaller tensor, with dimensions `map`.
  Value build(OpBuilder &builder) const;
};

/// Finds what the heads of `operand` repeat, however that is spelled (see traceBack): every head is followed back on
/// its own, so tables of indices and chains of slices count as much as index maps do. Heads are dimension `hkv` of
/// `map`, or (hkv, g) if it lists both, outermost first. Of several tensors, the one that is repeated most often.
/// Nothing if no head repeats, or in another order than `h floordiv group`.
std::optional<RepeatedHeads> findRepeatedHeads(Value operand, AffineMap map);

} // namespace mlir::gqa

#endif // GQA_PASSES_REPEATEDHEADS_H
