// The kernel of attention for Hopper (sm_90a), after FlashAttention-3 (Shah et al., 2024): one warpgroup has boxes of
// query, keys and values copied to shared memory, the others multiply and compute softmax (HopperConsumer.cpp). What
// arrives and what is done with is told by mbarriers.

#include "passes/gpu/HopperKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

using namespace gqa_gpu;
using Schedule = WarpgroupScheduleAttr;

std::string getHopperObstacle(AttentionOp op) {
  AttentionShape shape(op);
  Type element = cast<RankedTensorType>(op.getQuery().getType()).getElementType();
  if (!element.isF16() && !element.isBF16())
    return "query, key and value are not f16 or bf16";
  for (Value matrix : {op.getKey(), op.getValue()})
    if (cast<RankedTensorType>(matrix.getType()).getElementType() != element)
      return "query, key and value have different types";
  if (op.getBlockTable() || op.getKeyScale() || op.getValueScale() || op.getLength())
    return "keys or values are paged, quantised or in a ring";
  if (op.getBias() || op.getMask())
    return "there is a bias or a mask";
  if (op.getScale().convertToDouble() <= 0.0)
    return "the scale is not positive";
  if (shape.dqk > 256 || shape.dv > 256)
    return "a head dimension is more than 256";
  return "";
}

bool canPackHeads(const AttentionShape &shape) { return shape.isGroupInTile && Schedule::kRows % shape.group == 0; }

HopperLayout::HopperLayout(const AttentionShape &shape, Schedule schedule) {
  querySlabs = llvm::divideCeil(shape.dqk, kSlab);
  valueSlabs = llvm::divideCeil(shape.dv, kSlab);
  queryBytes = schedule.getRows() * querySlabs * kSlabRowBytes;
  keyBytes = schedule.getN() * querySlabs * kSlabRowBytes;
  valueBytes = schedule.getN() * valueSlabs * kSlabRowBytes;
  keys = queryBytes;
  values = keys + schedule.getStages() * keyBytes;
  barriers = values + schedule.getStages() * valueBytes;
  sums = llvm::alignTo(barriers + 8 * (1 + 4 * schedule.getStages()), kSumBytes);
  total = sums + (schedule.getOverlap() ? 4 * schedule.getConsumers() * kSumBytes : 0);
}

//===-- The block -------------------------------------------------------------------------------------------------===//

HopperBlock::HopperBlock(OpBuilder &b, const AttentionShape &shape, Schedule schedule, KernelOperands &operands)
    : b(b), loc(operands.kernel.getLoc()), shape(shape), schedule(schedule), operands(operands),
      layout(shape, schedule), place{b, loc, shape, {}, {}, {}} {
  Type i32 = b.getI32Type();
  shared = SharedMemoryOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 3));
  warpgroup = WarpgroupIdOp::create(b, loc, i32);
  Value tile = BlockIdOp::create(b, loc, i32, 0);
  place.heads = BlockIdOp::create(b, loc, i32, 1);
  place.batch = BlockIdOp::create(b, loc, i32, 2);
  keys.emplace(b, place, operands, schedule.getN());
  place.rows = mul(keys->toI32(keys->positions), shape.getTileHeads());
  if (AttentionOp(shape.op).getCausal()) {
    // Blocks with the last rows, which see the most keys, start first.
    Value last = arith::DivUIOp::create(b, loc, add(place.rows, place.i32(-1)), place.i32(schedule.getRows()));
    tile = arith::SubIOp::create(b, loc, last, tile);
  }
  firstRow = mul(tile, schedule.getRows());
  keys->setRange(firstRow, schedule.getRows());
}

Value HopperBlock::getAddress(int64_t offset, Value index, int64_t bytes) const {
  Value address = shared;
  if (index)
    address = LLVM::GEPOp::create(b, loc, shared.getType(), b.getI8Type(), address,
                                  ArrayRef<LLVM::GEPArg>{mul(index, bytes)});
  return LLVM::GEPOp::create(b, loc, shared.getType(), b.getI8Type(), address,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
}

Value HopperBlock::getBarrier(HopperBarrier barrier, Value stage) const {
  if (barrier == HopperBarrier::fullQuery)
    return getAddress(layout.barriers);
  int64_t first = 1 + (static_cast<int64_t>(barrier) - 1) * schedule.getStages();
  return getAddress(layout.barriers + 8 * first, stage, 8);
}

Value HopperBlock::getStage(Value number) const {
  return arith::RemUIOp::create(b, loc, keys->toI32(number), place.i32(schedule.getStages()));
}

Value HopperBlock::getParity(Value number) const {
  Value phase = arith::DivUIOp::create(b, loc, keys->toI32(number), place.i32(schedule.getStages()));
  return arith::AndIOp::create(b, loc, phase, place.i32(1));
}

//===-- The producer ----------------------------------------------------------------------------------------------===//

namespace {

/// The dimensions of `operand` as a tensor map has them: innermost first, then the heads in the tile, then tokens.
SmallVector<Dim> getMapDims(const AttentionShape &shape, AffineMap map) {
  SmallVector<Dim> dims = getDims(map);
  SmallVector<Dim> ordered = {dims.back()};
  dims.pop_back();
  SmallVector<Dim> first = {Dim::m, Dim::n};
  if (shape.isGroupInTile)
    first.insert(first.begin(), Dim::g);
  for (Dim dim : first)
    if (llvm::is_contained(dims, dim))
      ordered.push_back(dim);
  for (Dim dim : dims)
    if (!llvm::is_contained(first, dim))
      ordered.push_back(dim);
  return ordered;
}

/// Emits the code of the one thread that has boxes copied.
struct Producer {
  explicit Producer(const HopperBlock &block) : block(block), b(block.b), loc(block.loc), op(block.shape.op) {}

  void build() {
    Value zero = index(0), one = index(1);
    copyBlock(HopperBarrier::fullKey, zero);
    copyQuery();
    auto loop = scf::ForOp::create(b, loc, zero, block.keys->numBlocks, one);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    // Keys are needed one block ahead of values.
    Value number = loop.getInductionVar(), next = arith::AddIOp::create(b, loc, number, one);
    Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, next, block.keys->numBlocks);
    auto branch = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    copyBlock(HopperBarrier::fullKey, next);
    b.setInsertionPointAfter(branch);
    copyBlock(HopperBarrier::fullValue, number);
  }

private:
  void copyQuery() {
    Value barrier = block.getBarrier(HopperBarrier::fullQuery);
    const HopperLayout &layout = block.layout;
    MBarrierExpectOp::create(b, loc, barrier, layout.queryBytes);
    for (int64_t consumer = 0; consumer < block.schedule.getConsumers(); ++consumer) {
      int64_t rows = consumer * Schedule::kRows;
      Value row = block.add(block.firstRow, block.place.i32(rows));
      for (int64_t slab = 0; slab < layout.querySlabs; ++slab)
        copyBox(op.getQueryMutable(), slab, row, Value(),
                block.getAddress((slab * block.schedule.getRows() + rows) * HopperLayout::kSlabRowBytes), barrier);
    }
  }

  /// One stage of keys or of values, once the consumers are done with what it held.
  void copyBlock(HopperBarrier full, Value number) {
    const HopperLayout &layout = block.layout;
    bool isKey = full == HopperBarrier::fullKey;
    Value stage = block.getStage(number);
    // The first phase of an empty stage counts as ended: it is the one before that is waited for.
    Value parity = arith::XOrIOp::create(b, loc, block.getParity(number), block.place.i32(1));
    MBarrierWaitOp::create(b, loc, block.getBarrier(isKey ? HopperBarrier::emptyKey : HopperBarrier::emptyValue, stage),
                           parity);
    Value barrier = block.getBarrier(full, stage);
    int64_t bytes = isKey ? layout.keyBytes : layout.valueBytes;
    MBarrierExpectOp::create(b, loc, barrier, bytes);
    Value key = block.keys->toI32(block.keys->getFirstKey(number));
    // Where there are no keys, the map is that of one, which must not be read: boxes lie beyond it.
    if (getConstantIntValue(block.keys->keys).value_or(0) == 0) {
      Value none = arith::SubIOp::create(b, loc, block.place.i32(1), block.keys->toI32(block.keys->keys));
      key = arith::MaxSIOp::create(b, loc, key, none);
    }
    for (int64_t slab = 0; slab < (isKey ? layout.querySlabs : layout.valueSlabs); ++slab) {
      int64_t offset = (isKey ? layout.keys : layout.values) + slab * block.schedule.getN() * 128;
      copyBox(isKey ? op.getKeyMutable() : op.getValueMutable(), slab, Value(), key,
              block.getAddress(offset, stage, bytes), barrier);
    }
  }

  void copyBox(OpOperand &operand, int64_t slab, Value row, Value key, Value destination, Value barrier) {
    AffineMap map = op.getMap(operand);
    SmallVector<Dim> dims = getDims(map);
    SmallVector<Value> indices = block.place.getIndices(b, map, row, {key, {}, {}}), coordinates;
    for (Dim dim : getMapDims(block.shape, map)) {
      Value coordinate = indices[llvm::find(dims, dim) - dims.begin()];
      if (dim == dims.back())
        coordinate = block.place.i32(slab * HopperLayout::kSlab);
      coordinates.push_back(coordinate);
    }
    TmaLoadOp::create(b, loc, block.operands.getMap(operand.getOperandNumber()), destination, barrier, coordinates);
  }

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  const HopperBlock &block;
  OpBuilder &b;
  Location loc;
  AttentionOp op;
};

/// One thread makes the mbarriers, and then all know them.
void buildBarriers(const HopperBlock &block, Value isFirstThread) {
  OpBuilder &b = block.b;
  {
    OpBuilder::InsertionGuard guard(b);
    auto branch = scf::IfOp::create(b, block.loc, isFirstThread, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    int64_t warps = 4 * block.schedule.getConsumers();
    auto init = [&](HopperBarrier barrier, int64_t count) {
      int64_t stages = barrier == HopperBarrier::fullQuery ? 1 : block.schedule.getStages();
      for (int64_t stage = 0; stage < stages; ++stage)
        MBarrierInitOp::create(b, block.loc, block.getBarrier(barrier, block.place.i32(stage)), count);
    };
    init(HopperBarrier::fullQuery, 1);
    init(HopperBarrier::fullKey, 1);
    init(HopperBarrier::emptyKey, warps);
    init(HopperBarrier::fullValue, 1);
    init(HopperBarrier::emptyValue, warps);
    MBarrierFenceOp::create(b, block.loc);
  }
  BarrierOp::create(b, block.loc);
}

} // namespace

SmallVector<Attribute> getHopperTensorMaps(const AttentionShape &shape, Schedule schedule) {
  AttentionOp op = shape.op;
  SmallVector<Attribute> maps;
  for (OpOperand *operand : {&op.getQueryMutable(), &op.getKeyMutable(), &op.getValueMutable()}) {
    SmallVector<Dim> dims = getDims(op.getMap(*operand));
    SmallVector<int64_t> numbers, box;
    for (Dim dim : getMapDims(shape, op.getMap(*operand))) {
      numbers.push_back(llvm::find(dims, dim) - dims.begin());
      if (dim == dims.back())
        box.push_back(HopperLayout::kSlab);
      else if (dim == Dim::n)
        box.push_back(schedule.getN());
      else if (dim == Dim::m)
        box.push_back(Schedule::kRows / shape.getTileHeads());
      else
        box.push_back(dim == Dim::g ? shape.getTileHeads() : 1);
    }
    maps.push_back(TensorMapAttr::get(op.getContext(), operand->getOperandNumber(), numbers, box));
  }
  return maps;
}

void buildHopperKernel(OpBuilder &b, const AttentionShape &shape, Schedule schedule, KernelOperands &operands) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&operands.kernel.getBody().front());
  Location loc = operands.kernel.getLoc();
  HopperBlock block(b, shape, schedule, operands);
  auto equals = [&](Value value, int64_t number) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, value, block.place.i32(number));
  };
  Value isFirstThread = equals(ThreadIdOp::create(b, loc, b.getI32Type()), 0);
  buildBarriers(block, isFirstThread);
  auto roles = scf::IfOp::create(b, loc, equals(block.warpgroup, 0), /*withElseRegion=*/true);
  b.setInsertionPoint(roles.thenBlock()->getTerminator());
  SetMaxRegistersOp::create(b, loc, schedule.getProducerRegisters(), /*increase=*/false);
  auto leader = scf::IfOp::create(b, loc, isFirstThread, /*withElseRegion=*/false);
  b.setInsertionPoint(leader.thenBlock()->getTerminator());
  Producer(block).build();
  b.setInsertionPoint(roles.elseBlock()->getTerminator());
  SetMaxRegistersOp::create(b, loc, schedule.getConsumerRegisters(), /*increase=*/true);
  buildHopperConsumer(block);
  b.setInsertionPointAfter(roles);
  func::ReturnOp::create(b, loc);
}

} // namespace mlir::gqa
