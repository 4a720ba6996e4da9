#ifndef GQA_DIALECT_ONLINESOFTMAX_H
#define GQA_DIALECT_ONLINESOFTMAX_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"

/// The formulas of attention, each once. Every lowering, fused or not, on any target, builds its scores, masks, running
/// softmax and merges with these functions.
///
/// Scores are in base 2 (they carry a factor log2(e)), so exp2 is the only exponential, and the running maximum is in
/// units of log2.
namespace mlir::gqa {

/// A tensor and the map from the named dimensions to its own.
struct MappedTensor {
  Value tensor;
  AffineMap map;
};

using BodyBuilder = function_ref<Value(OpBuilder &, Location, ValueRange)>;

/// `value`, an element of any operand, as f32; integers count as they are.
Value buildToF32(OpBuilder &builder, Location loc, Value value);

/// One of the two 4-bit integers in `byte` as i32: the even one, in the low half, for a `half` of 0, the odd one for 1.
Value buildNibble(OpBuilder &builder, Location loc, Value byte, Value half);

/// A linalg.generic whose loops are the output's dimensions in its order, and then, as reductions, those that only
/// inputs list. `body` gets one scalar per input and then the output's, and returns the new one.
Value buildGeneric(OpBuilder &builder, Location loc, ArrayRef<MappedTensor> inputs, MappedTensor output,
                   BodyBuilder body);

/// A tensor of f32 with the extents of `like`, filled with `value` where given, else uninitialised.
Value buildEmptyF32(OpBuilder &builder, Location loc, AffineMap map, ArrayRef<MappedTensor> like,
                    std::optional<double> value = std::nullopt);

/// init + lhs * rhs, summed over what `init` does not list; half types are widened on the way.
Value buildContraction(OpBuilder &builder, Location loc, MappedTensor lhs, MappedTensor rhs, MappedTensor init);

/// init + the sum of `input` over what `init` does not list.
Value buildAccumulate(OpBuilder &builder, Location loc, MappedTensor input, MappedTensor init);

/// What turns a dot product into a score.
struct ScoreOptions {
  double scale = 1.0;
  std::optional<double> softcap;
};

/// The factor by which a raw dot product is multiplied first: all there is to do if there is no softcap and no bias.
double getScoreFactor(const ScoreOptions &options);

/// log2(e) * (softcap(scale * product) + bias) on scalars; `product` already carries getScoreFactor() if
/// `isProductScaled`. `bias` may be null.
Value buildScore(OpBuilder &builder, Location loc, Value product, const ScoreOptions &options, bool isProductScaled,
                 Value bias);

/// Which keys a row may see, by position; a null value or absent number puts no bound.
struct MaskOptions {
  Value kvLen; // i32
  bool causal = false;
  std::optional<int64_t> windowLeft, windowRight;
  Value keyPosition;            // i32: where the key stands, if not at its number
  std::optional<int64_t> sinks; // keys at positions below are in every window
};

/// The i1 that says whether the row at position `row` may see key number `key` (both i32); null if always.
Value buildIsVisible(OpBuilder &builder, Location loc, Value key, Value row, const MaskOptions &options);

/// What scores are made of beside the products of query and key. `positions` are those of the rows, i32; key n of the
/// scores has number n + keyStart, and stands there unless keyPositions says otherwise. Causal masks and windows need
/// positions. `keyScale` multiplies the products.
struct ScoreOperands {
  std::optional<MappedTensor> bias, mask, kvLen, positions, keyScale, keyPositions;
  Value keyStart;
};

/// Softcap, bias and masks, written over `products`, which carry getScoreFactor(). `mask.kvLen` and
/// `mask.keyPosition` are not used.
Value buildMaskedScores(OpBuilder &builder, Location loc, MappedTensor products, const ScoreOptions &options,
                        const ScoreOperands &operands, MaskOptions mask);

/// The state of a running softmax: acc has the dimensions of the rows and dv, max and sum those of the rows.
struct SoftmaxState {
  MappedTensor acc, max, sum;
};

/// The state of rows that have met no key: acc = 0, max = -inf, sum = 0, with the given maps and extents.
SoftmaxState buildInitialState(OpBuilder &builder, Location loc, AffineMap accMap, AffineMap maxMap,
                               ArrayRef<OpFoldResult> accSizes, ArrayRef<OpFoldResult> maxSizes);

/// The maxima of `init` and of `values` over what `init` does not list, written over `init`. A NaN score leaves the
/// maximum as it is and shows in the weights, so the cheap form that does not order NaN is enough.
Value buildRowMax(OpBuilder &builder, Location loc, MappedTensor values, MappedTensor init);

/// Weights relative to a maximum: `newMax` with -inf taken as 0, so that exponents of rows without keys stay finite.
Value buildSafeMax(OpBuilder &builder, Location loc, MappedTensor max);

/// exp2(factor * scores - safeMax), written over the scores.
Value buildWeights(OpBuilder &builder, Location loc, MappedTensor scores, MappedTensor safeMax, double factor = 1.0);

/// lhs * rhs, written over lhs.
Value buildProduct(OpBuilder &builder, Location loc, MappedTensor lhs, MappedTensor rhs);

/// What a block of scores makes of a running softmax.
struct SoftmaxStep {
  MappedTensor weights; ///< exp2(factor * scores - max'), written over the scores
  MappedTensor rescale; ///< exp2(max - max'): what older weighted values are multiplied by, written over max
  MappedTensor max;     ///< max', the new maximum
  MappedTensor sum;     ///< the new sum, written over the old one
};

/// The step for one block of scores in base 2, once they are multiplied by `factor`, which is positive.
SoftmaxStep buildSoftmaxStep(OpBuilder &builder, Location loc, MappedTensor scores, MappedTensor max, MappedTensor sum,
                             double factor = 1.0);

/// output = acc / sum and lse = ln(2) * max + ln(sum), with 0 and -inf for rows without keys. `sink`, if given, is a
/// logit (natural units) that joins the denominator of the output and not lse. `lse` may be null.
struct FinalResults {
  Value output, lse;
};
FinalResults buildFinalResults(OpBuilder &builder, Location loc, const SoftmaxState &state,
                               std::optional<MappedTensor> sink, MappedTensor output, std::optional<MappedTensor> lse);

/// `source`, stored where `destination` lives. Keeps a loop's state in one place when its old value is needed until the
/// end, which a copy would not: copies of whole tensors fold away.
Value buildStore(OpBuilder &builder, Location loc, Value source, Value destination);

/// The state of the union of two disjoint ranges of keys, written over `state`.
SoftmaxState buildMergeStep(OpBuilder &builder, Location loc, const SoftmaxState &state, const SoftmaxState &other);

/// Merges partial results along a leading dimension, over which the keys were split: each tensor of `partial` is
/// [splits, ...] where `init`, which they are merged into, is [...].
SoftmaxState buildMerge(OpBuilder &builder, Location loc, const SoftmaxState &partial, const SoftmaxState &init);

} // namespace mlir::gqa

#endif // GQA_DIALECT_ONLINESOFTMAX_H
