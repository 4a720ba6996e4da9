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
    MappedTensor scores = buildMaskedScores(buildProducts());

    MappedTensor newMax{buildRowMax(scores), max.map};
    MappedTensor safeMax{buildSafeMax(builder, loc, newMax), max.map};
    MappedTensor weights{buildWeights(builder, loc, scores, safeMax), scores.map};
    MappedTensor rescale{buildWeights(builder, loc, max, safeMax), max.map};

    Value newSum = buildAccumulate(weights, {buildProduct(sum, rescale), sum.map});
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

  /// init + the sum of `input` over what `init` does not list.
  Value buildAccumulate(MappedTensor input, MappedTensor init) {
    return buildGeneric(builder, loc, input, init, [](OpBuilder &b, Location l, ValueRange args) -> Value {
      return arith::AddFOp::create(b, l, args[1], args[0]);
    });
  }

  /// init + lhs * rhs, summed over what `init` does not list; half types are widened on the way.
  Value buildContraction(MappedTensor lhs, MappedTensor rhs, MappedTensor init) {
    auto widen = [](OpBuilder &b, Location l, Value value) -> Value {
      return value.getType().isF32() ? value : Value(arith::ExtFOp::create(b, l, b.getF32Type(), value));
    };
    return buildGeneric(builder, loc, {lhs, rhs}, init, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
      Value product = arith::MulFOp::create(b, l, widen(b, l, args[0]), widen(b, l, args[1]));
      return arith::AddFOp::create(b, l, args[2], product);
    });
  }

  /// Query times key, scaled by getScoreFactor(); in `scoreMap`.
  MappedTensor buildProducts() {
    MappedTensor query = buildConverted({op.getQuery(), op.getQueryMap()}, getTiledQueryMap(), getScoreFactor(options));
    MappedTensor key{op.getKey(), op.getKeyMap()};
    if (rowsInLanes)
      key = buildConverted(key, key.map, /*factor=*/1.0);
    Value zero = buildEmptyF32(builder, loc, scoreMap, {query, key}, 0.0);
    return {buildContraction(key, query, {zero, scoreMap}), scoreMap};
  }

  /// Softcap, bias and masks, written over the products.
  MappedTensor buildMaskedScores(MappedTensor products) {
    if (!options.softcap && !op.getBias() && !op.getMask() && !op.getKvLen() && !op.isMaskedByPosition())
      return products;
    SmallVector<MappedTensor> inputs;
    auto addInput = [&](Value tensor, MutableOperandRange range) -> std::optional<unsigned> {
      if (!tensor)
        return std::nullopt;
      inputs.push_back({tensor, op.getMap(*range.begin())});
      return inputs.size() - 1;
    };
    std::optional<unsigned> bias = addInput(op.getBias(), op.getBiasMutable());
    std::optional<unsigned> mask = addInput(op.getMask(), op.getMaskMutable());
    std::optional<unsigned> kvLen = addInput(op.getKvLen(), op.getKvLenMutable());
    std::optional<unsigned> positions = addInput(op.getPositions(), op.getPositionsMutable());
    unsigned keyLoop = *getDimPosition(scoreMap, Dim::n);

    Value scores =
        buildGeneric(builder, loc, inputs, products, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
          Value score = buildScore(b, l, args.back(), options, /*isProductScaled=*/true, bias ? args[*bias] : Value());
          Value visible =
              buildVisible(b, l, keyLoop, kvLen ? args[*kvLen] : Value(), positions ? args[*positions] : Value());
          if (mask)
            visible = buildAnd(b, l, visible, buildTruth(b, l, args[*mask]));
          if (!visible)
            return score;
          Value negInf = arith::ConstantOp::create(b, l, b.getF32FloatAttr(-std::numeric_limits<float>::infinity()));
          return arith::SelectOp::create(b, l, visible, score, negInf);
        });
    return {scores, scoreMap};
  }

  Value buildVisible(OpBuilder &b, Location l, unsigned keyLoop, Value kvLen, Value row) {
    if (!kvLen && !row)
      return {};
    Value key = linalg::IndexOp::create(b, l, keyLoop);
    if (op.getKeyStart())
      key = arith::AddIOp::create(b, l, key, op.getKeyStart());
    key = arith::IndexCastOp::create(b, l, b.getI32Type(), key);
    MaskOptions mask;
    mask.kvLen = kvLen;
    mask.causal = op.getCausal();
    mask.windowLeft = op.getWindowLeft();
    mask.windowRight = op.getWindowRight();
    return buildIsVisible(b, l, key, row, mask);
  }

  static Value buildAnd(OpBuilder &b, Location l, Value lhs, Value rhs) {
    return lhs ? Value(arith::AndIOp::create(b, l, lhs, rhs)) : rhs;
  }

  static Value buildTruth(OpBuilder &b, Location l, Value value) {
    if (value.getType().isInteger(1))
      return value;
    Value zero = arith::ConstantOp::create(b, l, b.getIntegerAttr(value.getType(), 0));
    return arith::CmpIOp::create(b, l, arith::CmpIPredicate::ne, value, zero);
  }

  Value buildRowMax(MappedTensor scores) {
    return buildGeneric(builder, loc, scores, max, [](OpBuilder &b, Location l, ValueRange args) -> Value {
      return gqa::buildMax(b, l, args[1], args[0]);
    });
  }

  /// init + weights * value.
  Value buildWeightedValues(MappedTensor weights, MappedTensor init) {
    MappedTensor value{op.getValue(), op.getValueMap()};
    if (rowsInLanes)
      value = buildConverted(value, value.map, /*factor=*/1.0);
    return buildContraction(value, weights, init);
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
