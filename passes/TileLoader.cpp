#include "passes/TileLoader.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

MappedTensor TileLoader::loadTile(MappedTensor operand, ArrayRef<Dim> dims) {
  SmallVector<OpFoldResult> offsets, sizes, strides, keptSizes;
  SmallVector<int64_t> padded;
  SmallVector<Dim> kept;
  bool needsPadding = false;
  for (Dim dim : getDims(operand.map)) {
    const TileRange &part = task.range(dim);
    offsets.push_back(part.offset);
    sizes.push_back(part.size);
    strides.push_back(math.constant(1));
    if (!llvm::is_contained(dims, dim))
      continue;
    kept.push_back(dim);
    keptSizes.push_back(part.size);
    padded.push_back(part.extent);
    needsPadding |= getConstantIntValue(part.size) != part.extent;
  }
  Value tile = slice(operand.tensor, offsets, sizes, strides, dropUnits(keptSizes));
  tile = needsPadding ? padTo(tile, keptSizes, padded) : restoreUnits(tile, padded);
  return transpose({tile, task.dimsMap(kept)}, dims);
}

/// A slice of `tensor` without some of its unit dimensions, of the shape `kept`.
///
/// Where a dynamic size turns out to be 1, folders of tensor.extract_slice take the first unit dimensions for those
/// that are dropped. Where that need not be so, as in [n, d, 1] with one key, they are dropped by another operation.
Value TileLoader::slice(Value tensor, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                        ArrayRef<OpFoldResult> strides, ArrayRef<int64_t> kept) {
  Type elementType = cast<RankedTensorType>(tensor.getType()).getElementType();
  auto type = RankedTensorType::get(kept, elementType);
  bool isAfterDynamic = false, isAmbiguous = false, isApart = false;
  SmallVector<int64_t> extents;
  SmallVector<ReassociationIndices> groups;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    int64_t extent = getConstantIntValue(size).value_or(ShapedType::kDynamic);
    extents.push_back(extent);
    isApart |= isAfterDynamic && extent != 1;
    isAfterDynamic |= ShapedType::isDynamic(extent);
    isAmbiguous |= isApart && extent == 1;
    // Leading units go with the first dimension that stays, the others with the last one before them.
    if (groups.empty() || (extent != 1 && llvm::any_of(groups.back(), [&](int64_t dim) { return extents[dim] != 1; })))
      groups.emplace_back();
    groups.back().push_back(static_cast<int64_t>(i));
  }
  if (!isAmbiguous)
    return tensor::ExtractSliceOp::create(b, loc, type, tensor, offsets, sizes, strides);
  Value full = tensor::ExtractSliceOp::create(b, loc, RankedTensorType::get(extents, elementType), tensor, offsets,
                                              sizes, strides);
  return tensor::CollapseShapeOp::create(b, loc, type, full, groups);
}

/// `tile` in the lower corner of a tensor of zeros; it has `sizes`, of which static 1s may have been dropped.
Value TileLoader::padTo(Value tile, ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> extents) {
  Type elementType = cast<RankedTensorType>(tile.getType()).getElementType();
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(elementType));
  Value empty = tensor::EmptyOp::create(b, loc, extents, elementType);
  Value zeros = linalg::FillOp::create(b, loc, zero, empty).getResult(0);
  SmallVector<OpFoldResult> offsets(extents.size(), math.constant(0)), strides(extents.size(), math.constant(1));
  return tensor::InsertSliceOp::create(b, loc, tile, zeros, offsets, sizes, strides);
}

SmallVector<int64_t> TileLoader::dropUnits(ArrayRef<OpFoldResult> sizes) {
  SmallVector<int64_t> kept;
  for (OpFoldResult size : sizes)
    if (std::optional<int64_t> constant = getConstantIntValue(size); constant != 1)
      kept.push_back(constant.value_or(ShapedType::kDynamic));
  return kept;
}

/// Gives a tile without unit dimensions its static `extents` back.
Value TileLoader::restoreUnits(Value tile, ArrayRef<int64_t> extents) {
  auto type = cast<RankedTensorType>(tile.getType());
  if (type.getRank() == static_cast<int64_t>(extents.size()))
    return tile;
  auto full = RankedTensorType::get(extents, type.getElementType());
  SmallVector<ReassociationIndices> groups(type.getRank());
  int64_t group = -1;
  for (auto [i, extent] : llvm::enumerate(extents)) {
    if (extent != 1)
      ++group;
    if (!groups.empty())
      groups[std::max<int64_t>(group, 0)].push_back(static_cast<int64_t>(i));
  }
  return tensor::ExpandShapeOp::create(b, loc, full, tile, groups);
}

MappedTensor TileLoader::transpose(MappedTensor tile, ArrayRef<Dim> dims) {
  AffineMap map = task.dimsMap(dims);
  if (tile.map == map)
    return tile;
  SmallVector<int64_t> extents = llvm::map_to_vector(dims, [&](Dim dim) { return task.range(dim).extent; });
  Type elementType = cast<RankedTensorType>(tile.tensor.getType()).getElementType();
  Value empty = tensor::EmptyOp::create(b, loc, extents, elementType);
  Value result =
      buildGeneric(b, loc, tile, {empty, map}, [](OpBuilder &, Location, ValueRange args) { return args[0]; });
  return {result, map};
}

MappedTensor TileLoader::loadRows(MappedTensor operand, ArrayRef<Dim> innerDims) {
  SmallVector<Dim> present(task.rowDims);
  llvm::erase_if(present, [&](Dim dim) { return !hasDim(operand.map, dim); });
  llvm::append_range(present, innerDims);
  MappedTensor tile = loadTile(operand, present);
  SmallVector<Dim> all(task.rowDims);
  llvm::append_range(all, innerDims);
  Type elementType = cast<RankedTensorType>(operand.tensor.getType()).getElementType();
  SmallVector<Dim> flat = {Dim::m};
  llvm::append_range(flat, innerDims);
  return {flattenRows(transpose(tile, all).tensor, b.getZeroAttr(elementType)), task.dimsMap(flat)};
}

Value TileLoader::flattenRows(Value tile, Attribute padding) {
  auto type = cast<RankedTensorType>(tile.getType());
  SmallVector<int64_t> extents(type.getShape().drop_front(task.rowDims.size()));
  int64_t rows = schedule.getG() * schedule.getM();
  if (task.rowDims.size() != 1)
    tile = reshape(tile, rows, extents);
  extents.insert(extents.begin(), schedule.getRows());
  if (rows == schedule.getRows())
    return tile;
  return padTo(tile, tensor::getMixedSizes(b, loc, tile), extents);
}

/// Collapses two leading row dimensions, or adds one of extent 1 where the query has none.
Value TileLoader::reshape(Value tile, int64_t rows, ArrayRef<int64_t> inner) {
  SmallVector<int64_t> extents = {rows};
  llvm::append_range(extents, inner);
  auto type = RankedTensorType::get(extents, cast<RankedTensorType>(tile.getType()).getElementType());
  SmallVector<ReassociationIndices> groups;
  if (task.rowDims.empty()) {
    if (inner.empty())
      return tensor::ExpandShapeOp::create(b, loc, type, tile, groups);
    groups.push_back({0, 1});
    for (size_t i = 1; i < inner.size(); ++i)
      groups.push_back({static_cast<int64_t>(i) + 1});
    return tensor::ExpandShapeOp::create(b, loc, type, tile, groups);
  }
  groups.push_back({0, 1});
  for (size_t i = 0; i < inner.size(); ++i)
    groups.push_back({static_cast<int64_t>(i) + 2});
  return tensor::CollapseShapeOp::create(b, loc, type, tile, groups);
}

MappedTensor TileLoader::loadScoreColumns(MappedTensor operand) {
  SmallVector<Dim> present = {Dim::n}, all = {Dim::n};
  for (Dim dim : task.rowDims) {
    all.push_back(dim);
    if (hasDim(operand.map, dim))
      present.push_back(dim);
  }
  SmallVector<Dim> natural =
      llvm::filter_to_vector(getDims(operand.map), [&](Dim dim) { return llvm::is_contained(present, dim); });
  MappedTensor tile = loadTile(operand, natural);
  Type elementType = cast<RankedTensorType>(tile.tensor.getType()).getElementType();
  // Bytes are turned as words: there are instructions for that.
  bool isByte = elementType.isInteger(8) && natural != present;
  if (isByte)
    tile = convert(tile, b.getI32Type());
  tile = transpose(tile, present);
  if (isByte)
    tile = convert(tile, elementType);
  tile = transpose(tile, all);

  Value flat = tile.tensor;
  int64_t keys = cast<RankedTensorType>(flat.getType()).getDimSize(0), rows = schedule.getG() * schedule.getM();
  if (task.rowDims.size() == 2)
    flat = tensor::CollapseShapeOp::create(b, loc, RankedTensorType::get({keys, rows}, elementType), flat,
                                           ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  if (rows != schedule.getRows())
    flat = padTo(flat, tensor::getMixedSizes(b, loc, flat), {keys, schedule.getRows()});
  return {flat, task.dimsMap({Dim::n, Dim::m})};
}

MappedTensor TileLoader::convert(MappedTensor tile, Type elementType) {
  auto type = cast<RankedTensorType>(tile.tensor.getType());
  Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), elementType);
  bool widens = elementType.getIntOrFloatBitWidth() > type.getElementTypeBitWidth();
  Value converted =
      buildGeneric(b, loc, tile, {empty, tile.map}, [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
        if (widens)
          return arith::ExtUIOp::create(nested, l, elementType, args[0]);
        return arith::TruncIOp::create(nested, l, elementType, args[0]);
      });
  return {converted, tile.map};
}

std::optional<MappedTensor> TileLoader::loadScoreOperand(std::optional<MappedTensor> operand) {
  if (!operand)
    return std::nullopt;
  SmallVector<Dim> inner;
  if (hasDim(operand->map, Dim::n))
    inner.push_back(Dim::n);
  if (hasDim(operand->map, Dim::g) || hasDim(operand->map, Dim::m)) {
    if (schedule.getLanes() == Lanes::Row && hasDim(operand->map, Dim::n))
      return loadScoreColumns(*operand);
    return loadRows(*operand, inner);
  }
  return loadTile(*operand, inner);
}

} // namespace mlir::gqa
