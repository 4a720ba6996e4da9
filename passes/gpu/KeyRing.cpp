#include "passes/gpu/KeyRing.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {

using namespace gqa_gpu;

KeyRing::KeyRing(KernelFrame &frame)
    : frame(frame), b(frame.b), loc(frame.loc), op(frame.op), math(frame.math), locator(frame.place, frame.operands) {
  gqa_gpu::ScheduleAttr schedule = frame.schedule;
  OpFoldResult begin = math.constant(0), end = frame.keys, first, last;
  if (schedule.getSplit()) {
    begin = math.mul(frame.toIndex(frame.split), schedule.getSplit());
    end = math.add(begin, schedule.getSplit());
  }
  if (op.isMaskedByPosition()) {
    Value lastRow = frame.place.clampRow(b, frame.add(frame.firstRow, frame.place.i32(schedule.getRows() - 1)));
    int64_t heads = frame.shape.getTileHeads();
    first = math.add(frame.offset, math.floorDiv(frame.toIndex(frame.firstRow), heads));
    last = math.add(frame.offset, math.floorDiv(frame.toIndex(lastRow), heads));
  }
  range = KeyRange::get(math, op, begin, end, frame.sequence, first, last, schedule.getN());
  numFull = math.value(range.getNumFull(math));
  numBlocks = math.value(math.add(range.getNumFull(math), range.getNumEdges(math)));
}

bool KeyRing::hasEdges() {
  std::optional<int64_t> count = getConstantIntValue(frame.keys);
  return op.isMaskedByPosition() || op.getKvLen() || op.getLength() || !count || *count % frame.schedule.getN() != 0;
}

Value KeyRing::getFirstKey(Value number) {
  Value full = math.value(math.add(number, range.fullLow));
  Value edge = math.value(range.getEdge(math, math.value(math.sub(number, numFull))));
  Value isFull = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, number, numFull);
  Value block = arith::SelectOp::create(b, loc, isFull, full, edge);
  return math.value(math.mul(block, frame.schedule.getN()));
}

/// `offset` bytes into the stage of a block.
Value KeyRing::getStage(Value number, int64_t offset) {
  Value slot = arith::RemUIOp::create(b, loc, frame.toI32(number), frame.place.i32(frame.schedule.getStages()));
  Value bytes = frame.mul(slot, frame.layout.stage);
  return frame.advance(frame.shared, frame.add(bytes, frame.place.i32(frame.layout.ring + offset)));
}

//===-- To shared memory ------------------------------------------------------------------------------------------===//

void KeyRing::buildCopy(Value number) {
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, number, numBlocks);
  {
    OpBuilder::InsertionGuard guard(b);
    auto branch = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    Value first = frame.toI32(getFirstKey(number));
    auto copyMatrix = [&](OpOperand &operand, const OperandTile &tile, int64_t offset) {
      copyKeys(operand, first, getStage(number, offset), tile.getCopiedRows());
    };
    copyMatrix(op.getKeyMutable(), frame.shape.tiles.key, 0);
    copyMatrix(op.getValueMutable(), frame.shape.tiles.value, frame.layout.stageValue);
    auto copyScale = [&](MutableOperandRange scale, int64_t offset) {
      if (!scale.empty() && isPerKey(op.getMap(*scale.begin())))
        copyKeys(*scale.begin(), first, getStage(number, offset), {1, 1, /*pitch=*/4, b.getF32Type()});
    };
    copyScale(op.getKeyScaleMutable(), frame.layout.stageKeyScale);
    copyScale(op.getValueScaleMutable(), frame.layout.stageValueScale);
  }
  CpAsyncCommitOp::create(b, loc);
}

/// The rows of a block's keys; those beyond the sequence become zeros.
void KeyRing::copyKeys(OpOperand &operand, Value firstKey, Value destination, const CopiedRows &rows) {
  const GlobalTensor &tensor = frame.getTensor(operand);
  Value end = frame.toI32(frame.sequence.keys);
  buildCopyRows(frame, tensor, destination, frame.schedule.getN(), rows,
                [&](OpBuilder &nested, Value row) -> RowAddress {
                  Value key = arith::AddIOp::create(nested, loc, row, firstKey);
                  Value isKey = arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::slt, key, end);
                  SmallVector<Value> indices =
                      frame.place.getIndices(nested, op.getMap(operand), Value(), locator.locate(nested, key));
                  return {tensor.getOffset(nested, loc, indices), isKey};
                });
}

void KeyRing::buildConversion(Value number) {
  const auto &[query, key, value] = frame.shape.tiles;
  bool any = convert(op.getKeyMutable(), key, getStage(number, 0), frame.layout.keyTile);
  any |= convert(op.getValueMutable(), value, getStage(number, frame.layout.stageValue), frame.layout.valueTile);
  if (any)
    BarrierOp::create(b, loc);
}

bool KeyRing::convert(OpOperand &operand, const OperandTile &tile, Value source, int64_t destination) {
  if (!tile.isConverted())
    return false;
  Value factors, stride;
  if (tile.hasFactors) {
    OpOperand &scale = *op.getKeyScaleMutable().begin();
    const GlobalTensor &tensor = frame.getTensor(scale);
    AffineMap map = op.getMap(scale);
    Value offset = tensor.getOffset(b, loc, frame.place.getIndices(b, map, Value()));
    factors = LLVM::GEPOp::create(b, loc, tensor.pointer.getType(), tensor.element, tensor.pointer,
                                  ArrayRef<LLVM::GEPArg>{offset});
    stride = tensor.strides[*getDimPosition(map, Dim::dqk)];
  }
  Value to = frame.advance(frame.shared, frame.place.i32(destination));
  buildConvertRows(frame, source, to, frame.schedule.getN(), tile, factors, stride);
  return true;
}

void buildCopyRows(KernelFrame &frame, const GlobalTensor &source, Value destination, int64_t count,
                   const CopiedRows &rows, function_ref<RowAddress(OpBuilder &, Value)> address) {
  auto copy = CopyRowsOp::create(frame.b, frame.loc, source.pointer, destination, count, rows.columns, rows.width,
                                 rows.pitch, frame.schedule.getThreads(), rows.element);
  buildAddress(frame.b, copy, address);
}

void buildConvertRows(KernelFrame &frame, Value source, Value destination, int64_t count, const OperandTile &tile,
                      Value factors, Value stride) {
  ConvertRowsOp::create(frame.b, frame.loc, source, destination, factors, stride, count, tile.columns, tile.width,
                        tile.getCopiedRows().pitch, frame.schedule.getThreads(), tile.stored, tile.isPacked,
                        tile.element);
}

//===-- From shared memory ----------------------------------------------------------------------------------------===//

MappedTensor KeyRing::getKeys(Value number) {
  return getTile(frame.shape.tiles.key, number, frame.layout.keyTile, 0, Dim::dqk);
}

MappedTensor KeyRing::getValues(Value number) {
  return getTile(frame.shape.tiles.value, number, frame.layout.valueTile, frame.layout.stageValue, Dim::dv);
}

MappedTensor KeyRing::getTile(const OperandTile &tile, Value number, int64_t converted, int64_t offset, Dim row) {
  Value begin = tile.isConverted() ? frame.advance(frame.shared, frame.place.i32(converted)) : getStage(number, offset);
  begin = frame.advance(begin, frame.mul(frame.keyWarp, frame.warpKeys * tile.getTilePitch()));
  auto type = RankedTensorType::get({frame.warpKeys, tile.width}, tile.element);
  return {SharedTileOp::create(b, loc, type, begin), getDimsMap(b.getContext(), {Dim::n, row})};
}

std::optional<MappedTensor> KeyRing::getKeyScale(Value number) {
  if (frame.shape.tiles.key.hasFactors)
    return std::nullopt; // in the keys
  return getScale(op.getKeyScaleMutable(), number, frame.layout.stageKeyScale);
}

std::optional<MappedTensor> KeyRing::getValueScale(Value number) {
  return getScale(op.getValueScaleMutable(), number, frame.layout.stageValueScale);
}

std::optional<MappedTensor> KeyRing::getScale(MutableOperandRange scale, Value number, int64_t offset) {
  if (scale.empty())
    return std::nullopt;
  OpOperand &operand = *scale.begin();
  Type f32 = b.getF32Type();
  if (!isPerKey(op.getMap(operand)))
    return MappedTensor{
        tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, f32), frame.loadElement(operand)),
        getDimsMap(b.getContext(), {})};
  Value begin = frame.advance(getStage(number, offset), frame.mul(frame.keyWarp, 4 * frame.warpKeys));
  Value tile = buildTile(b, loc, frame.warpKeys, f32, [&](OpBuilder &nested, Value key, Value) -> Value {
    Value address = LLVM::GEPOp::create(nested, loc, begin.getType(), f32, begin, ArrayRef<LLVM::GEPArg>{key});
    return LLVM::LoadOp::create(nested, loc, f32, address);
  });
  return MappedTensor{tile, getDimsMap(b.getContext(), {Dim::n})};
}

} // namespace mlir::gqa
