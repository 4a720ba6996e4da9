#ifndef GQA_TOOLS_REFERENCE_H
#define GQA_TOOLS_REFERENCE_H

#include "tools/AttentionProblem.h"

/// Attention by plain loops in double precision, one query row at a time: what compiled code is judged by. It knows
/// neither the compiler nor the runtime.
namespace gqa {

/// Elements of an operand in memory. Strides are in elements; a dimension that the operand does not list has stride 0,
/// which is all that broadcasting takes.
struct TensorView {
  ElementType type = ElementType::f32;
  const void *data = nullptr;
  PerDim strides = {};
};

/// The strides of `operand` when its elements lie densely in the order of its dimensions.
PerDim getDenseStrides(const AttentionProblem &problem, const Operand &operand);

/// The strides, by loop dimension, of an operand whose own dimensions have `strides`.
PerDim getStrides(const Operand &operand, const std::vector<int64_t> &strides);

/// The element at `offset` elements from the start, exact for the float types.
double readElement(const TensorView &view, int64_t offset);

/// The inputs of one problem; the optional ones are present where the problem has them.
struct AttentionInputs {
  TensorView query, key, value;
  std::optional<TensorView> bias, mask, kvLen, offset, sink;
};

/// One query row: `extents.dv` outputs, and the logarithm of the sum of the exponentials of the scores.
struct AttentionRow {
  std::vector<double> output;
  double lse = 0;
};

/// `row` gives b, hkv, g and m; its other entries are not used.
AttentionRow computeReferenceRow(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row);

/// The same in the way a simple low-precision program goes: products are accumulated in f32, in the order of the keys
/// and dimensions; probabilities are normalised, then rounded to the element type of the values; the output is rounded
/// to its element type. Its distance from the reference is what precision costs where nothing is wrong.
AttentionRow computeNaiveRow(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row);

/// What bounds rounding errors of one row: the largest sum of |products| that makes a score (bias included, in units of
/// the score), and the largest |value| among the keys that take part.
struct RowMagnitude {
  double score = 0;
  double value = 0;
  double lse = 0; ///< by how much lse may be wrong beside roundings of f32
};
RowMagnitude computeRowMagnitude(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row);

/// The error rule for results over any set of rows:
///
///     max |actual - reference| <= 2 max |naive - reference| + floor
///
/// The factor 2 allows other orders of summation. The floor keeps sets so small that the naive form was exact by luck
/// from failing: one rounding of a probability and one of an output, and a few roundings of scores, all in units of the
/// largest value. Infinities and NaN must agree exactly.
class ErrorRule {
public:
  ErrorRule(ElementType valueType, ElementType outputType) : valueType(valueType), outputType(outputType) {}

  /// Adds a row. `actual.lse` counts only with `hasLse`.
  void add(const AttentionRow &actual, const AttentionRow &reference, const AttentionRow &naive, RowMagnitude magnitude,
           bool hasLse);

  bool holds() const { return !hasMismatch && outputError <= getOutputBound() && lseError <= getLseBound(); }
  double getOutputError() const { return outputError; }
  double getLseError() const { return lseError; }
  double getOutputBound() const;
  double getLseBound() const;

  /// "output error 0.5, allowed 1e-06" for the worst offence; "" if the rule holds.
  std::string describe() const;

private:
  void compare(double actual, double reference, double naive, double &error, double &naiveError);

  ElementType valueType, outputType;
  double outputError = 0, naiveOutputError = 0, outputFloor = 0;
  double lseError = 0, naiveLseError = 0, lseFloor = 0;
  bool hasMismatch = false;
  double mismatchActual = 0, mismatchReference = 0;
};

} // namespace gqa

#endif // GQA_TOOLS_REFERENCE_H
