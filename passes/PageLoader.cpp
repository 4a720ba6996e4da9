#include "passes/PageLoader.h"

#include "dialect/PageTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <numeric>

namespace mlir::gqa {

/// The shortest run that is read in place: the decomposition computes so many dot products at a time, and sums of other
/// numbers would go in another order.
constexpr int64_t kShortestRun = 16;

PageLoader::PageLoader(AttentionTask &task, TileLoader &loader)
    : task(task), loader(loader), b(task.b), loc(task.loc), math(task.math) {
  MappedTensor operand = *task.operand(task.op.getBlockTableMutable());
  task.range(Dim::block) = {math.constant(0), task.extent(Dim::block), 0};
  SmallVector<OpFoldResult> offsets, sizes, strides(operand.map.getNumResults(), math.constant(1));
  for (Dim dim : getDims(operand.map)) {
    offsets.push_back(task.range(dim).offset);
    sizes.push_back(task.range(dim).size);
  }
  std::optional<int64_t> blocks = getConstantIntValue(task.extent(Dim::block));
  auto rowType = RankedTensorType::get({blocks.value_or(ShapedType::kDynamic)}, b.getI32Type());
  table = tensor::ExtractSliceOp::create(b, loc, rowType, operand.tensor, offsets, sizes, strides);
  hasOneBlock = blocks == 1;
  slots = getConstantIntValue(task.extent(Dim::slot));
  int64_t keys = task.schedule.getN();
  run = hasOneBlock ? keys : slots ? std::gcd(*slots, keys) : 1;
}

MappedTensor PageLoader::load(MappedTensor operand, std::optional<Dim> row, bool isEdge) {
  const TileRange &keys = task.range(Dim::n);
  if (run == keys.extent)
    return loadRun(operand, row, keys.offset, keys.size, run);
  if (!isEdge && canGather(operand.map, row))
    return gather(operand, *row);
  return copy(operand, row, isEdge);
}

PageLoader::Place PageLoader::locate(OpFoldResult key) {
  OpFoldResult block = math.constant(0), slot = key;
  if (slots && !hasOneBlock) {
    block = math.floorDiv(key, *slots);
    slot = math.sub(key, math.mul(block, *slots));
  } else if (!hasOneBlock) {
    Value size = math.value(task.extent(Dim::slot));
    block = arith::DivUIOp::create(b, loc, math.value(key), size).getResult();
    slot = arith::RemUIOp::create(b, loc, math.value(key), size).getResult();
  }
  return {buildPageLookup(b, loc, table, math.value(block), math.value(task.extent(Dim::page))), slot};
}

/// The `size` keys from `key` on, which lie in one page, padded to `run`.
MappedTensor PageLoader::loadRun(MappedTensor operand, std::optional<Dim> row, OpFoldResult key, OpFoldResult size,
                                 int64_t run) {
  Place place = locate(key);
  task.range(Dim::page) = {place.page, math.constant(1), 1};
  task.range(Dim::slot) = {place.slot, size, run};
  SmallVector<Dim> stored = {Dim::slot}, tile = {Dim::n};
  if (row) {
    stored.push_back(*row);
    tile.push_back(*row);
  }
  return {loader.loadTile(operand, stored).tensor, task.dimsMap(tile)};
}

/// Rows lie as gqa.gather_pages wants them, and in runs that the decomposition can work on.
bool PageLoader::canGather(AffineMap map, std::optional<Dim> row) {
  if (!row || run % kShortestRun != 0 || task.schedule.getLanes() != Lanes::HeadDim)
    return false;
  SmallVector<Dim> kept = llvm::filter_to_vector(
      getDims(map), [&](Dim dim) { return dim == Dim::page || dim == Dim::slot || dim == *row; });
  return kept == SmallVector<Dim>{Dim::page, Dim::slot, *row};
}

MappedTensor PageLoader::gather(MappedTensor operand, Dim row) {
  task.range(Dim::page) = {math.constant(0), task.extent(Dim::page), 0};
  task.range(Dim::slot) = {math.constant(0), task.extent(Dim::slot), 0};
  SmallVector<OpFoldResult> offsets, sizes, strides(operand.map.getNumResults(), math.constant(1));
  SmallVector<int64_t> shape;
  for (Dim dim : getDims(operand.map)) {
    const TileRange &part = task.range(dim);
    offsets.push_back(part.offset);
    sizes.push_back(part.size);
    if (dim == Dim::page || dim == Dim::slot || dim == row)
      shape.push_back(getConstantIntValue(part.size).value_or(ShapedType::kDynamic));
  }
  Type element = cast<RankedTensorType>(operand.tensor.getType()).getElementType();
  Value pages = tensor::ExtractSliceOp::create(b, loc, RankedTensorType::get(shape, element), operand.tensor, offsets,
                                               sizes, strides);
  const TileRange &keys = task.range(Dim::n);
  auto type = RankedTensorType::get({keys.extent, task.range(row).extent}, element);
  Value tile = GatherPagesOp::create(b, loc, type, pages, table, math.value(keys.offset));
  return {tile, task.dimsMap({Dim::n, row})};
}

MappedTensor PageLoader::copy(MappedTensor operand, std::optional<Dim> row, bool isEdge) {
  TileRange keys = task.range(Dim::n);
  SmallVector<int64_t> shape = {keys.extent};
  SmallVector<Dim> dims = {Dim::n};
  if (row) {
    shape.push_back(task.range(*row).extent);
    dims.push_back(*row);
  }
  Type element = cast<RankedTensorType>(operand.tensor.getType()).getElementType();
  Value tile = tensor::EmptyOp::create(b, loc, shape, element);
  if (isEdge) {
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
    tile = linalg::FillOp::create(b, loc, zero, tile).getResult(0);
  }
  auto loop = scf::ForOp::create(b, loc, math.value(math.constant(0)), math.value(keys.size),
                                 math.value(math.constant(run)), tile);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  OpFoldResult offset = loop.getInductionVar();
  OpFoldResult size = math.constant(run);
  if (isEdge && run != 1)
    size = math.min(size, math.sub(keys.size, offset));
  Value rows = loadRun(operand, row, math.add(keys.offset, offset), size, run).tensor;
  SmallVector<OpFoldResult> offsets(shape.size(), math.constant(0)), strides(shape.size(), math.constant(1));
  offsets[0] = offset;
  SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(b.getContext(), shape);
  sizes[0] = math.constant(run);
  Value copied = tensor::InsertSliceOp::create(b, loc, rows, loop.getRegionIterArg(0), offsets, sizes, strides);
  scf::YieldOp::create(b, loc, copied);
  return {loop.getResult(0), task.dimsMap(dims)};
}

} // namespace mlir::gqa
