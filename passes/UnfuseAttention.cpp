#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_UNFUSEATTENTION
#include "passes/Passes.h.inc"

namespace {

/// Positions stay within this, so that sums of them with window extents fit i32.
constexpr int64_t kMaxPosition = 1 << 29;

/// Spells one attention out: every intermediate is a tensor in memory, whole.
struct Unfuser {
  Unfuser(OpBuilder &b, AttentionOp op) : b(b), loc(op.getLoc()), op(op), maps(op.getMaps()) {
    for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m})
      if (hasDim(op.getQueryMap(), dim))
        rowDims.push_back(dim);
    options.scale = op.getScale().convertToFloat();
    if (op.getSoftcap())
      options.softcap = op.getSoftcap()->convertToFloat();
  }

  SmallVector<Value> unfuse() {
    AffineMap rowMap = dimsMap(rowDims), scoreMap = rowsAnd(Dim::n), accMap = rowsAnd(Dim::dv);
    std::optional<MappedTensor> kvLen = buildKvLen();
    MappedTensor scores = buildScores(scoreMap, kvLen);

    SoftmaxState init = buildInitialState(b, loc, accMap, rowMap, getSizes(accMap), getSizes(rowMap));
    MappedTensor max{buildRowMax(b, loc, scores, init.max), rowMap};
    MappedTensor safeMax{buildSafeMax(b, loc, max), rowMap};
    MappedTensor weights{buildWeights(b, loc, scores, safeMax), scoreMap};
    MappedTensor sum{buildAccumulate(b, loc, weights, init.sum), rowMap};
    MappedTensor acc{buildContraction(b, loc, weights, buildRepeatedValue(kvLen), init.acc), accMap};

    FinalResults results = buildFinalResults(b, loc, {acc, max, sum}, operand(op.getSinkMutable()),
                                             *operand(op.getOutputsMutable().slice(0, 1)),
                                             operand(op.getOutputsMutable().slice(1, op.getOutputs().size() - 1)));
    SmallVector<Value> values = {results.output};
    if (results.lse)
      values.push_back(results.lse);
    return values;
  }

private:
  //===-- Scores --------------------------------------------------------------------------------------------------===//

  /// The masked scores of all rows and keys, in base 2.
  MappedTensor buildScores(AffineMap scoreMap, std::optional<MappedTensor> kvLen) {
    MappedTensor query = buildScaledQuery();
    MappedTensor key = buildRepeatedKey();
    Value zero = buildEmptyF32(b, loc, scoreMap, {query, key}, 0.0);
    MappedTensor products{buildContraction(b, loc, query, key, {zero, scoreMap}), scoreMap};

    ScoreOperands operands;
    operands.bias = operand(op.getBiasMutable());
    operands.mask = operand(op.getMaskMutable());
    operands.kvLen = kvLen;
    MaskOptions mask;
    if (op.isMaskedByPosition()) {
      operands.positions = buildPositions(kvLen);
      mask.causal = op.getCausal();
      mask.windowLeft = op.getWindowLeft();
      mask.windowRight = op.getWindowRight();
    }
    return {buildMaskedScores(b, loc, products, options, operands, mask), scoreMap};
  }

  /// The query in f32, times what turns a product into a score.
  MappedTensor buildScaledQuery() {
    AffineMap map = rowsAnd(Dim::dqk);
    MappedTensor query{op.getQuery(), op.getQueryMap()};
    Value scaled = buildGeneric(b, loc, query, {buildEmptyF32(b, loc, map, query), map},
                                [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
                                  Value value = args[0];
                                  if (!value.getType().isF32())
                                    value = arith::ExtFOp::create(nested, l, nested.getF32Type(), value);
                                  Value factor = arith::ConstantOp::create(
                                      nested, l, nested.getF32FloatAttr(getScoreFactor(options)));
                                  return arith::MulFOp::create(nested, l, value, factor);
                                });
    return {scaled, map};
  }

  //===-- Keys and values -----------------------------------------------------------------------------------------===//

  /// The key of every query head, in memory.
  MappedTensor buildRepeatedKey() {
    MappedTensor key{op.getKey(), op.getKeyMap()};
    SmallVector<Dim> dims = getRepeatedDims({Dim::n, Dim::dqk});
    if (hasAllDims(key.map, dims))
      return key;
    return buildRepeated(key, dims, /*kvLen=*/std::nullopt);
  }

  /// The value of every query head, in memory. Weights beyond kv_len are 0, but what they multiply may be NaN: it is
  /// replaced by 0.
  MappedTensor buildRepeatedValue(std::optional<MappedTensor> kvLen) {
    MappedTensor value{op.getValue(), op.getValueMap()};
    SmallVector<Dim> dims = getRepeatedDims({Dim::n, Dim::dv});
    if (hasAllDims(value.map, dims) && !kvLen)
      return value;
    return buildRepeated(value, dims, kvLen);
  }

  SmallVector<Dim> getRepeatedDims(ArrayRef<Dim> inner) {
    SmallVector<Dim> dims = llvm::filter_to_vector(rowDims, [](Dim dim) { return dim != Dim::m; });
    llvm::append_range(dims, inner);
    return dims;
  }

  static bool hasAllDims(AffineMap map, ArrayRef<Dim> dims) {
    return llvm::all_of(dims, [&](Dim dim) { return hasDim(map, dim); });
  }

  MappedTensor buildRepeated(MappedTensor source, ArrayRef<Dim> dims, std::optional<MappedTensor> kvLen) {
    AffineMap map = dimsMap(dims);
    Type elementType = cast<RankedTensorType>(source.tensor.getType()).getElementType();
    Value empty = tensor::EmptyOp::create(b, loc, getSizes(map), elementType);
    SmallVector<MappedTensor> inputs = {source};
    if (kvLen)
      inputs.push_back(*kvLen);
    unsigned keyLoop = *getDimPosition(map, Dim::n);
    Value repeated =
        buildGeneric(b, loc, inputs, {empty, map}, [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
          if (!kvLen)
            return args[0];
          Value key = linalg::IndexOp::create(nested, l, keyLoop);
          key = arith::IndexCastOp::create(nested, l, nested.getI32Type(), key);
          MaskOptions mask;
          mask.kvLen = args[1];
          Value visible = buildIsVisible(nested, l, key, /*row=*/Value(), mask);
          Value zero = arith::ConstantOp::create(nested, l, nested.getZeroAttr(elementType));
          return arith::SelectOp::create(nested, l, visible, args[0], zero);
        });
    return {repeated, map};
  }

  //===-- Positions -----------------------------------------------------------------------------------------------===//

  /// kv_len as i32, between 0 and the number of keys.
  std::optional<MappedTensor> buildKvLen() {
    std::optional<MappedTensor> lengths = operand(op.getKvLenMutable());
    if (!lengths)
      return std::nullopt;
    Value keys = getValueOrCreateConstantIndexOp(b, loc, extent(Dim::n));
    Value clamped = buildPerBatch(*lengths, [&](OpBuilder &nested, Location l, Value length) -> Value {
      Value zero = arith::ConstantOp::create(nested, l, nested.getZeroAttr(length.getType()));
      Value most = arith::IndexCastOp::create(nested, l, length.getType(), keys);
      return arith::MaxSIOp::create(nested, l, arith::MinSIOp::create(nested, l, length, most), zero);
    });
    return MappedTensor{clamped, lengths->map};
  }

  /// A tensor of i32 with one element per element of `source`.
  Value buildPerBatch(MappedTensor source, function_ref<Value(OpBuilder &, Location, Value)> body) {
    Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, source.tensor), b.getI32Type());
    return buildGeneric(b, loc, source, {empty, source.map},
                        [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
                          Value value = body(nested, l, args[0]);
                          if (value.getType().isInteger(32))
                            return value;
                          return arith::TruncIOp::create(nested, l, nested.getI32Type(), value);
                        });
  }

  /// Where each row stands: its m plus the offset of its batch entry.
  MappedTensor buildPositions(std::optional<MappedTensor> kvLen) {
    std::optional<MappedTensor> offset = buildOffset(kvLen);
    SmallVector<Dim> dims;
    if (offset)
      dims = getDims(offset->map);
    if (hasDim(op.getQueryMap(), Dim::m))
      dims.push_back(Dim::m);
    AffineMap map = dimsMap(dims);
    SmallVector<MappedTensor> inputs;
    if (offset)
      inputs.push_back(*offset);
    Value empty = tensor::EmptyOp::create(b, loc, getSizes(map), b.getI32Type());
    std::optional<unsigned> rowLoop = getDimPosition(map, Dim::m);
    Value positions =
        buildGeneric(b, loc, inputs, {empty, map}, [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
          Value row = rowLoop ? Value(linalg::IndexOp::create(nested, l, *rowLoop))
                              : Value(arith::ConstantIndexOp::create(nested, l, 0));
          row = arith::IndexCastOp::create(nested, l, nested.getI32Type(), row);
          return offset ? Value(arith::AddIOp::create(nested, l, row, args[0])) : row;
        });
    return {positions, map};
  }

  /// The position of row 0 per batch entry, as i32; nothing stands for 0.
  std::optional<MappedTensor> buildOffset(std::optional<MappedTensor> kvLen) {
    if (std::optional<MappedTensor> offset = operand(op.getOffsetMutable()))
      return MappedTensor{buildPerBatch(*offset, buildClampedPosition), offset->map};
    if (op.getAlignment() == Alignment::TopLeft)
      return std::nullopt;
    Value rows = getValueOrCreateConstantIndexOp(b, loc, extent(Dim::m));
    rows = arith::IndexCastOp::create(b, loc, b.getI32Type(), rows);
    if (kvLen)
      return MappedTensor{buildPerBatch(*kvLen,
                                        [&](OpBuilder &nested, Location l, Value length) -> Value {
                                          return arith::SubIOp::create(nested, l, length, rows);
                                        }),
                          kvLen->map};
    Value keys = getValueOrCreateConstantIndexOp(b, loc, extent(Dim::n));
    keys = arith::IndexCastOp::create(b, loc, b.getI32Type(), keys);
    Value difference = arith::SubIOp::create(b, loc, keys, rows);
    Value scalar = tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), difference);
    return MappedTensor{scalar, dimsMap({})};
  }

  static Value buildClampedPosition(OpBuilder &nested, Location l, Value value) {
    auto bound = [&](int64_t limit) {
      return arith::ConstantOp::create(nested, l, nested.getIntegerAttr(value.getType(), limit));
    };
    return arith::MaxSIOp::create(nested, l, arith::MinSIOp::create(nested, l, value, bound(kMaxPosition)),
                                  bound(-kMaxPosition));
  }

  //===-- Shapes --------------------------------------------------------------------------------------------------===//

  /// The operand of a range of at most one, if it is there.
  std::optional<MappedTensor> operand(MutableOperandRange range) {
    if (range.empty())
      return std::nullopt;
    OpOperand &present = *range.begin();
    return MappedTensor{present.get(), op.getMap(present)};
  }

  AffineMap dimsMap(ArrayRef<Dim> dims) { return getDimsMap(op.getContext(), dims); }
  AffineMap rowsAnd(Dim inner) {
    SmallVector<Dim> dims(rowDims);
    dims.push_back(inner);
    return dimsMap(dims);
  }
  OpFoldResult extent(Dim dim) { return getExtent(b, loc, maps, op.getOperands(), dim); }
  SmallVector<OpFoldResult> getSizes(AffineMap map) {
    return llvm::map_to_vector(getDims(map), [&](Dim dim) { return extent(dim); });
  }

  OpBuilder &b;
  Location loc;
  AttentionOp op;
  SmallVector<AffineMap> maps;
  SmallVector<Dim> rowDims;
  ScoreOptions options;
};

struct UnfuseAttention : impl::UnfuseAttentionBase<UnfuseAttention> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    WalkResult result = getOperation().walk([&](AttentionOp op) {
      if (op.readsCache()) {
        op.emitOpError() << "reads a KV cache, which the unfused baseline does not";
        return WalkResult::interrupt();
      }
      rewriter.setInsertionPoint(op);
      rewriter.replaceOp(op, Unfuser(rewriter, op).unfuse());
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace mlir::gqa
