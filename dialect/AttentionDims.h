#ifndef GQA_DIALECT_ATTENTIONDIMS_H
#define GQA_DIALECT_ATTENTIONDIMS_H

#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/StringRef.h"
#include <array>
#include <optional>

/// The named dimensions of attention: the one place that knows their order, names and kinds.
namespace mlir::gqa {

/// The seven loops, then the dimensions by which a KV cache stores keys and values: key n of a sequence is row
/// n mod slots of block n / slots, whose page the block table gives; dqk2 and dv2 count bytes of two 4-bit elements.
enum class Dim : unsigned { b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2 };

constexpr unsigned kNumLoops = 7;
constexpr unsigned kNumDims = 12;

inline bool isLoop(Dim dim) { return static_cast<unsigned>(dim) < kNumLoops; }

StringRef getDimName(unsigned dim);
inline StringRef getDimName(Dim dim) { return getDimName(static_cast<unsigned>(dim)); }

/// The dimension called `name`, if there is one.
std::optional<Dim> parseDim(StringRef name);

/// The map (b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2) -> dims.
AffineMap getDimsMap(MLIRContext *context, ArrayRef<Dim> dims);

/// The dimensions that a projected permutation lists, in order.
SmallVector<Dim> getDims(AffineMap map);

/// The position of `dim` among the results of `map`, if it is one.
std::optional<unsigned> getDimPosition(AffineMap map, Dim dim);
inline bool hasDim(AffineMap map, Dim dim) { return getDimPosition(map, dim).has_value(); }

/// `map` printed as `[b, hkv, n, dqk]`.
std::string printDims(AffineMap map);

/// n and dqk are reductions, the others are parallel.
SmallVector<utils::IteratorType> getAttentionIteratorTypes();

/// The extent of `dim` as the tensors' types show it: static if any operand that lists it is static there, kDynamic if
/// it is listed but nowhere static, 1 if no operand lists it. `tensors[i]` has map `maps[i]`. Where keys are stored in
/// pages and no operand lists n, its extent is blocks * slots.
int64_t getStaticExtent(ArrayRef<AffineMap> maps, ValueRange tensors, Dim dim);

/// The extent of `dim` as a value or constant, read from an operand that lists it.
OpFoldResult getExtent(OpBuilder &builder, Location loc, ArrayRef<AffineMap> maps, ValueRange tensors, Dim dim);

/// A tile of the loops: where it starts and how far it extends along each.
struct LoopTile {
  SmallVector<OpFoldResult> offsets, sizes;

  OpFoldResult getOffset(Dim dim) const { return offsets[static_cast<unsigned>(dim)]; }
  OpFoldResult getSize(Dim dim) const { return sizes[static_cast<unsigned>(dim)]; }

  /// The part of a tensor with `map`, which lists loops alone, that the tile reaches: offsets and sizes along its
  /// dimensions.
  LoopTile restrictTo(AffineMap map) const;
};

/// The part of `tensor`, which has `map`, that `tile` reaches; of the same rank. Pages and packed rows stay whole.
Value sliceOperand(OpBuilder &builder, Location loc, Value tensor, AffineMap map, const LoopTile &tile);

} // namespace mlir::gqa

#endif // GQA_DIALECT_ATTENTIONDIMS_H
