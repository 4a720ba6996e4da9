// How gqa-gpu-distribute moves tiles between memory and lanes.

#include "passes/gpu/Distributor.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::gqa {

using namespace gqa_gpu;

LogicalResult Distributor::distributeSharedTile(SharedTileOp tile) {
  Fragment fragment;
  fragment.type = getTileType(tile.getTile());
  fragment.address = mapping.lookup(tile.getAddress());
  fragments[tile.getTile()] = fragment;
  return success();
}

/// What the region of an op says of `row` (i32).
template <typename OpTy> Distributor::RowAddress Distributor::getAddress(OpTy op, Value row) {
  IRMapping local(mapping);
  Block &block = op.getAddress().front();
  local.map(block.getArgument(0), row);
  for (Operation &inner : block.without_terminator())
    b.clone(inner, local);
  Operation *yield = op.getYield();
  return {local.lookup(yield->getOperand(0)), local.lookup(yield->getOperand(1))};
}

/// A loop that LLVM leaves one.
static scf::ForOp buildRolledLoop(OpBuilder &b, Location loc, Value begin, Value end, Value step) {
  auto loop = scf::ForOp::create(b, loc, begin, end, step);
  loop->setAttr("llvm.loop_annotation",
                parseAttribute("#llvm.loop_annotation<unroll = <disable = true>>", b.getContext()));
  return loop;
}

void Distributor::forEachChunk(Location loc, int64_t chunks, int64_t threads, int64_t atATime,
                               function_ref<void(Value)> body) {
  int64_t first = 0, step = atATime * threads;
  if (chunks >= 2 * step) {
    first = chunks / step * step;
    OpBuilder::InsertionGuard guard(b);
    scf::ForOp loop = buildRolledLoop(b, loc, lane.constant(0), lane.constant(first), lane.constant(step));
    b.setInsertionPointToStart(loop.getBody());
    Value index = lane.add(lane.thread, loop.getInductionVar());
    for (int64_t i = 0; i < atATime; ++i)
      body(lane.add(index, i * threads));
  }
  for (; first < chunks; first += threads) {
    OpBuilder::InsertionGuard guard(b);
    Value index = lane.add(lane.thread, first);
    if (first + threads > chunks) {
      Value isInside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, index, lane.constant(chunks));
      b.setInsertionPoint(scf::IfOp::create(b, loc, isInside, /*withElseRegion=*/false).thenBlock()->getTerminator());
    }
    body(index);
  }
}

/// Copies whose addresses a lane computes together: the more, the better hidden is the latency of looking pages up, and
/// the more registers it takes.
static constexpr int64_t kCopiesAtATime = 16, kLookUpsAtATime = 8;

static bool looksUp(CopyRowsOp copy) {
  return copy.getAddress().walk([](LLVM::LoadOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

LogicalResult Distributor::distributeCopy(CopyRowsOp copy) {
  Location loc = copy.getLoc();
  Type element = copy.getElement();
  int64_t bytes = getCopyBytes(copy.getColumns(), element);
  int64_t elements = bytes * 8 / element.getIntOrFloatBitWidth();
  int64_t perRow = copy.getWidth() / elements;
  // LLVM knows no type of 8-bit floats.
  Type unit = isa<FloatType>(element) && element.getIntOrFloatBitWidth() == 8 ? b.getI8Type() : element;
  int64_t chunks = copy.getRows() * perRow, atATime = looksUp(copy) ? kLookUpsAtATime : kCopiesAtATime;
  forEachChunk(loc, chunks, copy.getThreads(), atATime, [&](Value index) {
    Value row = arith::DivUIOp::create(b, loc, index, lane.constant(perRow));
    Value chunk = arith::RemUIOp::create(b, loc, index, lane.constant(perRow));
    RowAddress address = getAddress(copy, row);
    Value isValid = address.isValid;
    if (copy.getColumns() != copy.getWidth()) {
      Value limit = lane.constant(copy.getColumns() / elements);
      Value isReal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, chunk, limit);
      isValid = arith::AndIOp::create(b, loc, isValid, isReal);
    }
    Value read = arith::SelectOp::create(b, loc, isValid, lane.constant(bytes), lane.constant(0));
    Value column = arith::ExtUIOp::create(b, loc, b.getI64Type(), lane.mul(chunk, elements));
    Value offset = arith::AddIOp::create(b, loc, address.offset, column);
    // What is not read may lie anywhere; its address stays inside the tensor all the same.
    Value zero = arith::ConstantIntOp::create(b, loc, 0, 64);
    offset = arith::SelectOp::create(b, loc, isValid, offset, zero);
    Value source = lane.getElement(mapping.lookup(copy.getSource()), unit, offset);
    Value to = lane.add(lane.mul(row, copy.getPitch()), lane.mul(chunk, bytes));
    CpAsyncOp::create(b, loc, lane.advance(mapping.lookup(copy.getDestination()), to), source, read, bytes);
  });
  return success();
}

/// Visits the rows that a lane holds, each with all of its pairs of columns.
static void forEachRow(const Fragment &fragment, function_ref<void(FragmentElement)> body) {
  for (int64_t rowBlock = 0; rowBlock < fragment.type.getDimSize(0) / 16; ++rowBlock)
    for (int64_t half : {0, 1})
      body({rowBlock, half, 0, 0});
}

Value Distributor::getColumnOffset(Value rowOffset) {
  Value column = arith::ExtUIOp::create(b, lane.loc, b.getI64Type(), lane.column);
  return arith::AddIOp::create(b, lane.loc, rowOffset, column);
}

LogicalResult Distributor::distributeLoad(LoadRowsOp load) {
  FailureOr<Fragment> fragment = makeFragment(load.getTile());
  if (failed(fragment))
    return failure();
  Location loc = load.getLoc();
  Type element = fragment->type.getElementType();
  auto pair = VectorType::get({2}, element);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
  forEachRow(*fragment, [&](FragmentElement position) {
    Value offset = getColumnOffset(getAddress(load, lane.getRow(position)).offset);
    for (position.columnBlock = 0; position.columnBlock < fragment->type.getDimSize(1) / 8; ++position.columnBlock) {
      bool isReal = 8 * position.columnBlock < static_cast<int64_t>(load.getColumns());
      Value loaded;
      if (isReal) {
        Value address = lane.getElement(mapping.lookup(load.getSource()), element, offset, 8 * position.columnBlock);
        loaded = LLVM::LoadOp::create(b, loc, pair, address, /*alignment=*/element.getIntOrFloatBitWidth() / 4);
      }
      for (position.parity = 0; position.parity < 2; ++position.parity)
        fragment->at(position) = isReal ? Value(vector::ExtractOp::create(b, loc, loaded, position.parity)) : zero;
      position.parity = 0;
    }
  });
  fragments[load.getTile()] = *fragment;
  return success();
}

LogicalResult Distributor::distributeStore(StoreRowsOp store) {
  Fragment &fragment = fragments[store.getTile()];
  Location loc = store.getLoc();
  Type element = fragment.type.getElementType();
  bool isRank1 = fragment.type.getRank() == 1;
  forEachRow(fragment, [&](FragmentElement position) {
    OpBuilder::InsertionGuard guard(b);
    RowAddress row = getAddress(store, lane.getRow(position));
    Value isValid = row.isValid;
    if (isRank1) {
      // One of the four lanes that hold the element writes it.
      Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane.column, lane.constant(0));
      isValid = arith::AndIOp::create(b, loc, isValid, isFirst);
    }
    b.setInsertionPoint(scf::IfOp::create(b, loc, isValid, /*withElseRegion=*/false).thenBlock()->getTerminator());
    Value destination = mapping.lookup(store.getDestination());
    if (isRank1) {
      LLVM::StoreOp::create(b, loc, fragment.at(position), lane.getElement(destination, element, row.offset));
      return;
    }
    Value offset = getColumnOffset(row.offset);
    auto pair = VectorType::get({2}, element);
    for (position.columnBlock = 0; 8 * position.columnBlock < static_cast<int64_t>(store.getColumns());
         ++position.columnBlock) {
      FragmentElement second = position;
      second.parity = 1;
      Value values =
          vector::FromElementsOp::create(b, loc, pair, ValueRange{fragment.at(position), fragment.at(second)});
      LLVM::StoreOp::create(b, loc, values, lane.getElement(destination, element, offset, 8 * position.columnBlock),
                            /*alignment=*/element.getIntOrFloatBitWidth() / 4);
    }
  });
  return success();
}

Value Distributor::getWord(Value address, int64_t word) {
  return lane.advance(mapping.lookup(address), lane.shiftLeft(lane.lane, 2), 128 * word);
}

LogicalResult Distributor::distributePut(PutTileOp put) {
  for (auto [word, element] : llvm::enumerate(fragments[put.getTile()].elements))
    LLVM::StoreOp::create(b, put.getLoc(), element, getWord(put.getAddress(), word));
  return success();
}

LogicalResult Distributor::distributeGet(GetTileOp get) {
  FailureOr<Fragment> fragment = makeFragment(get.getTile());
  if (failed(fragment))
    return failure();
  for (auto [word, element] : llvm::enumerate(fragment->elements))
    element = LLVM::LoadOp::create(b, get.getLoc(), fragment->type.getElementType(), getWord(get.getAddress(), word));
  fragments[get.getTile()] = *fragment;
  return success();
}

} // namespace mlir::gqa
