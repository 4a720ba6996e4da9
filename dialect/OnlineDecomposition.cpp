// gqa.online_attention as linalg on the tile it is given.
//
// The layout of `acc` decides the orientation, and with it what the vector lanes will hold:
//
//   acc[dv, rows]   scores [n, rows], query transposed to [dqk, rows]    lanes = query rows
//   acc[rows, dv]   scores [rows, n], query [rows, dqk]                  lanes = head dimension, or matrix units
//
// What depends on the query alone (conversion, scaling, transposition) does not depend on the keys, so the loop over
// key blocks around the tile loses it to loop-invariant code motion.

#include "dialect/AttentionDims.h"
#include "dialect/ByteProducts.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"
#include "dialect/ShortProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// Lanes of the partial sums of a dot product along the head dimension.
constexpr int64_t kDotLanes = 16;

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

    SoftmaxStep step = buildSoftmaxStep(builder, loc, scores, max, sum);
    MappedTensor weights = step.weights;
    if (std::optional<MappedTensor> scale = operand(op.getValueScaleMutable()))
      weights = {buildProduct(builder, loc, weights, *scale), weights.map};
    Value newAcc = buildWeightedValues(weights, {buildProduct(builder, loc, acc, step.rescale), acc.map});
    // The rescaling factors have taken the old maximum's place; the new one returns there, so that the state stays
    // where it is from block to block.
    return {newAcc, buildStore(builder, loc, step.max.tensor, step.rescale.tensor), step.sum.tensor};
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
          Value value = buildToF32(b, l, args[0]);
          if (factor == 1.0)
            return value;
          Value constant = arith::ConstantOp::create(b, l, b.getF32FloatAttr(factor));
          return arith::MulFOp::create(b, l, value, constant);
        });
    return {converted, map};
  }

  /// Query times key, scaled by getScoreFactor(); in `scoreMap`.
  MappedTensor buildProducts() {
    if (usesMatrixUnits())
      return buildMatrixProducts();
    MappedTensor query = buildConverted({op.getQuery(), op.getQueryMap()}, getTiledQueryMap(), getScoreFactor(options));
    MappedTensor key{op.getKey(), op.getKeyMap()};
    if (usesShorts())
      return buildShortProducts(query, key);
    if (usesBytes())
      return buildByteProducts(query, key);
    if (!rowsInLanes)
      return buildFloatProducts(query, key);
    if (usesPairs())
      return buildPairProducts();
    key = buildUnpacked(key, Dim::dqk, Dim::dqk2);
    key = buildConverted(key, key.map, /*factor=*/1.0);
    Value zero = buildEmptyF32(builder, loc, scoreMap, {query, key}, 0.0);
    return {buildContraction(builder, loc, key, query, {zero, scoreMap}), scoreMap};
  }

  /// `rows`, [n, d], of which bytes along `packed` hold two elements, as f32 along `row`; others stay as they are.
  MappedTensor buildUnpacked(MappedTensor rows, Dim row, Dim packed) {
    if (!hasDim(rows.map, packed))
      return rows;
    return {gqa::buildUnpacked(builder, loc, rows.tensor, builder.getF32Type()),
            getDimsMap(op.getContext(), {Dim::n, row})};
  }

  /// Scores [rows, n] as dot products along the head dimension, in two steps: partial sums in kDotLanes lanes, and
  /// their sum. Head dimensions that lanes do not divide are summed in one step.
  MappedTensor buildDotProducts(MappedTensor query, MappedTensor key) {
    key = buildUnpacked(key, Dim::dqk, Dim::dqk2);
    int64_t extent = getStaticExtent({key.map}, key.tensor, Dim::dqk);
    SmallVector<Dim> queryDims = getDims(query.map), keyDims = getDims(key.map);
    bool hasPlainDims =
        queryDims == SmallVector<Dim>{Dim::m, Dim::dqk} && keyDims == SmallVector<Dim>{Dim::n, Dim::dqk};
    if (!hasPlainDims || extent % kDotLanes != 0) {
      Value zero = buildEmptyF32(builder, loc, scoreMap, {query, key}, 0.0);
      return {buildContraction(builder, loc, key, query, {zero, scoreMap}), scoreMap};
    }
    // Loops (m, n, lane, step); the head dimension is step * kDotLanes + lane.
    AffineExpr m, n, lane, step;
    bindDims(op.getContext(), m, n, lane, step);
    auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, op.getContext()); };
    Value queryLanes = splitInner(query.tensor, kDotLanes), keyLanes = splitInner(key.tensor, kDotLanes);
    int64_t rows = cast<RankedTensorType>(query.tensor.getType()).getDimSize(0);
    int64_t keys = cast<RankedTensorType>(key.tensor.getType()).getDimSize(0);
    Value zero = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0.0));
    auto buildZeros = [&](ArrayRef<int64_t> sizes) {
      Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
      return linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    };
    using utils::IteratorType;
    auto partial = linalg::GenericOp::create(
        builder, loc, RankedTensorType::get({rows, keys, kDotLanes}, builder.getF32Type()),
        ValueRange{queryLanes, keyLanes}, buildZeros({rows, keys, kDotLanes}),
        ArrayRef<AffineMap>{map({m, step, lane}), map({n, step, lane}), map({m, n, lane})},
        ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::parallel, IteratorType::reduction},
        [&](OpBuilder &b, Location l, ValueRange args) {
          Value product = arith::MulFOp::create(b, l, buildToF32(b, l, args[0]), buildToF32(b, l, args[1]));
          linalg::YieldOp::create(b, l, arith::AddFOp::create(b, l, args[2], product).getResult());
        });
    AffineMap all = builder.getMultiDimIdentityMap(3);
    auto sum = linalg::GenericOp::create(
        builder, loc, RankedTensorType::get({rows, keys}, builder.getF32Type()), partial.getResult(0),
        buildZeros({rows, keys}), ArrayRef<AffineMap>{all, all.getMajorSubMap(2)},
        ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::reduction},
        [&](OpBuilder &b, Location l, ValueRange args) {
          linalg::YieldOp::create(b, l, arith::AddFOp::create(b, l, args[1], args[0]).getResult());
        });
    return {sum.getResult(0), scoreMap};
  }

  /// Scores [rows, n] in f32.
  MappedTensor buildFloatProducts(MappedTensor query, MappedTensor key) {
    if (auto pages = key.tensor.getDefiningOp<GatherPagesOp>())
      return buildDotProductsInPages(query, pages);
    return buildDotProducts(query, key);
  }

  /// buildDotProducts on keys in pages, one run of them after another.
  MappedTensor buildDotProductsInPages(MappedTensor query, GatherPagesOp pages) {
    MappedTensor whole{pages.getResult(), op.getKeyMap()};
    Value scores = buildEmptyF32(builder, loc, scoreMap, {query, whole});
    scores = buildRunLoop(pages, scores, [&](Value offset, Value run, Value current) -> Value {
      Value products = buildDotProducts(query, {run, op.getKeyMap()}).tensor;
      return tensor::InsertSliceOp::create(builder, loc, products, current, getKeyOffsets(offset),
                                           tensor::getMixedSizes(builder, loc, products), getUnitStrides());
    });
    return {scores, scoreMap};
  }

  /// A loop over the runs of `pages` that carries `init`.
  Value buildRunLoop(GatherPagesOp pages, Value init,
                     function_ref<Value(Value offset, Value run, Value current)> body) {
    int64_t keys = cast<RankedTensorType>(pages.getResult().getType()).getDimSize(0);
    auto index = [&](int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); };
    auto loop = scf::ForOp::create(builder, loc, index(0), index(keys), index(pages.getRun()), init);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    Value offset = loop.getInductionVar();
    Value run = pages.buildRun(builder, offset);
    scf::YieldOp::create(builder, loc, body(offset, run, loop.getRegionIterArg(0)));
    return loop.getResult(0);
  }

  /// Offsets into scores of the key at `offset`.
  SmallVector<OpFoldResult> getKeyOffsets(Value offset) {
    SmallVector<OpFoldResult> offsets(scoreMap.getNumResults(), builder.getIndexAttr(0));
    offsets[*getDimPosition(scoreMap, Dim::n)] = offset;
    return offsets;
  }
  SmallVector<OpFoldResult> getUnitStrides() {
    return SmallVector<OpFoldResult>(scoreMap.getNumResults(), builder.getIndexAttr(1));
  }

  /// Whether products are made of pairs of bf16 (constraint C12).
  bool usesPairs() { return op.getDot() && rowsInLanes; }
  /// Whether contractions take half types as they are and accumulate in f32.
  bool usesMatrixUnits() { return op.getDot() && !rowsInLanes && !hasBytes(); }
  /// Whether products are those of integers: of bytes, or of 16 bits.
  bool usesBytes() { return op.getDot() && !rowsInLanes && hasBytes() && !op.getShorts(); }
  bool usesShorts() { return op.getShorts(); }
  bool hasBytes() { return isBytes(op.getKey()) && isBytes(op.getValue()); }
  static bool isBytes(Value tensor) { return getElementTypeOrSelf(tensor).isInteger(8); }

  /// Keys or values, [n, d], as bytes of one element each.
  Value buildBytes(Value rows, AffineMap map, Dim packed) {
    return hasDim(map, packed) ? gqa::buildUnpacked(builder, loc, rows, builder.getI8Type()) : rows;
  }

  /// Scores [rows, n] from keys of bytes.
  MappedTensor buildByteProducts(MappedTensor query, MappedTensor key) {
    FixedPoint rows = buildFixedPoint(builder, loc, query);
    Value words = buildWordsOfRows(builder, loc, rows.digits);
    auto multiply = [&](Value keys) {
      return buildWordContraction(builder, loc, buildBytes(keys, key.map, Dim::dqk2), words);
    };
    int64_t keys = cast<RankedTensorType>(key.tensor.getType()).getDimSize(0);
    int64_t digits = cast<RankedTensorType>(words.getType()).getDimSize(1);
    Value sums;
    if (auto pages = key.tensor.getDefiningOp<GatherPagesOp>()) {
      Value empty = tensor::EmptyOp::create(builder, loc, ArrayRef{keys, digits}, builder.getI32Type());
      sums = buildRunLoop(pages, empty, [&](Value offset, Value run, Value current) -> Value {
        return buildInserted(multiply(run), current, offset);
      });
    } else {
      sums = multiply(key.tensor);
    }
    Value scores =
        buildEmptyF32(builder, loc, scoreMap, {query, {sums, getDimsMap(op.getContext(), {Dim::n, Dim::m})}});
    sums = buildTransposed(builder, loc, sums);
    return {buildFromDigits(builder, loc, sums, rows.unit, {scores, scoreMap}, /*isAdded=*/false), scoreMap};
  }

  /// Scores [rows, n] from keys of bytes: in integers of 16 bits, or in f32 if these would leave too little of a query.
  MappedTensor buildShortProducts(MappedTensor query, MappedTensor key) {
    // What does not depend on the keys stands outside of the choice, which could not leave a loop.
    ShortRows rows = buildShortRows(builder, loc, query);
    Value hasOutlier = buildHasOutlier(builder, loc, query, kMaxShortRatio);
    Value scores = buildEmptyF32(builder, loc, scoreMap, {query, key});
    auto choice = scf::IfOp::create(builder, loc, scores.getType(), hasOutlier, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(choice.thenBlock());
    Value floats = buildFloatProducts(query, key).tensor;
    scf::YieldOp::create(builder, loc, buildStore(builder, loc, floats, scores));
    builder.setInsertionPointToStart(choice.elseBlock());
    Value sums = buildShortSums(rows.numbers, key);
    scf::YieldOp::create(
        builder, loc, buildFromShorts(builder, loc, sums, rows.unit, {scores, scoreMap}, /*isAdded=*/false));
    return {choice.getResult(0), scoreMap};
  }

  /// Products of rows of 16 bits with keys of bytes, i32 [rows, n].
  Value buildShortSums(Value rows, MappedTensor key) {
    auto multiply = [&](Value keys) {
      return buildShortDots(builder, loc, rows, buildBytes(keys, key.map, Dim::dqk2));
    };
    auto pages = key.tensor.getDefiningOp<GatherPagesOp>();
    if (!pages)
      return multiply(key.tensor);
    int64_t height = cast<RankedTensorType>(rows.getType()).getDimSize(0);
    int64_t keys = cast<RankedTensorType>(key.tensor.getType()).getDimSize(0);
    Value empty = tensor::EmptyOp::create(builder, loc, ArrayRef{height, keys}, builder.getI32Type());
    return buildRunLoop(pages, empty, [&](Value offset, Value run, Value current) -> Value {
      Value products = multiply(run);
      return tensor::InsertSliceOp::create(builder, loc, products, current, getKeyOffsets(offset),
                                           tensor::getMixedSizes(builder, loc, products), getUnitStrides());
    });
  }

  /// init[rows, dv] + weights * value, for values of bytes, in integers of 16 bits.
  Value buildShortValues(MappedTensor weights, MappedTensor value, MappedTensor init) {
    ShortRows rows = buildShortRows(builder, loc, weights);
    Value sums = buildZeroSums(builder, loc, cast<RankedTensorType>(init.tensor.getType()).getShape());
    auto add = [&](Value numbers, Value values, Value current) {
      return buildShortContraction(builder, loc, numbers, buildBytes(values, value.map, Dim::dv2), current);
    };
    if (auto pages = value.tensor.getDefiningOp<GatherPagesOp>())
      sums = buildRunLoop(pages, sums, [&](Value offset, Value run, Value current) {
        return add(buildKeyRun(rows.numbers, offset, pages.getRun()), run, current);
      });
    else
      sums = add(rows.numbers, value.tensor, sums);
    return buildFromShorts(builder, loc, sums, rows.unit, init, /*isAdded=*/true);
  }

  /// `run` keys of `scores`, which have the dimensions of scores, from `offset` on.
  Value buildKeyRun(Value scores, Value offset, int64_t run) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, scores);
    sizes[*getDimPosition(scoreMap, Dim::n)] = builder.getIndexAttr(run);
    return tensor::ExtractSliceOp::create(builder, loc, scores, getKeyOffsets(offset), sizes, getUnitStrides());
  }

  /// init[rows, dv] + weights * value, for values of bytes.
  Value buildByteValues(MappedTensor weights, MappedTensor value, MappedTensor init) {
    FixedPoint rows = buildFixedPoint(builder, loc, weights);
    auto reorder = [&](Value values) {
      return buildWordsOfLanes(builder, loc, buildBytes(values, value.map, Dim::dv2));
    };
    Value words;
    if (auto pages = value.tensor.getDefiningOp<GatherPagesOp>()) {
      ArrayRef<int64_t> weightShape = cast<RankedTensorType>(weights.tensor.getType()).getShape();
      int64_t lanes = cast<RankedTensorType>(init.tensor.getType()).getDimSize(1);
      Value empty = tensor::EmptyOp::create(
          builder, loc, ArrayRef<int64_t>{weightShape[1] / kBytesPerWord, lanes, kBytesPerWord}, builder.getI8Type());
      words = buildRunLoop(pages, empty, [&](Value offset, Value run, Value current) -> Value {
        Value bytes = arith::ConstantIndexOp::create(builder, loc, kBytesPerWord);
        return buildInserted(reorder(run), current, arith::DivUIOp::create(builder, loc, offset, bytes));
      });
    } else {
      words = reorder(value.tensor);
    }
    Value sums = buildWordContraction(builder, loc, rows.digits, words);
    return buildFromDigits(builder, loc, sums, rows.unit, init, /*isAdded=*/true);
  }

  /// `part` in `whole` from `offset` on along the first dimension.
  Value buildInserted(Value part, Value whole, Value offset) {
    int64_t rank = cast<RankedTensorType>(whole.getType()).getRank();
    SmallVector<OpFoldResult> offsets(rank, builder.getIndexAttr(0)), strides(rank, builder.getIndexAttr(1));
    offsets.front() = offset;
    return tensor::InsertSliceOp::create(builder, loc, part, whole, offsets, tensor::getMixedSizes(builder, loc, part),
                                         strides);
  }

  /// Scores [rows, n] from operands in their own types. The factor comes afterwards, since it would cost the query
  /// bits.
  MappedTensor buildMatrixProducts() {
    MappedTensor query{op.getQuery(), op.getQueryMap()}, key{op.getKey(), op.getKeyMap()};
    Value zero = buildEmptyF32(builder, loc, scoreMap, {query, key}, 0.0);
    return buildScaled({buildContraction(builder, loc, query, key, {zero, scoreMap}), scoreMap});
  }

  /// Products that carry getScoreFactor(), written over those that do not.
  MappedTensor buildScaled(MappedTensor products) {
    double factor = getScoreFactor(options);
    Value scaled = buildGeneric(builder, loc, {}, products, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
      return arith::MulFOp::create(b, l, args[0], arith::ConstantOp::create(b, l, b.getF32FloatAttr(factor)));
    });
    return {scaled, products.map};
  }

  /// init + weights * value, both in the element type of the value. Weights that are f16's elsewhere are given to
  /// values of bf16 as two of its numbers, the second being what the first leaves.
  Value buildMatrixValues(MappedTensor weights, MappedTensor value, MappedTensor init) {
    auto getElement = [](Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); };
    Type element = getElement(value.tensor);
    if (element.isF32())
      return buildContraction(builder, loc, weights, value, init);
    MappedTensor rounded = buildRounded(weights, element);
    Value sum = buildContraction(builder, loc, rounded, value, init);
    if (!element.isBF16() || !getElement(op.getQuery()).isF16())
      return sum;
    Value rest = buildGeneric(builder, loc, rounded, weights, [](OpBuilder &b, Location l, ValueRange args) -> Value {
      return arith::SubFOp::create(b, l, args[1], buildToF32(b, l, args[0]));
    });
    return buildContraction(builder, loc, buildRounded({rest, weights.map}, element), value, {sum, init.map});
  }

  MappedTensor buildRounded(MappedTensor weights, Type element) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(weights.tensor.getType()).getShape();
    Value empty = tensor::EmptyOp::create(builder, loc, shape, element);
    Value rounded = buildGeneric(builder, loc, weights, {empty, weights.map},
                                 [&](OpBuilder &b, Location l, ValueRange args) -> Value {
                                   return arith::TruncFOp::create(b, l, element, args[0]);
                                 });
    return {rounded, weights.map};
  }

  /// Scores [n, rows] from pairs along the head dimension: key [n, pair, 2] times query [pair, rows, 2]. The factor
  /// comes afterwards, since it would cost the query bits.
  MappedTensor buildPairProducts() {
    Value query = buildPairs(builder, loc, splitInner(op.getQuery(), 2), /*isInterleaved=*/true);
    Value key = splitInner(op.getKey(), 2);
    MappedTensor like[] = {{op.getQuery(), op.getQueryMap()}, {op.getKey(), op.getKeyMap()}};
    Value zero = buildEmptyF32(builder, loc, scoreMap, like, 0.0);
    return buildScaled({buildPairContraction(key, /*isPairFirst=*/false, query, zero), scoreMap});
  }

  /// init[dv, rows] + value [pair, dv, 2] times weights [pair, rows, 2], with pairs along the keys.
  Value buildPairValues(MappedTensor weights, MappedTensor init) {
    Value value = buildPairs(builder, loc, splitOuter(op.getValue(), 2), /*isInterleaved=*/false);
    Value pairs = buildPairs(builder, loc, splitOuter(weights.tensor, 2), /*isInterleaved=*/false);
    return buildPairContraction(value, /*isPairFirst=*/true, pairs, init.tensor);
  }

  /// Brings pairs together in bf16: [pair, 2, lanes] -> [pair, lanes, 2], or, where the pairs lie next to each other
  /// already (`isInterleaved`), [lanes, pair, 2] -> [pair, lanes, 2].
  static Value buildPairs(OpBuilder &builder, Location loc, Value tensor, bool isInterleaved) {
    ArrayRef<int64_t> shape = cast<RankedTensorType>(tensor.getType()).getShape();
    AffineExpr pair, lane, half;
    bindDims(builder.getContext(), pair, lane, half);
    SmallVector<int64_t> extents =
        isInterleaved ? SmallVector<int64_t>{shape[1], shape[0], 2} : SmallVector<int64_t>{shape[0], shape[2], 2};
    AffineMap input = isInterleaved ? AffineMap::get(3, 0, {lane, pair, half}, builder.getContext())
                                    : AffineMap::get(3, 0, {pair, half, lane}, builder.getContext());
    Value empty = tensor::EmptyOp::create(builder, loc, extents, builder.getBF16Type());
    SmallVector<utils::IteratorType> loops(3, utils::IteratorType::parallel);
    return linalg::GenericOp::create(builder, loc, empty.getType(), tensor, empty,
                                     ArrayRef{input, builder.getMultiDimIdentityMap(3)}, loops,
                                     [](OpBuilder &b, Location l, ValueRange args) {
                                       Value value = args[0];
                                       if (value.getType().isF32())
                                         value = arith::TruncFOp::create(b, l, b.getBF16Type(), value);
                                       linalg::YieldOp::create(b, l, value);
                                     })
        .getResult(0);
  }

  /// init[row, lane] + sum over pairs and halves of rows[row, pair, half] (or [pair, row, half]) * lanes[pair, lane,
  /// half].
  Value buildPairContraction(Value rows, bool isPairFirst, Value lanes, Value init) {
    AffineExpr row, lane, pair, half;
    bindDims(op.getContext(), row, lane, pair, half);
    auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, op.getContext()); };
    AffineMap rowsMap = isPairFirst ? map({pair, row, half}) : map({row, pair, half});
    using utils::IteratorType;
    return linalg::GenericOp::create(
               builder, loc, init.getType(), ValueRange{rows, lanes}, init,
               ArrayRef<AffineMap>{rowsMap, map({pair, lane, half}), map({row, lane})},
               ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::reduction,
                        IteratorType::reduction},
               [](OpBuilder &b, Location l, ValueRange args) {
                 Value product = arith::MulFOp::create(b, l, buildToF32(b, l, args[0]), buildToF32(b, l, args[1]));
                 linalg::YieldOp::create(b, l, arith::AddFOp::create(b, l, args[2], product).getResult());
               })
        .getResult(0);
  }

  /// [rows, d] -> [rows, d / size, size].
  Value splitInner(Value tensor, int64_t size) {
    auto type = cast<RankedTensorType>(tensor.getType());
    auto split = RankedTensorType::get({type.getDimSize(0), type.getDimSize(1) / size, size}, type.getElementType());
    return tensor::ExpandShapeOp::create(builder, loc, split, tensor, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  }

  /// [keys, d] -> [keys / size, size, d].
  Value splitOuter(Value tensor, int64_t size) {
    auto type = cast<RankedTensorType>(tensor.getType());
    auto split = RankedTensorType::get({type.getDimSize(0) / size, size, type.getDimSize(1)}, type.getElementType());
    return tensor::ExpandShapeOp::create(builder, loc, split, tensor, ArrayRef<ReassociationIndices>{{0, 1}, {2}});
  }

  std::optional<MappedTensor> operand(MutableOperandRange range) {
    if (range.empty())
      return std::nullopt;
    OpOperand &present = *range.begin();
    return MappedTensor{present.get(), op.getMap(present)};
  }

  /// Softcap, bias and masks, written over the products.
  MappedTensor buildScores(MappedTensor products) {
    ScoreOperands operands;
    operands.bias = operand(op.getBiasMutable());
    operands.mask = operand(op.getMaskMutable());
    operands.kvLen = operand(op.getKvLenMutable());
    operands.positions = operand(op.getPositionsMutable());
    operands.keyScale = operand(op.getKeyScaleMutable());
    operands.keyPositions = operand(op.getKeyPositionsMutable());
    operands.keyStart = op.getKeyStart();
    MaskOptions mask;
    mask.causal = op.getCausal();
    mask.windowLeft = op.getWindowLeft();
    mask.windowRight = op.getWindowRight();
    mask.sinks = op.getSinks();
    return {buildMaskedScores(builder, loc, products, options, operands, mask), scoreMap};
  }

  /// init + weights * value.
  Value buildWeightedValues(MappedTensor weights, MappedTensor init) {
    if (usesPairs())
      return buildPairValues(weights, init);
    // The operand with the lanes comes second: it makes the rows of the outer products.
    MappedTensor value{op.getValue(), op.getValueMap()};
    if (usesShorts())
      return buildShortValues(weights, value, init);
    if (usesBytes())
      return buildByteValues(weights, value, init);
    if (auto pages = rowsInLanes ? GatherPagesOp() : value.tensor.getDefiningOp<GatherPagesOp>())
      return buildRunLoop(pages, init.tensor, [&](Value offset, Value run, Value current) -> Value {
        Value part = buildKeyRun(weights.tensor, offset, pages.getRun());
        MappedTensor values = buildUnpacked({run, value.map}, Dim::dv, Dim::dv2);
        return buildContraction(builder, loc, {part, weights.map}, values, {current, init.map});
      });
    value = buildUnpacked(value, Dim::dv, Dim::dv2);
    if (usesMatrixUnits())
      return buildMatrixValues(weights, value, init);
    if (!rowsInLanes)
      return buildContraction(builder, loc, weights, value, init);
    return buildContraction(builder, loc, buildConverted(value, value.map, /*factor=*/1.0), weights, init);
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
