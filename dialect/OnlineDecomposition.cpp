// gqa.online_attention as linalg on the tile it is given.
//
// The layout of `acc` decides the orientation, and with it what the vector lanes will hold:
//
//   acc[dv, rows]   scores [n, rows], query transposed to [dqk, rows]    lanes = query rows
//   acc[rows, dv]   scores [rows, n], query [rows, dqk]                  lanes = head dimension
//
// What depends on the query alone (conversion, scaling, transposition) does not depend on the keys, so the loop over
// key blocks around the tile loses it to loop-invariant code motion.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// Emits the steps of one decomposition.
struct Decomposer {
  Decomposer(OpBuilder &builder, OnlineAttentionOp op) : builder(builder), loc(op.getLoc()), op(op) {
    options.scale = op.getScale().convertToFloat();
    if (op.getSoftcap())
      options.softcap = op.getSoftcap()->convertToFloat();
    acc = {op.getOutputs()[0], op.getAccMap()};
    max = {op.getOutputs()[1], op.getMaxMap()};
    sum = {op.getOutputs()[2], op.getMaxMap()};
    rowsInLanes = getDims(acc.map).back() != Dim::dv;
    SmallVector<Dim> scoreDims = getDims(acc.map);
    llvm::replace(scoreDims, Dim::dv, Dim::n);
    scoreMap = getDimsMap(op.getContext(), scoreDims);
  }

  SmallVector<Value> decompose() {
    MappedTensor scores = buildScores(buildProducts());

    MappedTensor newMax{buildRowMax(builder, loc, scores, max), max.map};
    MappedTensor safeMax{buildSafeMax(builder, loc, newMax), max.map};
    MappedTensor weights{buildWeights(builder, loc, scores, safeMax), scores.map};
    MappedTensor rescale{buildWeights(builder, loc, max, safeMax), max.map};

    Value newSum = buildAccumulate(builder, loc, weights, {buildProduct(sum, rescale), sum.map});
    Value newAcc = buildWeightedValues(weights, {buildProduct(acc, rescale), acc.map});
    return {newAcc, newMax.tensor, newSum};
  }

private:
  /// dims(dqk, rows) or (rows, dqk), as the orientation wants the query.
  AffineMap getTiledQueryMap() {
    SmallVector<Dim> dims = getDims(acc.map);
    llvm::replace(dims, Dim::dv, Dim::dqk);
    return getDimsMap(op.getContext(), dims);
  }

  /// `tensor` in f32, in the layout of `map`, times `factor`.
  MappedTensor buildConverted(MappedTensor input, AffineMap map, double factor) {
    Type type = cast<RankedTensorType>(input.tensor.getType()).getElementType();
    if (type.isF32() && input.map == map && factor == 1.0)
      return input;
    Value empty = buildEmptyF32(builder, loc, map, input);
    Value converted =
        buildGeneric(builder, loc, input, {empty, map}, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
          Value value = args[0];
          if (!type.isF32())
            value = arith::ExtFOp::create(b, l, b.getF32Type(), value);
          if (factor == 1.0)
            return value;
          Value constant = arith::ConstantOp::create(b, l, b.getF32FloatAttr(factor));
          return arith::MulFOp::create(b, l, value, constant);
        });
    return {converted, map};
  }

  /// lhs * rhs, written over lhs.
  Value buildProduct(MappedTensor lhs, MappedTensor rhs) {
    return buildGeneric(builder, loc, rhs, lhs, [](OpBuilder &b, Location l, ValueRange args) -> Value {
      return arith::MulFOp::create(b, l, args[1], args[0]);
    });
  }

  /// Query times key, scaled by getScoreFactor(); in `scoreMap`.
  MappedTensor buildProducts() {
    MappedTensor query = buildConverted({op.getQuery(), op.getQueryMap()}, getTiledQueryMap(), getScoreFactor(options));
    MappedTensor key{op.getKey(), op.getKeyMap()};
    if (rowsInLanes)
      key = buildConverted(key, key.map, /*factor=*/1.0);
    Value zero = buildEmptyF32(builder, loc, scoreMap, {query, key}, 0.0);
    return {buildContraction(builder, loc, key, query, {zero, scoreMap}), scoreMap};
  }

  /// Softcap, bias and masks, written over the products.
  MappedTensor buildScores(MappedTensor products) {
    auto mapped = [&](Value tensor, MutableOperandRange range) -> std::optional<MappedTensor> {
      return tensor ? std::optional(MappedTensor{tensor, op.getMap(*range.begin())}) : std::nullopt;
    };
    ScoreOperands operands;
    operands.bias = mapped(op.getBias(), op.getBiasMutable());
    operands.mask = mapped(op.getMask(), op.getMaskMutable());
    operands.kvLen = mapped(op.getKvLen(), op.getKvLenMutable());
    operands.positions = mapped(op.getPositions(), op.getPositionsMutable());
    operands.keyStart = op.getKeyStart();
    MaskOptions mask;
    mask.causal = op.getCausal();
    mask.windowLeft = op.getWindowLeft();
    mask.windowRight = op.getWindowRight();
    return {buildMaskedScores(builder, loc, products, options, operands, mask), scoreMap};
  }

  /// init + weights * value.
  Value buildWeightedValues(MappedTensor weights, MappedTensor init) {
    MappedTensor value{op.getValue(), op.getValueMap()};
    if (rowsInLanes)
      value = buildConverted(value, value.map, /*factor=*/1.0);
    return buildContraction(builder, loc, value, weights, init);
  }

  OpBuilder &builder;
  Location loc;
  OnlineAttentionOp op;
  ScoreOptions options;
  MappedTensor acc, max, sum;
  bool rowsInLanes;
  AffineMap scoreMap;
};

} // namespace

FailureOr<SmallVector<Value>> OnlineAttentionOp::decomposeOperation(OpBuilder &builder) {
  return Decomposer(builder, *this).decompose();
}
