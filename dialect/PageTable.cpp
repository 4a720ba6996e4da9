// Where keys lie in pages: the lookup, and gqa.gather_pages, which reads runs of keys by it.

#include "dialect/PageTable.h"

#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

#include <numeric>

using namespace mlir;
using namespace mlir::gqa;

Value mlir::gqa::buildPageLookup(OpBuilder &builder, Location loc, Value numBlocks, Value block, Value numPages,
                                 function_ref<Value(Value)> loadEntry) {
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0), one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value lastBlock = arith::SubIOp::create(builder, loc, numBlocks, one);
  Value entry = loadEntry(arith::MinUIOp::create(builder, loc, block, lastBlock));
  Value page = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), entry);
  Value lastPage = arith::SubIOp::create(builder, loc, numPages, one);
  return arith::MaxSIOp::create(builder, loc, arith::MinSIOp::create(builder, loc, page, lastPage), zero);
}

Value mlir::gqa::buildPageLookup(OpBuilder &builder, Location loc, Value table, Value block, Value numPages) {
  Value numBlocks = tensor::DimOp::create(builder, loc, table, 0);
  return buildPageLookup(builder, loc, numBlocks, block, numPages,
                         [&](Value known) -> Value { return tensor::ExtractOp::create(builder, loc, table, known); });
}

LogicalResult GatherPagesOp::verify() {
  auto pages = cast<RankedTensorType>(getPages().getType()), table = cast<RankedTensorType>(getTable().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (pages.getRank() != 3 || result.getRank() != 2 || pages.isDynamicDim(1) || pages.isDynamicDim(2) ||
      pages.getDimSize(1) == 0 || pages.getDimSize(2) != result.getDimSize(1) ||
      pages.getElementType() != result.getElementType())
    return emitOpError()
           << "needs pages [page, slot, d] and a result [n, d] of one element type and static extents, got " << pages
           << " and " << result << " (G1)";
  if (table.getRank() != 1 || !table.getElementType().isSignlessInteger(32))
    return emitOpError() << "needs a table of rank 1 and i32, got " << table << " (G1)";
  APInt start;
  if (matchPattern(getStart(), m_ConstantInt(&start)) && start.getSExtValue() % getRun() != 0)
    return emitOpError() << "starts at " << start.getSExtValue() << ", which is no multiple of the run of " << getRun()
                         << " rows (G2)";
  return success();
}

int64_t GatherPagesOp::getRun() {
  int64_t slots = cast<RankedTensorType>(getPages().getType()).getDimSize(1);
  return std::gcd(slots, cast<RankedTensorType>(getResult().getType()).getDimSize(0));
}

Value GatherPagesOp::buildRun(OpBuilder &builder, Value offset) {
  Location loc = getLoc();
  auto type = cast<RankedTensorType>(getPages().getType());
  Value slots = arith::ConstantIndexOp::create(builder, loc, type.getDimSize(1));
  Value key = arith::AddIOp::create(builder, loc, getStart(), offset);
  Value block = arith::DivUIOp::create(builder, loc, key, slots);
  Value slot = arith::RemUIOp::create(builder, loc, key, slots);
  Value numPages = tensor::DimOp::create(builder, loc, getPages(), 0);
  OpFoldResult page = buildPageLookup(builder, loc, getTable(), block, numPages);
  OpFoldResult zero = builder.getIndexAttr(0), one = builder.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets = {page, OpFoldResult(slot), zero}, strides(3, one);
  SmallVector<OpFoldResult> sizes = {one, builder.getIndexAttr(getRun()), builder.getIndexAttr(type.getDimSize(2))};
  auto run = RankedTensorType::get({getRun(), type.getDimSize(2)}, type.getElementType());
  return tensor::ExtractSliceOp::create(builder, loc, run, getPages(), offsets, sizes, strides);
}

Value GatherPagesOp::buildCopy(OpBuilder &builder) {
  Location loc = getLoc();
  auto type = cast<RankedTensorType>(getResult().getType());
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType());
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value rows = arith::ConstantIndexOp::create(builder, loc, type.getDimSize(0));
  Value step = arith::ConstantIndexOp::create(builder, loc, getRun());
  auto loop = scf::ForOp::create(
      builder, loc, zero, rows, step, empty, [&](OpBuilder &b, Location l, Value offset, ValueRange args) {
        SmallVector<OpFoldResult> offsets = {OpFoldResult(offset), b.getIndexAttr(0)}, strides(2, b.getIndexAttr(1));
        SmallVector<OpFoldResult> sizes = {b.getIndexAttr(getRun()), b.getIndexAttr(type.getDimSize(1))};
        Value copied = tensor::InsertSliceOp::create(b, l, buildRun(b, offset), args[0], offsets, sizes, strides);
        scf::YieldOp::create(b, l, copied);
      });
  return loop.getResult(0);
}
