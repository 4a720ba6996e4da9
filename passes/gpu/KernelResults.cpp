#include "passes/gpu/KernelResults.h"

namespace mlir::gqa {

using namespace gqa_gpu;

void KernelResults::write(SoftmaxState state) {
  if (frame.schedule.getKeyWarps() > 1)
    state = mergeKeyWarps(state);
  frame.schedule.getSplit() ? writePartial(state) : writeResults(state);
}

/// The states of all warps with the same rows, merged in the order of their keys.
SoftmaxState KernelResults::mergeKeyWarps(const SoftmaxState &state) {
  const SharedLayout &layout = frame.layout;
  CpAsyncWaitOp::create(b, loc, 0);
  BarrierOp::create(b, loc);
  int64_t partOffsets[] = {0, layout.accBytes, layout.accBytes + layout.rowBytes};
  auto getAddress = [&](Value warp, int64_t part) {
    Value offset = frame.add(frame.mul(warp, layout.state), frame.place.i32(layout.ring + partOffsets[part]));
    return frame.advance(frame.shared, offset);
  };
  int64_t rowWarps = frame.schedule.getRowWarps();
  Value warp = frame.add(frame.mul(frame.keyWarp, rowWarps), frame.rowWarp);
  Value tensors[] = {state.acc.tensor, state.max.tensor, state.sum.tensor};
  for (auto [part, tensor] : llvm::enumerate(tensors))
    PutTileOp::create(b, loc, tensor, getAddress(warp, part));
  BarrierOp::create(b, loc);
  auto getState = [&](int64_t number) -> SoftmaxState {
    Value other = frame.add(frame.rowWarp, frame.place.i32(number * rowWarps));
    auto getTile = [&](int64_t part, AffineMap map) -> MappedTensor {
      return {GetTileOp::create(b, loc, tensors[part].getType(), getAddress(other, part)), map};
    };
    return {getTile(0, state.acc.map), getTile(1, state.max.map), getTile(2, state.sum.map)};
  };
  SoftmaxState merged = getState(0);
  for (int64_t number = 1; number < frame.schedule.getKeyWarps(); ++number)
    merged = buildMergeStep(b, loc, merged, getState(number));
  return merged;
}

Value KernelResults::isWriter() {
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, frame.keyWarp, frame.place.i32(0));
}

void KernelResults::writeResults(const SoftmaxState &state) {
  std::optional<unsigned> sink;
  if (op.getSink())
    sink = op.getSinkMutable()[0].getOperandNumber();
  unsigned output = op.getOutputsMutable()[0].getOperandNumber();
  ResultWriter writer{frame.place, frame.operands, output,     sink,          frame.warpRow,
                      Value(),     isWriter(),     isWriter(), frame.shape.dv};
  writer.write(state);
}

void KernelResults::writePartial(const SoftmaxState &state) {
  unsigned first = op.getOutputsMutable()[0].getOperandNumber();
  Value writes = isWriter();
  auto store = [&](Value tile, unsigned number) {
    const GlobalTensor &destination = frame.operands.getTensor(first + number);
    auto rows = StoreRowsOp::create(b, loc, tile, destination.pointer, frame.shape.getPaddedDv());
    buildAddress(b, rows, [&](OpBuilder &nested, Value row) -> RowAddress {
      row = arith::AddIOp::create(nested, loc, row, frame.warpRow);
      SmallVector<Value> indices = {frame.place.batch, frame.place.heads, frame.split, row};
      indices.resize(destination.shape.size());
      return {destination.getOffset(nested, loc, indices),
              arith::AndIOp::create(nested, loc, frame.place.isRow(nested, row), writes)};
    });
  };
  store(state.acc.tensor, 0);
  store(state.max.tensor, 1);
  store(state.sum.tensor, 2);
}

} // namespace mlir::gqa
