#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLExtras.h"

namespace mlir::gqa {

static constexpr std::array<StringLiteral, kNumDims> kDimNames = {"b",  "hkv",  "g",     "m",    "n",    "dqk",
                                                                  "dv", "page", "block", "slot", "dqk2", "dv2"};

StringRef getDimName(unsigned dim) { return kDimNames[dim]; }

std::optional<Dim> parseDim(StringRef name) {
  const auto *it = llvm::find(kDimNames, name);
  if (it == kDimNames.end())
    return std::nullopt;
  return static_cast<Dim>(it - kDimNames.begin());
}

AffineMap getDimsMap(MLIRContext *context, ArrayRef<Dim> dims) {
  SmallVector<AffineExpr> results;
  for (Dim dim : dims)
    results.push_back(getAffineDimExpr(static_cast<unsigned>(dim), context));
  return AffineMap::get(kNumDims, /*symbolCount=*/0, results, context);
}

SmallVector<Dim> getDims(AffineMap map) {
  SmallVector<Dim> dims;
  for (AffineExpr result : map.getResults())
    dims.push_back(static_cast<Dim>(cast<AffineDimExpr>(result).getPosition()));
  return dims;
}

std::optional<unsigned> getDimPosition(AffineMap map, Dim dim) {
  return map.getResultPosition(getAffineDimExpr(static_cast<unsigned>(dim), map.getContext()));
}

std::string printDims(AffineMap map) {
  std::string text = "[";
  llvm::interleave(getDims(map), [&](Dim dim) { text += getDimName(dim); }, [&] { text += ", "; });
  return text + "]";
}

SmallVector<utils::IteratorType> getAttentionIteratorTypes() {
  SmallVector<utils::IteratorType> types(kNumLoops, utils::IteratorType::parallel);
  types[static_cast<unsigned>(Dim::n)] = utils::IteratorType::reduction;
  types[static_cast<unsigned>(Dim::dqk)] = utils::IteratorType::reduction;
  return types;
}

/// Whether the extent of `dim` is the product of those of block and slot.
static bool isStoredInPages(ArrayRef<AffineMap> maps, Dim dim) {
  auto isListed = [&](Dim listed) { return llvm::any_of(maps, [&](AffineMap map) { return hasDim(map, listed); }); };
  return dim == Dim::n && !isListed(Dim::n) && isListed(Dim::block) && isListed(Dim::slot);
}

int64_t getStaticExtent(ArrayRef<AffineMap> maps, ValueRange tensors, Dim dim) {
  if (isStoredInPages(maps, dim)) {
    int64_t blocks = getStaticExtent(maps, tensors, Dim::block), slots = getStaticExtent(maps, tensors, Dim::slot);
    bool isDynamic = ShapedType::isDynamic(blocks) || ShapedType::isDynamic(slots);
    return isDynamic ? ShapedType::kDynamic : blocks * slots;
  }
  bool isListed = false;
  for (auto [map, tensor] : llvm::zip_equal(maps, tensors)) {
    std::optional<unsigned> position = getDimPosition(map, dim);
    if (!position)
      continue;
    isListed = true;
    int64_t extent = cast<RankedTensorType>(tensor.getType()).getDimSize(*position);
    if (!ShapedType::isDynamic(extent))
      return extent;
  }
  return isListed ? ShapedType::kDynamic : 1;
}

OpFoldResult getExtent(OpBuilder &builder, Location loc, ArrayRef<AffineMap> maps, ValueRange tensors, Dim dim) {
  int64_t extent = getStaticExtent(maps, tensors, dim);
  if (!ShapedType::isDynamic(extent))
    return builder.getIndexAttr(extent);
  if (isStoredInPages(maps, dim)) {
    auto get = [&](Dim factor) {
      return getValueOrCreateConstantIndexOp(builder, loc, getExtent(builder, loc, maps, tensors, factor));
    };
    return arith::MulIOp::create(builder, loc, get(Dim::block), get(Dim::slot)).getResult();
  }
  for (auto [map, tensor] : llvm::zip_equal(maps, tensors))
    if (std::optional<unsigned> position = getDimPosition(map, dim))
      return tensor::getMixedSize(builder, loc, tensor, *position);
  llvm_unreachable("a dynamic extent comes from an operand that lists the dimension");
}

LoopTile LoopTile::restrictTo(AffineMap map) const {
  LoopTile part;
  for (Dim dim : getDims(map)) {
    part.offsets.push_back(getOffset(dim));
    part.sizes.push_back(getSize(dim));
  }
  return part;
}

Value sliceOperand(OpBuilder &builder, Location loc, Value tensor, AffineMap map, const LoopTile &tile) {
  // A tensor of storage dimensions alone is in every tile as a whole.
  if (llvm::none_of(getDims(map), isLoop))
    return tensor;
  SmallVector<OpFoldResult> offsets, sizes, strides(map.getNumResults(), builder.getIndexAttr(1));
  for (auto [position, dim] : llvm::enumerate(getDims(map))) {
    offsets.push_back(isLoop(dim) ? tile.getOffset(dim) : builder.getIndexAttr(0));
    sizes.push_back(isLoop(dim) ? tile.getSize(dim) : tensor::getMixedSize(builder, loc, tensor, position));
  }
  return tensor::ExtractSliceOp::create(builder, loc, tensor, offsets, sizes, strides);
}

} // namespace mlir::gqa
