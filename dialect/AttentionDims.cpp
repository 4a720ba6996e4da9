#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLExtras.h"

namespace mlir::gqa {

static constexpr std::array<StringLiteral, kNumDims> kDimNames = {"b", "hkv", "g", "m", "n", "dqk", "dv"};

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
  SmallVector<utils::IteratorType> types(kNumDims, utils::IteratorType::parallel);
  types[static_cast<unsigned>(Dim::n)] = utils::IteratorType::reduction;
  types[static_cast<unsigned>(Dim::dqk)] = utils::IteratorType::reduction;
  return types;
}

int64_t getStaticExtent(ArrayRef<AffineMap> maps, ValueRange tensors, Dim dim) {
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
  if (map.getNumResults() == 0)
    return tensor;
  LoopTile part = tile.restrictTo(map);
  SmallVector<OpFoldResult> strides(map.getNumResults(), builder.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(builder, loc, tensor, part.offsets, part.sizes, strides);
}

} // namespace mlir::gqa
