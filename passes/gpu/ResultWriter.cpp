#include "passes/gpu/AttentionKernel.h"
#include "passes/gpu/TileBuilder.h"

namespace mlir::gqa {

void ResultWriter::write(const SoftmaxState &state) const {
  OpBuilder &b = place.b;
  Location loc = place.loc;
  AttentionOp op = place.shape.op;
  auto accType = cast<RankedTensorType>(state.acc.tensor.getType());
  int64_t tileRows = accType.getDimSize(0);
  auto emptyTile = [&](ArrayRef<int64_t> shape, Value like, AffineMap map) -> MappedTensor {
    return {tensor::EmptyOp::create(b, loc, shape, cast<RankedTensorType>(like.getType()).getElementType()), map};
  };
  std::optional<MappedTensor> sinkTile, lse;
  if (sink) {
    const GlobalTensor &logits = operands.getTensor(*sink);
    AffineMap map = op.getMap(*op.getSinkMutable().begin());
    Value tile = buildTile(b, loc, tileRows, logits.element, [&](OpBuilder &nested, Value row, Value) {
      row = place.clampRow(nested, arith::AddIOp::create(nested, loc, row, firstRow));
      return logits.load(nested, loc, place.getIndices(nested, map, row));
    });
    sinkTile = {tile, state.max.map};
  }
  if (op.getLse())
    lse = emptyTile(tileRows, op.getLse(), state.max.map);
  MappedTensor output = emptyTile(accType.getShape(), op.getOutput(), state.acc.map);
  FinalResults results = buildFinalResults(b, loc, state, sinkTile, output, lse);

  auto store = [&](Value tile, unsigned number, AffineMap map, Value column, Value isStored) {
    const GlobalTensor &destination = operands.getTensor(firstOutput + number);
    auto rows = gqa_gpu::StoreRowsOp::create(b, loc, tile, destination.pointer, columns);
    buildAddress(b, rows, [&](OpBuilder &nested, Value row) -> RowAddress {
      row = arith::AddIOp::create(nested, loc, row, firstRow);
      Value offset = destination.getOffset(nested, loc, place.getIndices(nested, map, row));
      if (column)
        offset = arith::AddIOp::create(nested, loc, offset, column);
      return {offset, arith::AndIOp::create(nested, loc, place.isRow(nested, row), isStored)};
    });
  };
  store(results.output, 0, op.getOutputMap(), firstColumn, isWriter);
  if (lse)
    store(results.lse, 1, op.getMap(op.getOutputsMutable()[1]), Value(), isLseWriter);
}

} // namespace mlir::gqa
