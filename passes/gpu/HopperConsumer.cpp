// What the computing warpgroups of the kernel for Hopper do, written for one warp and its 16 of the warpgroup's 64
// rows.
//
// The scores of a block of keys and the weighted values of the block before it are multiplied at the same time, and the
// softmax of the scores is computed while the values are still under way:
//
//   S(0) = Q K(0); P(0) = softmax(S(0))
//   for j = 1 ...:  start S(j) = Q K(j); start O += P(j-1) V(j-1); P(j) = softmax(S(j)); wait for O; rescale O
//   O += P(last) V(last)

#include "passes/gpu/HopperKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

using namespace gqa_gpu;

namespace {

/// What the loop over blocks carries: the weights of the last block wait for their values.
struct Carried {
  Value acc, weights, max, sum;
  SmallVector<Value> get() const { return {acc, weights, max, sum}; }
  static Carried from(ValueRange values) { return {values[0], values[1], values[2], values[3]}; }
};

struct Consumer {
  explicit Consumer(const HopperBlock &block)
      : block(block), b(block.b), loc(block.loc), op(block.shape.op), schedule(block.schedule), layout(block.layout) {
    MLIRContext *context = b.getContext();
    accMap = getDimsMap(context, {Dim::m, Dim::dv});
    scoreMap = getDimsMap(context, {Dim::m, Dim::n});
    rowMap = getDimsMap(context, {Dim::m});
    element = cast<RankedTensorType>(op.getQuery().getType()).getElementType();
    scoreType = RankedTensorType::get({kRows, schedule.getN()}, b.getF32Type());
    accType = RankedTensorType::get({kRows, block.shape.dv}, b.getF32Type());
    options.scale = op.getScale().convertToDouble();
    if (op.getSoftcap())
      options.softcap = op.getSoftcap()->convertToDouble();
  }

  void build() {
    setPlace();
    if (schedule.getPingPong() && schedule.getConsumers() > 1)
      letFirstBegin();
    MBarrierWaitOp::create(b, loc, block.getBarrier(HopperBarrier::fullQuery), block.place.i32(0));
    Value zero = index(0), one = index(1);
    Carried carried = buildFirst(zero);
    if (block.keys->hasEdges()) {
      Value numEdges = arith::MaxSIOp::create(b, loc, block.keys->numEdges, one);
      carried = buildLoop(one, numEdges, carried, /*isEdge=*/true);
      one = numEdges;
    }
    carried = buildLoop(one, block.keys->numBlocks, carried, /*isEdge=*/false);
    write(buildLast(carried));
  }

private:
  static constexpr int64_t kRows = 16;

  void setPlace() {
    Value thread = ThreadIdOp::create(b, loc, b.getI32Type());
    lane = arith::AndIOp::create(b, loc, thread, block.place.i32(31));
    threadInGroup = arith::AndIOp::create(b, loc, thread, block.place.i32(127));
    isLeader = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane, block.place.i32(0));
    consumer = block.add(block.warpgroup, block.place.i32(-1));
    warpRow = buildWarpRow(threadInGroup);
    Value warpOfAll = arith::ShRUIOp::create(b, loc, thread, block.place.i32(5));
    sums = block.getAddress(layout.sums - 4 * HopperLayout::kSumBytes, warpOfAll, HopperLayout::kSumBytes);
    query = block.getAddress(0, consumer, 64 * HopperLayout::kSlabRowBytes);
  }

  /// The first of the warp's rows.
  Value buildWarpRow(Value thread) {
    Value row = arith::AndIOp::create(b, loc, thread, block.place.i32(96));
    row = arith::ShRUIOp::create(b, loc, row, block.place.i32(1));
    return block.add(block.add(block.firstRow, block.mul(consumer, 64)), row);
  }

  //===-- Turns ---------------------------------------------------------------------------------------------------===//

  // Barrier 1 + c lets consumer c start its products; it is passed by c itself and by the consumer before it.

  void letFirstBegin() {
    Value isLast =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, consumer, block.place.i32(schedule.getConsumers() - 1));
    auto branch = scf::IfOp::create(b, loc, isLast, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    NamedBarrierOp::create(b, loc, block.place.i32(1), 256, /*arriveOnly=*/true);
  }

  void beginTurn() {
    if (schedule.getPingPong() && schedule.getConsumers() > 1)
      NamedBarrierOp::create(b, loc, block.add(consumer, block.place.i32(1)), 256, /*arriveOnly=*/false);
  }

  void endTurn() {
    if (!schedule.getPingPong() || schedule.getConsumers() == 1)
      return;
    Value next = arith::RemUIOp::create(b, loc, block.warpgroup, block.place.i32(schedule.getConsumers()));
    NamedBarrierOp::create(b, loc, block.add(next, block.place.i32(1)), 256, /*arriveOnly=*/true);
  }

  //===-- Products ------------------------------------------------------------------------------------------------===//

  Value startScores(Value number) {
    Value keys = block.getAddress(layout.keys, block.getStage(number), layout.keyBytes);
    return StartProductOp::create(b, loc, scoreType, /*a=*/Value(), query, keys, /*init=*/Value(),
                                  block.shape.getPaddedDqk(), schedule.getRows(), schedule.getN(),
                                  /*transposeB=*/false, element);
  }

  Value startValues(Value number, const Carried &carried) {
    Value values = block.getAddress(layout.values, block.getStage(number), layout.valueBytes);
    return StartProductOp::create(b, loc, accType, carried.weights, /*aAddress=*/Value(), values, carried.acc,
                                  schedule.getN(), /*aRows=*/0, schedule.getN(), /*transposeB=*/true, element);
  }

  SmallVector<Value> waitProducts(int64_t pending, ValueRange tiles) {
    auto wait = WaitProductsOp::create(b, loc, tiles.getTypes(), static_cast<int32_t>(pending), tiles);
    return SmallVector<Value>(wait.getResults());
  }

  void waitFull(HopperBarrier barrier, Value number) {
    MBarrierWaitOp::create(b, loc, block.getBarrier(barrier, block.getStage(number)), block.getParity(number));
  }

  void release(HopperBarrier barrier, Value number) {
    MBarrierArriveOp::create(b, loc, block.getBarrier(barrier, block.getStage(number)), isLeader);
  }

  /// Values beyond the batch entry's keys may be anything, NaN even, and a weight of 0 does not make that 0.
  void clearValues(Value number) {
    OpBuilder::InsertionGuard guard(b);
    int64_t keys = schedule.getN();
    Value present = arith::SubIOp::create(b, loc, block.keys->toI32(block.keys->kvLen),
                                          block.keys->toI32(block.keys->getFirstKey(number)));
    present = arith::MaxSIOp::create(b, loc, present, block.place.i32(0));
    Value isPartial = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, present, block.place.i32(keys));
    auto branch = scf::IfOp::create(b, loc, isPartial, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    // Chunks of 16 bytes; the swizzle does not move them out of their row.
    constexpr int64_t kChunks = HopperLayout::kSlabRowBytes / 16;
    Value first = block.add(block.mul(present, kChunks), threadInGroup);
    auto loop = scf::ForOp::create(b, loc, block.keys->toIndex(first), index(keys * kChunks), index(128));
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(loop.getBody());
      auto type = VectorType::get({4}, b.getI32Type());
      Value zeros = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
      Value offset = block.add(block.mul(block.getStage(number), layout.valueBytes),
                               block.mul(block.keys->toI32(loop.getInductionVar()), 16));
      for (int64_t slab = 0; slab < layout.valueSlabs; ++slab)
        LLVM::StoreOp::create(b, loc, zeros,
                              block.getAddress(layout.values + slab * keys * HopperLayout::kSlabRowBytes, offset, 1),
                              /*alignment=*/16);
    }
    AsyncProxyFenceOp::create(b, loc);
    // The warpgroup's own barrier, behind those of turns.
    NamedBarrierOp::create(b, loc, block.add(consumer, block.place.i32(4)), 128, /*arriveOnly=*/false);
  }

  //===-- Softmax -------------------------------------------------------------------------------------------------===//

  /// Masks where needed; what scores lack of base 2 is a factor of the step, or already in them.
  SoftmaxStep buildStep(Value products, Value number, Value max, Value sum, bool isEdge) {
    double factor = getScoreFactor(options);
    MappedTensor scores{products, scoreMap};
    if (options.softcap) {
      scores.tensor = buildGeneric(b, loc, {}, scores, [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
        return arith::MulFOp::create(nested, l, args[0],
                                     arith::ConstantOp::create(nested, l, nested.getF32FloatAttr(factor)));
      });
      factor = 1.0;
    }
    ScoreOperands masks;
    if (isEdge)
      masks = block.keys->getScoreOperands(block.keys->getFirstKey(number), warpRow, kRows);
    scores.tensor = buildMaskedScores(b, loc, scores, options, masks, block.keys->getMaskOptions());
    return buildSoftmaxStep(b, loc, scores, {max, rowMap}, {sum, rowMap}, factor);
  }

  Value pack(Value weights) {
    auto type = RankedTensorType::get({kRows, schedule.getN() / 2}, b.getI32Type());
    return PackPairsOp::create(b, loc, type, weights, element);
  }

  Carried buildFirst(Value number) {
    waitFull(HopperBarrier::fullKey, number);
    beginTurn();
    Value started = startScores(number);
    endTurn();
    Value products = waitProducts(0, started)[0];
    release(HopperBarrier::emptyKey, number);
    SmallVector<OpFoldResult> sizes = {b.getIndexAttr(kRows), b.getIndexAttr(block.shape.dv)};
    SoftmaxState init = buildInitialState(b, loc, accMap, rowMap, sizes, sizes[0]);
    SoftmaxStep step = buildStep(products, number, init.max.tensor, init.sum.tensor, block.keys->hasEdges());
    return {init.acc.tensor, pack(step.weights.tensor), step.max.tensor, step.sum.tensor};
  }

  Carried buildLoop(Value begin, Value end, const Carried &init, bool isEdge) {
    auto loop = scf::ForOp::create(b, loc, begin, end, index(1), init.get());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Carried carried = Carried::from(loop.getRegionIterArgs());
    Value number = loop.getInductionVar(), last = arith::SubIOp::create(b, loc, number, index(1));
    // Where values may have to be cleared, that happens before products are under way.
    if (op.getKvLen()) {
      waitFull(HopperBarrier::fullValue, last);
      clearValues(last);
    }
    waitFull(HopperBarrier::fullKey, number);
    beginTurn();
    Value products = startScores(number);
    if (!op.getKvLen())
      waitFull(HopperBarrier::fullValue, last);
    Value acc = startValues(last, carried);
    endTurn();
    SmallVector<Value> tiles = waitProducts(1, {products, acc});
    release(HopperBarrier::emptyKey, number);
    SoftmaxStep step = buildStep(tiles[0], number, carried.max, carried.sum, isEdge);
    // Nobody reads this. But without it, ptxas moves the wait up to the beginning of the softmax.
    if (schedule.getOverlap())
      PutTileOp::create(b, loc, step.sum.tensor, sums);
    acc = waitProducts(0, tiles[1])[0];
    release(HopperBarrier::emptyValue, last);
    acc = buildProduct(b, loc, {acc, accMap}, step.rescale);
    Carried next = {acc, pack(step.weights.tensor), step.max.tensor, step.sum.tensor};
    scf::YieldOp::create(b, loc, next.get());
    return Carried::from(loop.getResults());
  }

  SoftmaxState buildLast(const Carried &carried) {
    Value last = arith::SubIOp::create(b, loc, block.keys->numBlocks, index(1));
    waitFull(HopperBarrier::fullValue, last);
    if (op.getKvLen())
      clearValues(last);
    Value acc = waitProducts(0, startValues(last, carried))[0];
    return {{acc, accMap}, {carried.max, rowMap}, {carried.sum, rowMap}};
  }

  void write(const SoftmaxState &state) {
    std::optional<unsigned> sink;
    if (op.getSink())
      sink = op.getSinkMutable()[0].getOperandNumber();
    unsigned output = op.getOutputsMutable()[0].getOperandNumber();
    Value writes = arith::ConstantIntOp::create(b, loc, 1, 1);
    // The loops leave no registers for rows until here.
    Value firstRow = buildWarpRow(ThreadIdOp::create(b, loc, b.getI32Type(), /*anew=*/true));
    ResultWriter{block.place, block.operands, output, sink, firstRow, Value(), writes, writes, block.shape.dv}.write(
        state);
  }

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  const HopperBlock &block;
  OpBuilder &b;
  Location loc;
  AttentionOp op;
  WarpgroupScheduleAttr schedule;
  const HopperLayout &layout;
  AffineMap accMap, scoreMap, rowMap;
  Type element;
  RankedTensorType scoreType, accType;
  ScoreOptions options;
  Value lane, threadInGroup, isLeader, consumer, warpRow, query, sums;
};

} // namespace

void buildHopperConsumer(const HopperBlock &block) { Consumer(block).build(); }

} // namespace mlir::gqa
