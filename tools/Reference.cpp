#include "tools/Reference.h"

#include "runtime/cache/NarrowFloat.h"
#include "tools/HalfFloat.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace gqa {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Where the element at `index` lies, in elements from the start.
int64_t getOffset(const TensorView &view, const PerDim &index) {
  int64_t offset = 0;
  for (int dim = 0; dim < kNumDims; ++dim)
    offset += index[dim] * view.strides[dim];
  return offset;
}

double read(const TensorView &view, const PerDim &index) { return readElement(view, getOffset(view, index)); }

/// The position that query row `row` stands at among the keys.
int64_t getPosition(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row, int64_t kvLen) {
  int64_t offset = 0;
  if (inputs.offset)
    offset = static_cast<int64_t>(read(*inputs.offset, row));
  else if (problem.alignment == Alignment::bottomRight)
    offset = kvLen - problem.getExtent(Dim::m);
  return at(row, Dim::m) + offset;
}

/// The keys that row `row` attends to, in ascending order.
std::vector<int64_t> getVisibleKeys(const AttentionProblem &problem, const AttentionInputs &inputs, PerDim row) {
  int64_t kvLen = problem.getExtent(Dim::n);
  if (inputs.kvLen)
    kvLen = static_cast<int64_t>(read(*inputs.kvLen, row));
  int64_t position = getPosition(problem, inputs, row, kvLen);

  std::vector<int64_t> keys;
  for (int64_t n = 0; n < problem.getExtent(Dim::n); ++n) {
    at(row, Dim::n) = n;
    if (n >= kvLen)
      continue;
    if (problem.causal && n > position)
      continue;
    if (problem.windowLeft && n < position - *problem.windowLeft)
      continue;
    if (problem.windowRight && n > position + *problem.windowRight)
      continue;
    if (inputs.mask && read(*inputs.mask, row) == 0)
      continue;
    keys.push_back(n);
  }
  return keys;
}

/// Rounds to a float type.
double roundTo(ElementType type, double value) {
  auto single = static_cast<float>(value);
  if (type == ElementType::f16)
    return fromF16(toF16(single));
  if (type == ElementType::bf16)
    return fromBF16(toBF16(single));
  return single;
}

/// The score of the query row and the key of `index`, computed in Real.
template <typename Real>
Real computeScore(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &index) {
  int64_t q = getOffset(inputs.query, index), k = getOffset(inputs.key, index);
  Real score = 0;
  for (int64_t d = 0; d < problem.getExtent(Dim::dqk); ++d) {
    score += static_cast<Real>(readElement(inputs.query, q)) * static_cast<Real>(readElement(inputs.key, k));
    q += at(inputs.query.strides, Dim::dqk);
    k += at(inputs.key.strides, Dim::dqk);
  }
  score *= static_cast<Real>(problem.scale);
  if (problem.softcap)
    score = static_cast<Real>(*problem.softcap) * std::tanh(score / static_cast<Real>(*problem.softcap));
  if (inputs.bias)
    score += static_cast<Real>(read(*inputs.bias, index));
  return score;
}

/// Attention of one row in Real; probabilities go through `roundProbability`.
template <typename Real, typename Round>
AttentionRow computeRow(const AttentionProblem &problem, const AttentionInputs &inputs, PerDim row,
                        Round roundProbability) {
  const int64_t dv = problem.getExtent(Dim::dv);
  for (Dim dim : {Dim::n, Dim::dqk, Dim::dv})
    at(row, dim) = 0;
  std::vector<int64_t> keys = getVisibleKeys(problem, inputs, row);

  std::vector<Real> scores;
  Real maximum = -std::numeric_limits<Real>::infinity();
  for (int64_t n : keys) {
    at(row, Dim::n) = n;
    scores.push_back(computeScore<Real>(problem, inputs, row));
    maximum = std::max(maximum, scores.back());
  }
  if (maximum == -std::numeric_limits<Real>::infinity()) // no key, or all scores are -inf
    return {std::vector<double>(static_cast<size_t>(dv), 0.0), -kInfinity};

  Real sum = 0;
  for (Real &score : scores) {
    score = std::exp(score - maximum);
    sum += score;
  }
  Real denominator = sum;
  at(row, Dim::n) = 0;
  if (inputs.sink)
    denominator += std::exp(static_cast<Real>(read(*inputs.sink, row)) - maximum);

  std::vector<Real> output(static_cast<size_t>(dv), 0);
  for (size_t i = 0; i < keys.size(); ++i) {
    Real probability = roundProbability(scores[i] / denominator);
    at(row, Dim::n) = keys[i];
    int64_t v = getOffset(inputs.value, row);
    for (Real &element : output) {
      element += probability * static_cast<Real>(readElement(inputs.value, v));
      v += at(inputs.value.strides, Dim::dv);
    }
  }
  return {std::vector<double>(output.begin(), output.end()), static_cast<double>(maximum + std::log(sum))};
}

/// Half of the distance from 1 to the next number.
double getUnitRoundoff(ElementType type) {
  if (type == ElementType::f16)
    return std::ldexp(1, -11);
  if (type == ElementType::bf16)
    return std::ldexp(1, -8);
  return std::ldexp(1, -24);
}

} // namespace

PerDim getStrides(const Operand &operand, const std::vector<int64_t> &strides) {
  PerDim result = {};
  for (size_t i = 0; i < operand.dims.size(); ++i)
    at(result, operand.dims[i]) = strides[i];
  return result;
}

PerDim getDenseStrides(const AttentionProblem &problem, const Operand &operand) {
  std::vector<int64_t> strides(operand.dims.size());
  int64_t stride = 1;
  for (size_t i = operand.dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= problem.getExtent(operand.dims[i]);
  }
  return getStrides(operand, strides);
}

double readElement(const TensorView &view, int64_t offset) {
  switch (view.type) {
  case ElementType::f32:
    return static_cast<const float *>(view.data)[offset];
  case ElementType::f16:
    return fromF16(static_cast<const uint16_t *>(view.data)[offset]);
  case ElementType::bf16:
    return fromBF16(static_cast<const uint16_t *>(view.data)[offset]);
  case ElementType::i1:
  case ElementType::i8:
    return static_cast<const int8_t *>(view.data)[offset];
  case ElementType::f8E4M3FN:
    return cache::fromF8E4M3(static_cast<const uint8_t *>(view.data)[offset]);
  case ElementType::i32:
    return static_cast<const int32_t *>(view.data)[offset];
  case ElementType::i64:
    return static_cast<double>(static_cast<const int64_t *>(view.data)[offset]);
  }
  return 0; // all kinds are handled
}

AttentionRow computeReferenceRow(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row) {
  return computeRow<double>(problem, inputs, row, [](double probability) { return probability; });
}

AttentionRow computeNaiveRow(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row) {
  auto roundProbability = [&](float probability) {
    return static_cast<float>(roundTo(problem.value.type, probability));
  };
  AttentionRow result = computeRow<float>(problem, inputs, row, roundProbability);
  for (double &element : result.output)
    element = roundTo(problem.output.type, element);
  return result;
}

RowMagnitude computeRowMagnitude(const AttentionProblem &problem, const AttentionInputs &inputs, const PerDim &row) {
  RowMagnitude magnitude;
  PerDim index = row;
  for (Dim dim : {Dim::n, Dim::dqk, Dim::dv})
    at(index, dim) = 0;
  for (int64_t n : getVisibleKeys(problem, inputs, index)) {
    at(index, Dim::n) = n;
    int64_t q = getOffset(inputs.query, index), k = getOffset(inputs.key, index), v = getOffset(inputs.value, index);
    double products = 0;
    for (int64_t d = 0; d < problem.getExtent(Dim::dqk); ++d) {
      products += std::fabs(readElement(inputs.query, q) * readElement(inputs.key, k));
      q += at(inputs.query.strides, Dim::dqk);
      k += at(inputs.key.strides, Dim::dqk);
    }
    double bias = inputs.bias ? std::fabs(read(*inputs.bias, index)) : 0;
    double score = std::fabs(problem.scale) * products + (std::isfinite(bias) ? bias : 0);
    magnitude.score = std::max(magnitude.score, score);
    for (int64_t d = 0; d < problem.getExtent(Dim::dv); ++d) {
      magnitude.value = std::max(magnitude.value, std::fabs(readElement(inputs.value, v)));
      v += at(inputs.value.strides, Dim::dv);
    }
  }
  return magnitude;
}

void ErrorRule::compare(double actual, double reference, double naive, double &error, double &naiveError) {
  if (std::isfinite(reference) && std::isfinite(actual)) {
    error = std::max(error, std::fabs(actual - reference));
    naiveError = std::max(naiveError, std::fabs(naive - reference));
    return;
  }
  if (actual == reference || (std::isnan(actual) && std::isnan(reference)) || hasMismatch)
    return;
  hasMismatch = true;
  mismatchActual = actual;
  mismatchReference = reference;
}

void ErrorRule::add(const AttentionRow &actual, const AttentionRow &reference, const AttentionRow &naive,
                    RowMagnitude magnitude, bool hasLse) {
  const double single = getUnitRoundoff(ElementType::f32);
  for (size_t d = 0; d < reference.output.size(); ++d)
    compare(actual.output[d], reference.output[d], naive.output[d], outputError, naiveOutputError);
  double scoreRoundings = single * (32 + 4 * magnitude.score);
  outputFloor = std::max(outputFloor,
                         magnitude.value * (getUnitRoundoff(valueType) + getUnitRoundoff(outputType) + scoreRoundings));
  if (!hasLse)
    return;
  compare(actual.lse, reference.lse, naive.lse, lseError, naiveLseError);
  lseFloor = std::max(lseFloor, scoreRoundings + magnitude.lse);
}

double ErrorRule::getOutputBound() const { return 2 * naiveOutputError + outputFloor; }
double ErrorRule::getLseBound() const { return 2 * naiveLseError + lseFloor; }

std::string ErrorRule::describe() const {
  std::ostringstream text;
  if (hasMismatch)
    text << "got " << mismatchActual << " where the reference is " << mismatchReference;
  else if (outputError > getOutputBound())
    text << "output error " << outputError << ", allowed " << getOutputBound();
  else if (lseError > getLseBound())
    text << "lse error " << lseError << ", allowed " << getLseBound();
  return text.str();
}

} // namespace gqa
