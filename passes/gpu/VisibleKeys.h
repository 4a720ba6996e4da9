#ifndef GQA_PASSES_GPU_VISIBLEKEYS_H
#define GQA_PASSES_GPU_VISIBLEKEYS_H

#include "dialect/OnlineSoftmax.h"
#include "passes/KeyRange.h"
#include "passes/gpu/AttentionKernel.h"
#include "passes/gpu/TileBuilder.h"

namespace mlir::gqa {

/// The keys that the rows of one block have to visit, in blocks of `size`: edges, which need masks, before full blocks.
struct VisibleKeys {
  VisibleKeys(OpBuilder &b, const AttentionPlace &place, KernelOperands &operands, int64_t size)
      : b(b), loc(place.loc), math{b, loc}, place(place), op(place.shape.op), operands(operands), size(size) {
    positions = getSize(Dim::m, KernelScalar::m);
    keys = getSize(Dim::n, KernelScalar::n);
    setPositions();
  }

  /// For the block's rows from `firstRow` (i32) on.
  void setRange(Value firstRow, int64_t rows) {
    OpFoldResult first, last;
    if (op.isMaskedByPosition()) {
      Value lastRow = place.clampRow(b, arith::AddIOp::create(b, loc, firstRow, place.i32(rows - 1)));
      first = math.add(offset, math.floorDiv(toIndex(firstRow), place.shape.getTileHeads()));
      last = math.add(offset, math.floorDiv(toIndex(lastRow), place.shape.getTileHeads()));
    }
    range = KeyRange::get(math, op, math.constant(0), keys, {kvLen, kvLen}, first, last, size);
    numEdges = math.value(range.getNumEdges(math));
    // Rows without keys visit one block, of which they see nothing.
    numBlocks = math.value(math.max(math.add(range.getNumFull(math), range.getNumEdges(math)), math.constant(1)));
  }

  /// The first key of the `number`-th block.
  Value getFirstKey(Value number) const {
    Value isFull = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, number, numEdges);
    Value full = math.value(math.add(math.sub(number, numEdges), range.fullLow));
    // A block that only exists because there must be one is an edge.
    Value exists =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, math.value(range.fullLow), math.value(range.fullHigh));
    isFull = arith::AndIOp::create(b, loc, isFull, exists);
    Value block = arith::SelectOp::create(b, loc, isFull, full, math.value(range.getEdge(math, number)));
    return math.value(math.mul(block, size));
  }

  /// Whether some block may need masks.
  bool hasEdges() const {
    std::optional<int64_t> count = getConstantIntValue(keys);
    return op.isMaskedByPosition() || op.getKvLen() || !count || *count % size != 0 || *count == 0;
  }

  /// What masks the scores of a block of keys from `firstKey` (index) on, in rows from `firstRow` (i32) on.
  ScoreOperands getScoreOperands(Value firstKey, Value firstRow, int64_t rows) const {
    ScoreOperands masks;
    masks.keyStart = firstKey;
    Value end = tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), toI32(range.lastKey));
    masks.kvLen = {end, getDimsMap(b.getContext(), {})};
    if (op.isMaskedByPosition())
      masks.positions = {buildRowPositions(firstRow, rows), getDimsMap(b.getContext(), {Dim::m})};
    return masks;
  }

  MaskOptions getMaskOptions() const {
    MaskOptions mask;
    mask.causal = op.getCausal();
    mask.windowLeft = op.getWindowLeft();
    mask.windowRight = op.getWindowRight();
    return mask;
  }

  Value toI32(OpFoldResult value) const {
    return arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(value));
  }
  Value toIndex(Value value) const { return arith::IndexCastOp::create(b, loc, b.getIndexType(), value); }

  OpFoldResult positions, keys, kvLen, offset;
  KeyRange range;
  Value numEdges, numBlocks; // index

private:
  /// An extent, as constant where it is known.
  OpFoldResult getSize(Dim dim, KernelScalar scalar) const {
    int64_t extent = place.shape.getExtent(dim);
    if (!ShapedType::isDynamic(extent))
      return math.constant(extent);
    return toIndex(operands.getScalar(unsigned(scalar)));
  }

  /// How many keys the batch entry has, and where its first row stands.
  void setPositions() {
    kvLen = keys;
    if (op.getKvLen())
      kvLen = loadClamped(op.getKvLenMutable(), 0, math.value(keys));
    if (!op.isMaskedByPosition())
      return;
    offset = math.constant(0);
    if (op.getOffset())
      offset = loadClamped(op.getOffsetMutable(), -(1 << 30), math.value(math.constant(1 << 30)));
    else if (op.getAlignment() == Alignment::BottomRight)
      offset = math.sub(kvLen, positions);
  }

  /// This batch entry's element of an operand, between `low` and `high` (an index).
  Value loadClamped(MutableOperandRange operand, int64_t low, Value high) const {
    OpOperand &use = *operand.begin();
    const GlobalTensor &tensor = operands.getTensor(use.getOperandNumber());
    Value element = tensor.load(b, loc, place.getIndices(b, op.getMap(use), Value()));
    if (!element.getType().isInteger(64))
      element = arith::ExtSIOp::create(b, loc, b.getI64Type(), element);
    Value bound = arith::IndexCastOp::create(b, loc, b.getI64Type(), high);
    element = arith::MinSIOp::create(b, loc, element, bound);
    element = arith::MaxSIOp::create(b, loc, element, place.i64(low));
    return toIndex(element);
  }

  Value buildRowPositions(Value firstRow, int64_t rows) const {
    Value first = toI32(offset);
    return buildTile(b, loc, rows, b.getI32Type(), [&](OpBuilder &nested, Value row, Value) -> Value {
      row = arith::AddIOp::create(nested, loc, row, firstRow);
      Value heads = arith::ConstantIntOp::create(nested, loc, place.shape.getTileHeads(), 32);
      return arith::AddIOp::create(nested, loc, arith::DivUIOp::create(nested, loc, row, heads), first);
    });
  }

  OpBuilder &b;
  Location loc;
  IndexMath math;
  const AttentionPlace &place;
  mutable AttentionOp op; // a handle: that it is const means nothing
  KernelOperands &operands;
  int64_t size;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_VISIBLEKEYS_H
