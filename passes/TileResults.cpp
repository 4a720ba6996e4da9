#include "passes/TileResults.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {

SmallVector<Value> TileResults::buildForall(ArrayRef<OpFoldResult> tasks, ValueRange destinations,
                                            function_ref<void(ValueRange, ValueRange)> body) {
  auto forall = scf::ForallOp::create(b, loc, tasks, destinations, /*mapping=*/std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(forall.getTerminator());
  insertions.clear();
  body(forall.getInductionVars(), forall.getRegionIterArgs());
  b.setInsertionPointToEnd(forall.getTerminator().getBody());
  for (auto &insert : insertions)
    insert();
  return forall.getResults();
}

void TileResults::insertResults(const SoftmaxState &state, ValueRange destinations) {
  auto emptyTile = [&](ArrayRef<Dim> dims, ArrayRef<int64_t> extents, Value like) -> MappedTensor {
    Type elementType = cast<RankedTensorType>(like.getType()).getElementType();
    return {tensor::EmptyOp::create(b, loc, extents, elementType), task.dimsMap(dims)};
  };
  std::optional<MappedTensor> sink, lse;
  if (task.op.getSink())
    sink = loader.loadRows({task.op.getSink(), task.op.getMap(*task.op.getSinkMutable().begin())}, {});
  if (task.op.getLse())
    lse = emptyTile({Dim::m}, {schedule.getRows()}, task.op.getLse());
  MappedTensor output = emptyTile({Dim::m, Dim::dv}, {schedule.getRows(), task.dv}, task.op.getOutput());
  FinalResults results = buildFinalResults(b, loc, state, sink, output, lse);
  insertRows(results.output, {Dim::dv}, destinations[0], task.op.getOutputMap());
  if (lse)
    insertRows(results.lse, {}, destinations[1], task.op.getMap(task.op.getOutputsMutable()[1]));
}

/// Writes the rows of `tile` that are query rows into `destination`.
void TileResults::insertRows(Value tile, ArrayRef<Dim> innerDims, Value destination, AffineMap map) {
  SmallVector<Dim> dims(task.rowDims);
  llvm::append_range(dims, innerDims);
  Value expanded = expandRows(tile, innerDims);
  SmallVector<Dim> kept = llvm::filter_to_vector(getDims(map), [&](Dim dim) { return llvm::is_contained(dims, dim); });
  Value ordered = loader.transpose({expanded, task.dimsMap(dims)}, kept).tensor;

  SmallVector<OpFoldResult> offsets, sizes, innerOffsets, innerSizes;
  for (Dim dim : getDims(map)) {
    offsets.push_back(task.range(dim).offset);
    sizes.push_back(task.range(dim).size);
    if (llvm::is_contained(kept, dim)) {
      innerOffsets.push_back(math.constant(0));
      innerSizes.push_back(task.range(dim).size);
    }
  }
  SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1)), innerStrides(kept.size(), math.constant(1));
  Type elementType = cast<RankedTensorType>(ordered.getType()).getElementType();
  auto type = RankedTensorType::get(TileLoader::dropUnits(innerSizes), elementType);
  Value valid = tensor::ExtractSliceOp::create(b, loc, type, ordered, innerOffsets, innerSizes, innerStrides);
  insertions.push_back(
      [=] { tensor::ParallelInsertSliceOp::create(b, loc, valid, destination, offsets, sizes, strides); });
}

/// [rows, inner...] -> [task.rowDims..., inner...].
Value TileResults::expandRows(Value tile, ArrayRef<Dim> innerDims) {
  auto type = cast<RankedTensorType>(tile.getType());
  int64_t rows = schedule.getG() * schedule.getM();
  SmallVector<int64_t> inner(type.getShape().drop_front(1));
  if (rows != schedule.getRows()) {
    SmallVector<OpFoldResult> offsets(type.getRank(), math.constant(0)), strides(type.getRank(), math.constant(1));
    SmallVector<OpFoldResult> sizes = {math.constant(rows)};
    for (int64_t extent : inner)
      sizes.push_back(math.constant(extent));
    tile = tensor::ExtractSliceOp::create(b, loc, tile, offsets, sizes, strides);
  }
  if (task.rowDims.size() == 1)
    return tile;
  SmallVector<int64_t> extents;
  for (Dim dim : task.rowDims)
    extents.push_back(task.range(dim).extent);
  llvm::append_range(extents, inner);
  auto expanded = RankedTensorType::get(extents, type.getElementType());
  SmallVector<ReassociationIndices> groups;
  if (task.rowDims.empty()) {
    if (!inner.empty()) {
      groups.push_back({0, 1});
      for (size_t i = 1; i < inner.size(); ++i)
        groups.push_back({static_cast<int64_t>(i) + 1});
    }
    return tensor::CollapseShapeOp::create(b, loc, expanded, tile, groups);
  }
  groups.push_back({0, 1});
  for (size_t i = 0; i < inner.size(); ++i)
    groups.push_back({static_cast<int64_t>(i) + 2});
  return tensor::ExpandShapeOp::create(b, loc, expanded, tile, groups);
}

void TileResults::insertPartial(Value tile, Value destination, ValueRange ids) {
  SmallVector<OpFoldResult> offsets = getAsOpFoldResult(ids);
  SmallVector<OpFoldResult> sizes(ids.size(), math.constant(1));
  SmallVector<OpFoldResult> tileSizes = tensor::getMixedSizes(b, loc, tile);
  offsets.append(tileSizes.size(), math.constant(0));
  llvm::append_range(sizes, tileSizes);
  SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
  insertions.push_back(
      [=] { tensor::ParallelInsertSliceOp::create(b, loc, tile, destination, offsets, sizes, strides); });
}

Value TileResults::extractPartials(Value partials, ValueRange ids, OpFoldResult splits) {
  auto type = cast<RankedTensorType>(partials.getType());
  SmallVector<OpFoldResult> offsets = getAsOpFoldResult(ids), sizes(ids.size(), math.constant(1));
  SmallVector<OpFoldResult> all = tensor::getMixedSizes(b, loc, partials);
  offsets.append(type.getRank() - ids.size(), math.constant(0));
  llvm::append_range(sizes, ArrayRef(all).drop_front(ids.size()));
  sizes[ids.size()] = splits;
  SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
  auto result = RankedTensorType::get(type.getShape().drop_front(ids.size()), type.getElementType());
  return tensor::ExtractSliceOp::create(b, loc, result, partials, offsets, sizes, strides);
}

} // namespace mlir::gqa
