#include "dialect/OnlineSoftmax.h"

#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

namespace mlir::gqa {

using llvm::numbers::ln2;
using llvm::numbers::log2e;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value buildF32(OpBuilder &builder, Location loc, double value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
}

/// `value`, an f32, in `type`.
Value fromF32(OpBuilder &builder, Location loc, Value value, Type type) {
  if (type.isF32())
    return value;
  return arith::TruncFOp::create(builder, loc, type, value);
}

Value buildIsNegInf(OpBuilder &builder, Location loc, Value value) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, value, buildF32(builder, loc, -kInfinity));
}

Value buildIsZero(OpBuilder &builder, Location loc, Value value) {
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, value, buildF32(builder, loc, 0.0));
}

} // namespace

Value buildToF32(OpBuilder &builder, Location loc, Value value) {
  if (value.getType().isF32())
    return value;
  if (value.getType().isInteger())
    return arith::SIToFPOp::create(builder, loc, builder.getF32Type(), value);
  return arith::ExtFOp::create(builder, loc, builder.getF32Type(), value);
}

Value buildNibble(OpBuilder &builder, Location loc, Value byte, Value half) {
  auto constant = [&](int64_t value) {
    return arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(value)).getResult();
  };
  // Shifts bring either half to the top, and back with its sign.
  byte = arith::ExtSIOp::create(builder, loc, builder.getI32Type(), byte);
  Value toTop =
      arith::SubIOp::create(builder, loc, constant(28), arith::MulIOp::create(builder, loc, half, constant(4)));
  Value top = arith::ShLIOp::create(builder, loc, byte, toTop);
  return arith::ShRSIOp::create(builder, loc, top, constant(28));
}

/// Renumbers the dimensions that `maps` use: those of the last map first and in its order, then the others.
static SmallVector<AffineMap> renumberDims(ArrayRef<AffineMap> maps) {
  MLIRContext *context = maps.front().getContext();
  SmallVector<Dim> order = getDims(maps.back());
  for (unsigned dim = 0; dim < kNumDims; ++dim)
    if (!llvm::is_contained(order, Dim(dim)) &&
        llvm::any_of(maps, [&](AffineMap map) { return hasDim(map, Dim(dim)); }))
      order.push_back(Dim(dim));
  SmallVector<AffineExpr> replacements(kNumDims, getAffineConstantExpr(0, context));
  for (auto [loop, dim] : llvm::enumerate(order))
    replacements[static_cast<unsigned>(dim)] = getAffineDimExpr(loop, context);
  return llvm::map_to_vector(maps, [&](AffineMap map) {
    return map.replaceDimsAndSymbols(replacements, {}, order.size(), /*numResultSyms=*/0);
  });
}

Value buildGeneric(OpBuilder &builder, Location loc, ArrayRef<MappedTensor> inputs, MappedTensor output,
                   BodyBuilder body) {
  SmallVector<AffineMap> maps;
  SmallVector<Value> tensors;
  for (const MappedTensor &input : inputs) {
    maps.push_back(input.map);
    tensors.push_back(input.tensor);
  }
  maps.push_back(output.map);
  maps = renumberDims(maps);

  SmallVector<utils::IteratorType> iterators(maps.back().getNumDims(), utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), output.map.getNumResults(), utils::IteratorType::parallel);
  auto generic =
      linalg::GenericOp::create(builder, loc, output.tensor.getType(), tensors, output.tensor, maps, iterators,
                                [&](OpBuilder &nested, Location nestedLoc, ValueRange scalars) {
                                  linalg::YieldOp::create(nested, nestedLoc, body(nested, nestedLoc, scalars));
                                });
  return generic.getResult(0);
}

Value buildEmptyF32(OpBuilder &builder, Location loc, AffineMap map, ArrayRef<MappedTensor> like,
                    std::optional<double> value) {
  SmallVector<AffineMap> maps;
  SmallVector<Value> tensors;
  for (const MappedTensor &mapped : like) {
    maps.push_back(mapped.map);
    tensors.push_back(mapped.tensor);
  }
  SmallVector<OpFoldResult> sizes;
  for (Dim dim : getDims(map))
    sizes.push_back(getExtent(builder, loc, maps, tensors, dim));
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
  if (!value)
    return empty;
  return linalg::FillOp::create(builder, loc, buildF32(builder, loc, *value), empty).getResult(0);
}

Value buildContraction(OpBuilder &builder, Location loc, MappedTensor lhs, MappedTensor rhs, MappedTensor init) {
  return buildGeneric(builder, loc, {lhs, rhs}, init, [](OpBuilder &b, Location l, ValueRange args) -> Value {
    Value product = arith::MulFOp::create(b, l, buildToF32(b, l, args[0]), buildToF32(b, l, args[1]));
    return arith::AddFOp::create(b, l, args[2], product);
  });
}

Value buildAccumulate(OpBuilder &builder, Location loc, MappedTensor input, MappedTensor init) {
  return buildGeneric(builder, loc, input, init, [](OpBuilder &b, Location l, ValueRange args) -> Value {
    return arith::AddFOp::create(b, l, args[1], args[0]);
  });
}

double getScoreFactor(const ScoreOptions &options) {
  return options.softcap ? options.scale / *options.softcap : options.scale * log2e;
}

/// score + log2(e) * bias, for scores in base 2. Masks are often the least finite number, which times log2(e) is -inf:
/// a row of nothing else would lose all of its keys instead of weighing them equally. So far down, where no key has a
/// weight beside others, a bias is added as it is.
static Value addBias(OpBuilder &builder, Location loc, Value score, Value bias) {
  Value wide = buildToF32(builder, loc, bias);
  Value sum = math::FmaOp::create(builder, loc, wide, buildF32(builder, loc, log2e), score);
  if (bias.getType().isF16())
    return sum;
  auto isLess = [&](Value a, Value b) -> Value {
    return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, a, b);
  };
  Value least = buildF32(builder, loc, -0x1p126);
  Value floor = arith::SelectOp::create(builder, loc, isLess(wide, least), wide, least);
  return arith::SelectOp::create(builder, loc, isLess(sum, floor), floor, sum);
}

Value buildScore(OpBuilder &builder, Location loc, Value product, const ScoreOptions &options, bool isProductScaled,
                 Value bias) {
  Value score = product;
  if (!isProductScaled)
    score = arith::MulFOp::create(builder, loc, score, buildF32(builder, loc, getScoreFactor(options)));
  if (options.softcap) {
    score = math::TanhOp::create(builder, loc, score);
    score = arith::MulFOp::create(builder, loc, score, buildF32(builder, loc, *options.softcap * log2e));
  }
  return bias ? addBias(builder, loc, score, bias) : score;
}

Value buildIsVisible(OpBuilder &builder, Location loc, Value key, Value row, const MaskOptions &options) {
  Value visible;
  auto compare = [&](arith::CmpIPredicate predicate, Value lhs, Value rhs) -> Value {
    return arith::CmpIOp::create(builder, loc, predicate, lhs, rhs);
  };
  auto require = [&](Value condition) {
    visible = visible ? Value(arith::AndIOp::create(builder, loc, visible, condition)) : condition;
  };
  Value position = options.keyPosition ? options.keyPosition : key;
  // Window extents are clamped so that sums of positions cannot overflow i32.
  auto shifted = [&](int64_t distance) {
    int64_t clamped = std::min<int64_t>(std::max<int64_t>(distance, -(1 << 30)), 1 << 30);
    Value offset = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(clamped));
    return arith::AddIOp::create(builder, loc, row, offset);
  };
  if (options.kvLen)
    require(compare(arith::CmpIPredicate::slt, key, options.kvLen));
  if (options.causal)
    require(compare(arith::CmpIPredicate::sle, position, row));
  if (options.windowLeft) {
    Value isInside = compare(arith::CmpIPredicate::sge, position, shifted(-*options.windowLeft));
    if (options.sinks) {
      Value sinks = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(*options.sinks));
      Value isSink = compare(arith::CmpIPredicate::slt, position, sinks);
      isInside = arith::OrIOp::create(builder, loc, isInside, isSink);
    }
    require(isInside);
  }
  if (options.windowRight)
    require(compare(arith::CmpIPredicate::sle, position, shifted(*options.windowRight)));
  return visible;
}

/// Whether an element of a mask, i1 or i8, lets its key be seen.
static Value buildTruth(OpBuilder &builder, Location loc, Value value) {
  if (value.getType().isInteger(1))
    return value;
  Value zero = arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(value.getType(), 0));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, value, zero);
}

Value buildMaskedScores(OpBuilder &builder, Location loc, MappedTensor products, const ScoreOptions &options,
                        const ScoreOperands &operands, MaskOptions mask) {
  SmallVector<MappedTensor> inputs;
  auto addInput = [&](const std::optional<MappedTensor> &operand) -> std::optional<unsigned> {
    if (!operand)
      return std::nullopt;
    inputs.push_back(*operand);
    return inputs.size() - 1;
  };
  std::optional<unsigned> biasInput = addInput(operands.bias), maskInput = addInput(operands.mask);
  std::optional<unsigned> kvLenInput = addInput(operands.kvLen), rowInput = addInput(operands.positions);
  std::optional<unsigned> scaleInput = addInput(operands.keyScale), keyInput = addInput(operands.keyPositions);
  if (!options.softcap && inputs.empty())
    return products.tensor;

  auto buildKey = [&](OpBuilder &b, Location l) -> Value {
    Value key = linalg::IndexOp::create(b, l, *getDimPosition(products.map, Dim::n));
    if (operands.keyStart)
      key = arith::AddIOp::create(b, l, key, operands.keyStart);
    return arith::IndexCastOp::create(b, l, b.getI32Type(), key);
  };
  return buildGeneric(builder, loc, inputs, products, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
    auto get = [&](std::optional<unsigned> input) { return input ? args[*input] : Value(); };
    Value product = args.back();
    if (scaleInput)
      product = arith::MulFOp::create(b, l, product, args[*scaleInput]);
    Value score = buildScore(b, l, product, options, /*isProductScaled=*/true, get(biasInput));
    Value visible;
    mask.kvLen = get(kvLenInput);
    mask.keyPosition = get(keyInput);
    if (kvLenInput || rowInput)
      visible = buildIsVisible(b, l, buildKey(b, l), get(rowInput), mask);
    if (maskInput) {
      Value truth = buildTruth(b, l, args[*maskInput]);
      visible = visible ? Value(arith::AndIOp::create(b, l, visible, truth)) : truth;
    }
    if (!visible)
      return score;
    return arith::SelectOp::create(b, l, visible, score, buildF32(b, l, -kInfinity));
  });
}

SoftmaxState buildInitialState(OpBuilder &builder, Location loc, AffineMap accMap, AffineMap maxMap,
                               ArrayRef<OpFoldResult> accSizes, ArrayRef<OpFoldResult> maxSizes) {
  auto fill = [&](AffineMap map, ArrayRef<OpFoldResult> sizes, double value) -> MappedTensor {
    Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getF32Type());
    return {linalg::FillOp::create(builder, loc, buildF32(builder, loc, value), empty).getResult(0), map};
  };
  return {fill(accMap, accSizes, 0.0), fill(maxMap, maxSizes, -kInfinity), fill(maxMap, maxSizes, 0.0)};
}

Value buildSafeMax(OpBuilder &builder, Location loc, MappedTensor max) {
  Value empty = buildEmptyF32(builder, loc, max.map, max);
  return buildGeneric(builder, loc, max, {empty, max.map}, [](OpBuilder &b, Location l, ValueRange args) -> Value {
    return arith::SelectOp::create(b, l, buildIsNegInf(b, l, args[0]), buildF32(b, l, 0.0), args[0]);
  });
}

Value buildWeights(OpBuilder &builder, Location loc, MappedTensor scores, MappedTensor safeMax, double factor) {
  return buildGeneric(builder, loc, safeMax, scores, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
    if (factor == 1.0)
      return math::Exp2Op::create(b, l, arith::SubFOp::create(b, l, args[1], args[0]));
    Value shift = arith::NegFOp::create(b, l, args[0]);
    return math::Exp2Op::create(b, l, math::FmaOp::create(b, l, args[1], buildF32(b, l, factor), shift));
  });
}

Value buildProduct(OpBuilder &builder, Location loc, MappedTensor lhs, MappedTensor rhs) {
  return buildGeneric(builder, loc, rhs, lhs, [](OpBuilder &b, Location l, ValueRange args) -> Value {
    return arith::MulFOp::create(b, l, args[1], args[0]);
  });
}

SoftmaxStep buildSoftmaxStep(OpBuilder &builder, Location loc, MappedTensor scores, MappedTensor max, MappedTensor sum,
                             double factor) {
  Value negInf = buildEmptyF32(builder, loc, max.map, max, -kInfinity);
  MappedTensor blockMax{buildRowMax(builder, loc, scores, {negInf, max.map}), max.map};
  if (factor != 1.0)
    blockMax.tensor = buildGeneric(builder, loc, {}, blockMax, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
      return arith::MulFOp::create(b, l, args[0], buildF32(b, l, factor));
    });
  SoftmaxStep step;
  step.max = {buildRowMax(builder, loc, max, blockMax), max.map};
  MappedTensor safeMax{buildSafeMax(builder, loc, step.max), max.map};
  step.weights = {buildWeights(builder, loc, scores, safeMax, factor), scores.map};
  step.rescale = {buildWeights(builder, loc, max, safeMax), max.map};

  // A product that is added to would be one rounding or two, as LLVM likes: here it is one.
  Value zeros = buildEmptyF32(builder, loc, sum.map, sum, 0.0);
  MappedTensor blockSum{buildAccumulate(builder, loc, step.weights, {zeros, sum.map}), sum.map};
  step.sum = {buildGeneric(builder, loc, {step.rescale, blockSum}, sum,
                           [](OpBuilder &b, Location l, ValueRange args) -> Value {
                             return math::FmaOp::create(b, l, args[2], args[0], args[1]);
                           }),
              sum.map};
  return step;
}

FinalResults buildFinalResults(OpBuilder &builder, Location loc, const SoftmaxState &state,
                               std::optional<MappedTensor> sink, MappedTensor output, std::optional<MappedTensor> lse) {
  // reciprocal = 1 / (sum + exp2(log2(e) * sink - max)), or 0 for a row without keys.
  SmallVector<MappedTensor> inputs = {state.sum, state.max};
  if (sink)
    inputs.push_back(*sink);
  Value empty = buildEmptyF32(builder, loc, state.sum.map, state.sum);
  Value reciprocal = buildGeneric(
      builder, loc, inputs, {empty, state.sum.map}, [&](OpBuilder &b, Location l, ValueRange args) -> Value {
        Value denominator = args[0];
        if (sink) {
          Value logit = arith::MulFOp::create(b, l, buildToF32(b, l, args[2]), buildF32(b, l, log2e));
          Value weight = math::Exp2Op::create(b, l, arith::SubFOp::create(b, l, logit, args[1]));
          denominator = arith::AddFOp::create(b, l, denominator, weight);
        }
        Value inverse = arith::DivFOp::create(b, l, buildF32(b, l, 1.0), denominator);
        return arith::SelectOp::create(b, l, buildIsZero(b, l, args[0]), buildF32(b, l, 0.0), inverse);
      });

  FinalResults results;
  results.output = buildGeneric(builder, loc, {state.acc, {reciprocal, state.sum.map}}, output,
                                [](OpBuilder &b, Location l, ValueRange args) -> Value {
                                  Value value = arith::MulFOp::create(b, l, args[0], args[1]);
                                  return fromF32(b, l, value, args[2].getType());
                                });
  if (lse)
    results.lse = buildGeneric(
        builder, loc, {state.max, state.sum}, *lse, [](OpBuilder &b, Location l, ValueRange args) -> Value {
          // log(0) = -inf makes lse of a row without keys -inf by itself.
          Value log = math::Log2Op::create(b, l, args[1]);
          return arith::MulFOp::create(b, l, arith::AddFOp::create(b, l, args[0], log), buildF32(b, l, ln2));
        });
  return results;
}

Value buildRowMax(OpBuilder &builder, Location loc, MappedTensor values, MappedTensor init) {
  return buildGeneric(builder, loc, values, init, [](OpBuilder &b, Location l, ValueRange args) -> Value {
    auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
    return arith::MaxNumFOp::create(b, l, args[1], args[0], flags);
  });
}

Value buildStore(OpBuilder &builder, Location loc, Value source, Value destination) {
  return bufferization::MaterializeInDestinationOp::create(builder, loc, source, destination).getResult();
}

SoftmaxState buildMergeStep(OpBuilder &builder, Location loc, const SoftmaxState &state, const SoftmaxState &other) {
  AffineMap rows = state.max.map;
  MappedTensor negInf{buildEmptyF32(builder, loc, rows, state.max, -kInfinity), rows};
  MappedTensor otherMax{buildRowMax(builder, loc, other.max, negInf), rows};
  MappedTensor newMax{buildRowMax(builder, loc, state.max, otherMax), rows};
  MappedTensor safeMax{buildSafeMax(builder, loc, newMax), rows};
  MappedTensor stateWeight{buildWeights(builder, loc, state.max, safeMax), rows};
  MappedTensor otherWeight{buildWeights(builder, loc, other.max, safeMax), rows};

  auto mergeWeighted = [&](MappedTensor mine, MappedTensor theirs) -> MappedTensor {
    Value merged = buildGeneric(builder, loc, {stateWeight, theirs, otherWeight}, mine,
                                [](OpBuilder &b, Location l, ValueRange args) -> Value {
                                  Value kept = arith::MulFOp::create(b, l, args[3], args[0]);
                                  return math::FmaOp::create(b, l, args[1], args[2], kept);
                                });
    return {merged, mine.map};
  };
  MappedTensor acc = mergeWeighted(state.acc, other.acc), sum = mergeWeighted(state.sum, other.sum);
  return {acc, {buildStore(builder, loc, newMax.tensor, stateWeight.tensor), rows}, sum};
}

SoftmaxState buildMerge(OpBuilder &builder, Location loc, const SoftmaxState &partial, const SoftmaxState &init) {
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value splits = tensor::DimOp::create(builder, loc, partial.max.tensor, 0);
  auto loop = scf::ForOp::create(
      builder, loc, zero, splits, one, ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor},
      [&](OpBuilder &b, Location l, Value split, ValueRange args) {
        auto getSplit = [&](MappedTensor all, MappedTensor like) -> MappedTensor {
          auto type = cast<RankedTensorType>(like.tensor.getType());
          SmallVector<OpFoldResult> offsets(type.getRank() + 1, b.getIndexAttr(0)), sizes = {b.getIndexAttr(1)};
          SmallVector<OpFoldResult> strides(type.getRank() + 1, b.getIndexAttr(1));
          offsets[0] = split;
          llvm::append_range(sizes, tensor::getMixedSizes(b, l, like.tensor));
          return {tensor::ExtractSliceOp::create(b, l, type, all.tensor, offsets, sizes, strides), like.map};
        };
        SoftmaxState state = {{args[0], init.acc.map}, {args[1], init.max.map}, {args[2], init.sum.map}};
        SoftmaxState other = {getSplit(partial.acc, state.acc), getSplit(partial.max, state.max),
                              getSplit(partial.sum, state.sum)};
        SoftmaxState merged = buildMergeStep(b, l, state, other);
        scf::YieldOp::create(b, l, ValueRange{merged.acc.tensor, merged.max.tensor, merged.sum.tensor});
      });
  return {{loop.getResult(0), init.acc.map}, {loop.getResult(1), init.max.map}, {loop.getResult(2), init.sum.map}};
}

} // namespace mlir::gqa
