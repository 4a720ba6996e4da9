// Tiles of the attention ops, as upstream's interfaces ask for them.
//
// A tile of either op is the op again, on slices of its operands. Positions are what a slice forgets: a tile of query
// rows carries on by `offset` (gqa.attention) or a slice of `positions` (gqa.online_attention), a tile of keys by
// `key_start`.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// Positions beyond this are as far as positions get; sums of a few of them fit 64 bits.
constexpr int64_t kFarPosition = int64_t(1) << 40;

template <typename OpTy> SmallVector<Range> getDomain(OpTy op, OpBuilder &b) {
  SmallVector<Range> domain;
  for (unsigned dim = 0; dim < kNumLoops; ++dim) {
    OpFoldResult extent = getExtent(b, op.getLoc(), op.getMaps(), op.getTensors(), static_cast<Dim>(dim));
    domain.push_back({b.getIndexAttr(0), extent, b.getIndexAttr(1)});
  }
  return domain;
}

/// Whether `tile` takes all of `dim`, as far as can be told: loops over a dimension give an offset that is no constant.
template <typename OpTy> bool isWhole(OpTy op, const LoopTile &tile, Dim dim) {
  if (!isZeroInteger(tile.getOffset(dim)))
    return false;
  int64_t extent = getStaticExtent(op.getMaps(), op.getTensors(), dim);
  std::optional<int64_t> size = getConstantIntValue(tile.getSize(dim));
  return ShapedType::isDynamic(extent) || !size || *size == extent;
}

/// Fails with an error if `tile` cuts one of `dims`.
template <typename OpTy>
LogicalResult verifyWhole(OpTy op, const LoopTile &tile, ArrayRef<Dim> dims, StringRef reason) {
  for (Dim dim : dims)
    if (!isWhole(op, tile, dim))
      return op.emitOpError() << "cannot be tiled along " << getDimName(dim) << ": " << reason;
  return success();
}

/// A copy of `op` on the slices of its tensors that `tile` reaches. Where `outputs` are given, they take the place of
/// the outputs' slices.
template <typename OpTy>
OpTy cloneOnSlices(OpBuilder &b, OpTy op, const LoopTile &tile, ValueRange outputs, TilingResult &result) {
  SmallVector<Value> operands;
  unsigned firstOutput = op.getOutputsMutable()[0].getOperandNumber();
  for (auto [index, tensor, map] : llvm::enumerate(op.getTensors(), op.getMaps())) {
    bool isGiven = index >= firstOutput && !outputs.empty();
    operands.push_back(isGiven ? outputs[index - firstOutput] : sliceOperand(b, op.getLoc(), tensor, map, tile));
    if (operands.back() != tensor)
      result.generatedSlices.push_back(operands.back().getDefiningOp());
  }
  SmallVector<Type> types = llvm::to_vector(ValueRange(operands).drop_front(firstOutput).getTypes());
  llvm::append_range(operands, op.getOperands().drop_front(operands.size()));
  return mlir::clone(b, op, types, operands);
}

template <typename OpTy>
LogicalResult getTilePosition(OpTy op, unsigned resultNumber, const LoopTile &tile, SmallVector<OpFoldResult> &offsets,
                              SmallVector<OpFoldResult> &sizes) {
  LoopTile part = tile.restrictTo(op.getMap(op.getOutputsMutable()[resultNumber]));
  offsets = part.offsets;
  sizes = part.sizes;
  return success();
}

/// The loops behind a tile of one result: all of what the result does not list.
template <typename OpTy>
LoopTile getLoopsOfResultTile(OpBuilder &b, OpTy op, unsigned resultNumber, ArrayRef<OpFoldResult> offsets,
                              ArrayRef<OpFoldResult> sizes) {
  LoopTile tile;
  for (const Range &range : getDomain(op, b)) {
    tile.offsets.push_back(range.offset);
    tile.sizes.push_back(range.size);
  }
  for (auto [position, dim] : llvm::enumerate(getDims(op.getMap(op.getOutputsMutable()[resultNumber])))) {
    tile.offsets[static_cast<unsigned>(dim)] = offsets[position];
    tile.sizes[static_cast<unsigned>(dim)] = sizes[position];
  }
  return tile;
}

template <typename OpTy>
FailureOr<TilingResult> buildResultTile(OpBuilder &b, OpTy op, unsigned resultNumber, ArrayRef<OpFoldResult> offsets,
                                        ArrayRef<OpFoldResult> sizes) {
  LoopTile tile = getLoopsOfResultTile(b, op, resultNumber, offsets, sizes);
  FailureOr<TilingResult> result = op.getTiledImplementation(b, tile.offsets, tile.sizes);
  if (failed(result))
    return failure();
  result->tiledValues = {result->tiledValues[resultNumber]};
  return result;
}

Value toI64(OpBuilder &b, Location loc, Value value) {
  if (value.getType().isIndex())
    return arith::IndexCastOp::create(b, loc, b.getI64Type(), value);
  return value.getType().isInteger(64) ? value : arith::ExtSIOp::create(b, loc, b.getI64Type(), value);
}

/// `value` within [low, high].
Value clamp(OpBuilder &b, Location loc, Value value, Value low, Value high) {
  return arith::MaxSIOp::create(b, loc, arith::MinSIOp::create(b, loc, value, high), low);
}

/// Says by `offset` where the rows of a tile of `op` stand: at the op's own positions, `firstRow` further on.
struct OffsetBuilder {
  OpBuilder &b;
  AttentionOp op;
  Location loc = op.getLoc();

  /// One i64 per batch entry of `tile`, or one for all.
  MappedTensor build(const LoopTile &tile, Value firstRow) {
    if (op.getOffset()) {
      Value far = constant(kFarPosition), near = constant(-kFarPosition);
      return buildPerBatch(*op.getOffsetMutable().begin(), tile, [&](OpBuilder &nested, Location l, Value offset) {
        Value start = clamp(nested, l, toI64(nested, l, offset), near, far);
        return arith::AddIOp::create(nested, l, start, firstRow);
      });
    }
    if (op.getAlignment() == Alignment::TopLeft)
      return buildScalar(firstRow);

    // bottom_right: the last row stands at the last key.
    Value shift = arith::SubIOp::create(b, loc, firstRow, extent(Dim::m));
    bool isRing = static_cast<bool>(op.getLength());
    Value keys = isRing ? constant(kFarPosition) : extent(Dim::n);
    if (!op.getKvLen() && !isRing)
      return buildScalar(arith::AddIOp::create(b, loc, keys, shift));
    Value zero = constant(0);
    OpOperand &lengths = *(isRing ? op.getLengthMutable() : op.getKvLenMutable()).begin();
    return buildPerBatch(lengths, tile, [&](OpBuilder &nested, Location l, Value length) {
      Value visible = clamp(nested, l, toI64(nested, l, length), zero, keys);
      return arith::AddIOp::create(nested, l, visible, shift);
    });
  }

private:
  MappedTensor buildScalar(Value value) {
    auto type = RankedTensorType::get({}, b.getI64Type());
    return {tensor::FromElementsOp::create(b, loc, type, value), getDimsMap(op.getContext(), {})};
  }

  MappedTensor buildPerBatch(OpOperand &operand, const LoopTile &tile,
                             function_ref<Value(OpBuilder &, Location, Value)> body) {
    MappedTensor source{sliceOperand(b, loc, operand.get(), op.getMap(operand), tile), op.getMap(operand)};
    Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, source.tensor), b.getI64Type());
    Value offsets =
        buildGeneric(b, loc, source, {empty, source.map},
                     [&](OpBuilder &nested, Location l, ValueRange args) { return body(nested, l, args[0]); });
    return {offsets, source.map};
  }

  Value constant(int64_t value) { return arith::ConstantIntOp::create(b, loc, value, 64); }
  Value extent(Dim dim) {
    OpFoldResult size = getExtent(b, loc, op.getMaps(), op.getTensors(), dim);
    return toI64(b, loc, getValueOrCreateConstantIndexOp(b, loc, size));
  }
};

/// Replaces how `op` says where its rows stand.
void setOffset(OpBuilder &b, AttentionOp op, MappedTensor offset) {
  SmallVector<Attribute> maps(op.getIndexingMaps().getValue());
  bool hasOffset = static_cast<bool>(op.getOffset());
  op.getOffsetMutable().assign(offset.tensor);
  unsigned position = (*op.getOffsetMutable().begin()).getOperandNumber();
  if (!hasOffset)
    maps.insert(maps.begin() + position, AffineMapAttr());
  maps[position] = AffineMapAttr::get(offset.map);
  op.setIndexingMapsAttr(b.getArrayAttr(maps));
  op.removeAlignmentAttr();
}

} // namespace

//===-- gqa.attention ---------------------------------------------------------------------------------------------===//

SmallVector<utils::IteratorType> AttentionOp::getLoopIteratorTypes() { return getAttentionIteratorTypes(); }

SmallVector<Range> AttentionOp::getIterationDomain(OpBuilder &b) { return getDomain(*this, b); }

FailureOr<TilingResult> AttentionOp::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,
                                                            ArrayRef<OpFoldResult> sizes) {
  LoopTile tile{SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)};
  if (failed(verifyWhole(*this, tile, {Dim::n, Dim::dqk}, "the softmax needs all of it")))
    return failure();
  if (getLse() && failed(verifyWhole(*this, tile, {Dim::dv}, "every tile would compute the same lse")))
    return failure();

  if (hasDim(getValueMap(), Dim::dv2) && failed(verifyWhole(*this, tile, {Dim::dv}, "bytes hold two elements")))
    return failure();

  TilingResult result;
  AttentionOp tiled = cloneOnSlices(b, *this, tile, /*outputs=*/{}, result);
  if (isMaskedByPosition() && !isWhole(*this, tile, Dim::m)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(tiled);
    Value firstRow = toI64(b, getLoc(), getValueOrCreateConstantIndexOp(b, getLoc(), tile.getOffset(Dim::m)));
    setOffset(b, tiled, OffsetBuilder{b, *this}.build(tile, firstRow));
  }
  result.tiledOps = {tiled};
  result.tiledValues = tiled.getResults();
  return result;
}

LogicalResult AttentionOp::getResultTilePosition(OpBuilder &, unsigned resultNumber, ArrayRef<OpFoldResult> offsets,
                                                 ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,
                                                 SmallVector<OpFoldResult> &resultSizes) {
  LoopTile tile{SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)};
  return getTilePosition(*this, resultNumber, tile, resultOffsets, resultSizes);
}

FailureOr<TilingResult> AttentionOp::generateResultTileValue(OpBuilder &b, unsigned resultNumber,
                                                             ArrayRef<OpFoldResult> offsets,
                                                             ArrayRef<OpFoldResult> sizes) {
  return buildResultTile(b, *this, resultNumber, offsets, sizes);
}

LogicalResult AttentionOp::getIterationDomainTileFromResultTile(OpBuilder &b, unsigned resultNumber,
                                                                ArrayRef<OpFoldResult> offsets,
                                                                ArrayRef<OpFoldResult> sizes,
                                                                SmallVectorImpl<OpFoldResult> &domainOffsets,
                                                                SmallVectorImpl<OpFoldResult> &domainSizes) {
  LoopTile tile = getLoopsOfResultTile(b, *this, resultNumber, offsets, sizes);
  domainOffsets = tile.offsets;
  domainSizes = tile.sizes;
  return success();
}

//===-- gqa.online_attention --------------------------------------------------------------------------------------===//

/// Says where the keys of a tile start, if anything depends on it.
static void setKeyStart(OpBuilder &b, OnlineAttentionOp op, OnlineAttentionOp tiled, LoopTile tile) {
  bool needsPositions = op.isMaskedByPosition() || op.getKvLen();
  if (!needsPositions || isWhole(op, tile, Dim::n))
    return;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(tiled);
  Value start = getValueOrCreateConstantIndexOp(b, op.getLoc(), tile.getOffset(Dim::n));
  if (op.getKeyStart())
    start = arith::AddIOp::create(b, op.getLoc(), op.getKeyStart(), start);
  tiled.getKeyStartMutable().assign(start);
}

/// A tile of `op` that updates `outputs`, or slices of the op's if they are empty.
static FailureOr<TilingResult> tileOnline(OpBuilder &b, OnlineAttentionOp op, const LoopTile &tile,
                                          ValueRange outputs) {
  if (failed(verifyWhole(op, tile, {Dim::dqk}, "the softmax needs all of it")) ||
      failed(verifyWhole(op, tile, {Dim::dv}, "every tile would add to the same sum")))
    return failure();
  TilingResult result;
  OnlineAttentionOp tiled = cloneOnSlices(b, op, tile, outputs, result);
  setKeyStart(b, op, tiled, tile);
  result.tiledOps = {tiled};
  result.tiledValues = tiled.getResults();
  return result;
}

SmallVector<utils::IteratorType> OnlineAttentionOp::getLoopIteratorTypes() { return getAttentionIteratorTypes(); }

SmallVector<Range> OnlineAttentionOp::getIterationDomain(OpBuilder &b) { return getDomain(*this, b); }

FailureOr<TilingResult> OnlineAttentionOp::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,
                                                                  ArrayRef<OpFoldResult> sizes) {
  return tileOnline(b, *this, {SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)}, /*outputs=*/{});
}

LogicalResult OnlineAttentionOp::getResultTilePosition(OpBuilder &, unsigned resultNumber,
                                                       ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                                       SmallVector<OpFoldResult> &resultOffsets,
                                                       SmallVector<OpFoldResult> &resultSizes) {
  LoopTile tile{SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)};
  return getTilePosition(*this, resultNumber, tile, resultOffsets, resultSizes);
}

FailureOr<TilingResult> OnlineAttentionOp::generateResultTileValue(OpBuilder &b, unsigned resultNumber,
                                                                   ArrayRef<OpFoldResult> offsets,
                                                                   ArrayRef<OpFoldResult> sizes) {
  return buildResultTile(b, *this, resultNumber, offsets, sizes);
}

LogicalResult OnlineAttentionOp::getIterationDomainTileFromResultTile(OpBuilder &b, unsigned resultNumber,
                                                                      ArrayRef<OpFoldResult> offsets,
                                                                      ArrayRef<OpFoldResult> sizes,
                                                                      SmallVectorImpl<OpFoldResult> &domainOffsets,
                                                                      SmallVectorImpl<OpFoldResult> &domainSizes) {
  LoopTile tile = getLoopsOfResultTile(b, *this, resultNumber, offsets, sizes);
  domainOffsets = tile.offsets;
  domainSizes = tile.sizes;
  return success();
}

//===-- Ranges of keys in parallel --------------------------------------------------------------------------------===//
//
// Each range has a state of its own, which starts without keys: tensors [ranges, ...] beside the op's [...].

/// Only keys can be cut, and only into ranges: the other strategy would need a state per key of a tile.
static LogicalResult verifyKeyRanges(OnlineAttentionOp op, const SetVector<unsigned> &reductionDims) {
  if (reductionDims.size() == 1 && reductionDims.contains(static_cast<unsigned>(Dim::n)))
    return success();
  return op.emitOpError() << "partial results exist for ranges of n alone";
}

static LogicalResult verifyStrategy(OnlineAttentionOp op, ReductionTilingStrategy strategy) {
  if (strategy == ReductionTilingStrategy::PartialReductionOuterParallel)
    return success();
  return op.emitOpError() << "partial results exist for ranges of keys, not for every key of a tile";
}

/// The place of one range's `output`, or of the part of it that `tile` reaches, among the partial results.
static LoopTile getPartialPosition(OpBuilder &b, AffineMap map, const LoopTile &tile, OpFoldResult range) {
  LoopTile part = tile.restrictTo(map);
  part.offsets.insert(part.offsets.begin(), range);
  part.sizes.insert(part.sizes.begin(), b.getIndexAttr(1));
  return part;
}

FailureOr<SmallVector<Value>> OnlineAttentionOp::generateInitialTensorForPartialReduction(
    OpBuilder &b, Location loc, ArrayRef<OpFoldResult> tileSizes, const SetVector<unsigned> &reductionDims) {
  if (failed(verifyKeyRanges(*this, reductionDims)))
    return failure();
  OpFoldResult ranges = tileSizes[static_cast<unsigned>(Dim::n)];
  auto getSizes = [&](unsigned output) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, getOutputs()[output]);
    sizes.insert(sizes.begin(), ranges);
    return sizes;
  };
  SoftmaxState state = buildInitialState(b, loc, getAccMap(), getMaxMap(), getSizes(0), getSizes(1));
  return SmallVector<Value>{state.acc.tensor, state.max.tensor, state.sum.tensor};
}

FailureOr<TilingResult> OnlineAttentionOp::tileToPartialReduction(
    OpBuilder &b, Location loc, ReductionTilingStrategy tilingStrategy, ValueRange init, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, const SetVector<unsigned> &reductionDims, ArrayRef<OpFoldResult> splitReductionIvs) {
  if (failed(verifyKeyRanges(*this, reductionDims)) || failed(verifyStrategy(*this, tilingStrategy)))
    return failure();
  LoopTile tile{SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)};
  SmallVector<Value> outputs;
  for (auto [partial, output] : llvm::zip_equal(init, getOutputsMutable())) {
    AffineMap map = getMap(output);
    LoopTile part = getPartialPosition(b, map, tile, splitReductionIvs.front());
    SmallVector<OpFoldResult> strides(part.sizes.size(), b.getIndexAttr(1));
    SmallVector<int64_t> shape;
    for (OpFoldResult size : ArrayRef(part.sizes).drop_front())
      shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
    auto type = RankedTensorType::get(shape, b.getF32Type());
    outputs.push_back(tensor::ExtractSliceOp::create(b, loc, type, partial, part.offsets, part.sizes, strides));
  }
  return tileOnline(b, *this, tile, outputs);
}

FailureOr<MergeResult> OnlineAttentionOp::mergeReductions(OpBuilder &b, Location loc, ValueRange partialReduce,
                                                          const SetVector<unsigned> &reductionDims) {
  if (failed(verifyKeyRanges(*this, reductionDims)))
    return failure();
  auto getState = [&](ValueRange tensors) -> SoftmaxState {
    return {{tensors[0], getAccMap()}, {tensors[1], getMaxMap()}, {tensors[2], getMaxMap()}};
  };
  SoftmaxState merged = buildMerge(b, loc, getState(partialReduce), getState(getOutputs()));
  MergeResult result;
  result.replacements = {merged.acc.tensor, merged.max.tensor, merged.sum.tensor};
  result.mergeOps = {merged.acc.tensor.getDefiningOp()};
  return result;
}

LogicalResult OnlineAttentionOp::getPartialResultTilePosition(
    OpBuilder &b, unsigned resultNumber, ReductionTilingStrategy tilingStrategy, ArrayRef<OpFoldResult> offsets,
    ArrayRef<OpFoldResult> sizes, const SetVector<unsigned> &reductionDims, ArrayRef<OpFoldResult> splitReductionIvs,
    SmallVector<OpFoldResult> &resultOffsets, SmallVector<OpFoldResult> &resultSizes) {
  if (failed(verifyKeyRanges(*this, reductionDims)) || failed(verifyStrategy(*this, tilingStrategy)))
    return failure();
  LoopTile tile{SmallVector<OpFoldResult>(offsets), SmallVector<OpFoldResult>(sizes)};
  LoopTile part = getPartialPosition(b, getMap(getOutputsMutable()[resultNumber]), tile, splitReductionIvs.front());
  resultOffsets = part.offsets;
  resultSizes = part.sizes;
  return success();
}
