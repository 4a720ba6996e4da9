#include "passes/gpu/AttentionKernel.h"
#include "passes/gpu/TileBuilder.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

/// Query rows of one block.
constexpr int64_t kRows = 16;

int64_t getMergeColumns(const AttentionShape &shape) {
  for (int64_t columns : {32, 16})
    if (shape.dv % columns == 0)
      return columns;
  return shape.getPaddedDv();
}

void buildMergeKernel(OpBuilder &b, const AttentionShape &shape, KernelOperands &operands) {
  Location loc = operands.kernel.getLoc();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&operands.kernel.getBody().front());
  MLIRContext *context = b.getContext();
  Type i32 = b.getI32Type();
  int64_t columns = getMergeColumns(shape), columnTiles = shape.getPaddedDv() / columns;
  AttentionPlace place{b, loc, shape, {}, {}, {}};
  Value x = gqa_gpu::BlockIdOp::create(b, loc, i32, 0);
  place.heads = gqa_gpu::BlockIdOp::create(b, loc, i32, 1);
  place.batch = gqa_gpu::BlockIdOp::create(b, loc, i32, 2);
  place.rows =
      arith::MulIOp::create(b, loc, operands.getScalar(unsigned(KernelScalar::m)), place.i32(shape.getTileHeads()));
  Value columnTile = arith::RemUIOp::create(b, loc, x, place.i32(columnTiles));
  Value firstRow =
      arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, x, place.i32(columnTiles)), place.i32(kRows));
  Value firstColumn =
      arith::ExtUIOp::create(b, loc, b.getI64Type(), arith::MulIOp::create(b, loc, columnTile, place.i32(columns)));

  AffineMap accMap = getDimsMap(context, {Dim::m, Dim::dv}), rowMap = getDimsMap(context, {Dim::m});
  SmallVector<OpFoldResult> accSizes = {b.getIndexAttr(kRows), b.getIndexAttr(columns)};
  SoftmaxState init = buildInitialState(b, loc, accMap, rowMap, accSizes, accSizes[0]);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  Value splits =
      arith::IndexCastOp::create(b, loc, b.getIndexType(), operands.getScalar(unsigned(KernelScalar::splits)));
  auto loop = scf::ForOp::create(
      b, loc, zero, splits, one, ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor},
      [&](OpBuilder &nested, Location, Value split, ValueRange args) {
        auto getRow = [&](OpBuilder &inner, Value row) {
          return place.clampRow(inner, arith::AddIOp::create(inner, loc, row, firstRow));
        };
        const GlobalTensor &accs = operands.getTensor(0);
        auto load = gqa_gpu::LoadRowsOp::create(nested, loc, RankedTensorType::get({kRows, columns}, b.getF32Type()),
                                                accs.pointer, columns);
        buildAddress(nested, load, [&](OpBuilder &inner, Value row) -> RowAddress {
          Value offset = accs.getOffset(inner, loc, {place.batch, place.heads, split, getRow(inner, row), Value()});
          return {arith::AddIOp::create(inner, loc, offset, firstColumn),
                  arith::ConstantIntOp::create(inner, loc, 1, 1)};
        });
        auto loadRows = [&](unsigned number) -> MappedTensor {
          const GlobalTensor &partial = operands.getTensor(number);
          Value tile = buildTile(nested, loc, kRows, b.getF32Type(), [&](OpBuilder &inner, Value row, Value) {
            return partial.load(inner, loc, {place.batch, place.heads, split, getRow(inner, row)});
          });
          return {tile, rowMap};
        };
        SoftmaxState state = {{args[0], accMap}, {args[1], rowMap}, {args[2], rowMap}};
        SoftmaxState other = {{load.getTile(), accMap}, loadRows(1), loadRows(2)};
        SoftmaxState merged = buildMergeStep(nested, loc, state, other);
        scf::YieldOp::create(nested, loc, ValueRange{merged.acc.tensor, merged.max.tensor, merged.sum.tensor});
      });

  AttentionOp op = shape.op;
  bool hasSink = static_cast<bool>(op.getSink());
  ResultWriter writer{place,
                      operands,
                      hasSink ? 4u : 3u,
                      hasSink ? std::optional(3u) : std::nullopt,
                      firstRow,
                      firstColumn,
                      arith::ConstantIntOp::create(b, loc, 1, 1),
                      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, columnTile, place.i32(0)),
                      columnTiles == 1 ? shape.dv : columns};
  writer.write({{loop.getResult(0), accMap}, {loop.getResult(1), rowMap}, {loop.getResult(2), rowMap}});
  func::ReturnOp::create(b, loc);
}

} // namespace mlir::gqa
