#include "tools/LayerReference.h"

#include "tools/HalfFloat.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

namespace gqa {
namespace {

double roundTo(ElementType type, double value) {
  auto single = static_cast<float>(value);
  if (type == ElementType::f16)
    return fromF16(toF16(single));
  return type == ElementType::bf16 ? fromBF16(toBF16(single)) : single;
}

/// What an fp8 number (e4m3: 3 bits of fraction, exponents from -6 on) keeps of `value`.
double roundToF8(double value) {
  if (value == 0)
    return 0;
  double step = std::ldexp(1, std::max(std::ilogb(value), -6) - 3);
  return std::nearbyint(value / step) * step;
}

/// What is left of a head's row in a cache of this type.
template <typename Real> void roundToCache(const std::string &type, Real *row, int64_t dim) {
  if (type == "f32" || type == "f16" || type == "bf16") {
    for (int64_t d = 0; d < dim; ++d)
      row[d] = static_cast<Real>(roundTo(type == "f16"    ? ElementType::f16
                                         : type == "bf16" ? ElementType::bf16
                                                          : ElementType::f32,
                                         row[d]));
    return;
  }
  double greatest = 0;
  for (int64_t d = 0; d < dim; ++d)
    greatest = std::max(greatest, std::fabs(static_cast<double>(row[d])));
  double scale = greatest / (type == "int8" ? 127 : type == "fp8" ? 448 : 7);
  for (int64_t d = 0; d < dim && scale > 0; ++d) {
    double quotient = row[d] / scale;
    row[d] = static_cast<Real>(scale * (type == "fp8" ? roundToF8(quotient) : std::nearbyint(quotient)));
  }
}

/// The angle by which pair `pair` turns per token: the formulas of Chen et al. 2023 (arXiv:2306.15595) for linear
/// scaling, Llama 3.1's reference code, and Peng et al. 2023 (arXiv:2309.00071, section 3.2) for YaRN.
double getFrequency(const gqa_rotary &rotary, int64_t pair) {
  constexpr double turn = 6.283185307179586;
  double plain = std::pow(rotary.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(rotary.dim));
  double turns = rotary.original_context * plain / turn; // within the original context
  auto blend = [&](double kept) { return plain * (kept + (1 - kept) / rotary.factor); };
  switch (rotary.scaling) {
  case GQA_ROTARY_LINEAR:
    return plain / rotary.factor;
  case GQA_ROTARY_LLAMA3:
    return blend(
        std::clamp((turns - rotary.low_frequency_factor) / (rotary.high_frequency_factor - rotary.low_frequency_factor),
                   0.0, 1.0));
  case GQA_ROTARY_YARN: {
    auto findPair = [&](double n) {
      double found =
          static_cast<double>(rotary.dim) / 2 * std::log(rotary.original_context / (n * turn)) / std::log(rotary.theta);
      return rotary.no_ramp_rounding ? found : n > rotary.beta_slow ? std::floor(found) : std::ceil(found);
    };
    double low = std::max(findPair(rotary.beta_fast), 0.0);
    double high = std::min(findPair(rotary.beta_slow), static_cast<double>(rotary.dim - 1)); // as in the authors' code
    return blend(1 - std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0));
  }
  default:
    return plain;
  }
}

/// What YaRN multiplies rotated elements by (arXiv:2309.00071, eq. 22, on queries and keys alike).
double getStretch(const gqa_rotary &rotary) {
  if (rotary.scaling != GQA_ROTARY_YARN)
    return 1;
  return rotary.attention_factor > 0 ? rotary.attention_factor : 0.1 * std::log(rotary.factor) + 1;
}

/// A layer in Real. If `isRounded`, what attention reads and writes is rounded to `type`, and what a bf16 projection
/// reads to bf16; and keys and values to `cacheType`, unless it is "".
template <typename Real> class PlainLayer {
public:
  PlainLayer(const LayerInput &input, ElementType type, bool isRounded, std::string cacheType)
      : input(input), config(input.config), type(type), isRounded(isRounded), cacheType(std::move(cacheType)),
        dim(config.getHeadDim()) {}

  LayerRows compute(const std::vector<int64_t> &rows) {
    int64_t keys = rows.empty() ? 0 : *std::max_element(rows.begin(), rows.end()) + 1;
    keyRows.resize(static_cast<size_t>(keys));
    valueRows.resize(static_cast<size_t>(keys));
#pragma omp parallel for schedule(dynamic)
    for (int64_t token = 0; token < keys; ++token) {
      std::vector<Real> x = readToken(token);
      keyRows[static_cast<size_t>(token)] =
          prepare(project(x, input.weights.key, input.weights.keyBias), input.weights.keyNorm, token);
      valueRows[static_cast<size_t>(token)] = project(x, input.weights.value, input.weights.valueBias);
      roundAll(valueRows[static_cast<size_t>(token)]);
      for (int64_t head = 0; head < config.numKvHeads && !cacheType.empty(); ++head) {
        roundToCache(cacheType, &keyRows[static_cast<size_t>(token)][static_cast<size_t>(head * dim)], dim);
        roundToCache(cacheType, &valueRows[static_cast<size_t>(token)][static_cast<size_t>(head * dim)], dim);
      }
    }
    LayerRows result(rows.size());
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < rows.size(); ++i)
      result[i] = computeRow(rows[i]);
    return result;
  }

private:
  std::vector<Real> readToken(int64_t token) const {
    const float *begin = input.x + token * config.dModel;
    return {begin, begin + config.dModel};
  }

  /// x W^T + bias.
  std::vector<Real> project(std::vector<Real> x, const layer::WeightMatrix &weight,
                            const std::vector<float> &bias) const {
    bool isBFloat = weight.type == layer::WeightType::BF16;
    if (isRounded && isBFloat)
      for (Real &element : x)
        element = static_cast<Real>(roundTo(ElementType::bf16, element));
    std::vector<Real> y(static_cast<size_t>(weight.outputs));
    for (int64_t row = 0; row < weight.outputs; ++row) {
      Real sum = 0;
      for (int64_t column = 0; column < weight.inputs; ++column)
        sum += x[static_cast<size_t>(column)] * static_cast<Real>(weight.get(row * weight.inputs + column));
      y[static_cast<size_t>(row)] = sum + (bias.empty() ? 0 : static_cast<Real>(bias[static_cast<size_t>(row)]));
    }
    return y;
  }

  /// Norm and rotary embedding of each head of a query or key row.
  std::vector<Real> prepare(std::vector<Real> row, const std::vector<float> &norm, int64_t position) const {
    for (size_t head = 0; head < row.size(); head += static_cast<size_t>(dim)) {
      if (!norm.empty())
        normalise(&row[head], norm);
      if (config.rotary.dim > 0)
        rotate(&row[head], position);
    }
    roundAll(row);
    return row;
  }

  void normalise(Real *head, const std::vector<float> &norm) const {
    Real squares = 0;
    for (int64_t d = 0; d < dim; ++d)
      squares += head[d] * head[d];
    Real length = std::sqrt(squares / static_cast<Real>(dim) + static_cast<Real>(config.normEpsilon));
    for (int64_t d = 0; d < dim; ++d)
      head[d] = head[d] / length * static_cast<Real>(norm[static_cast<size_t>(d)]);
  }

  void rotate(Real *head, int64_t position) const {
    int64_t rotated = config.rotary.dim;
    for (int64_t pair = 0; pair < rotated / 2; ++pair) {
      bool isInterleaved = config.rotary.pairs == GQA_ROTARY_INTERLEAVED;
      Real &x = head[isInterleaved ? 2 * pair : pair];
      Real &y = head[isInterleaved ? 2 * pair + 1 : pair + rotated / 2];
      double angle = static_cast<double>(position) * getFrequency(config.rotary, pair);
      double stretch = getStretch(config.rotary);
      auto cosine = static_cast<Real>(stretch * std::cos(angle)), sine = static_cast<Real>(stretch * std::sin(angle));
      Real turned = x * cosine - y * sine;
      y = y * cosine + x * sine;
      x = turned;
    }
  }

  void roundAll(std::vector<Real> &row) const {
    if (isRounded)
      for (Real &element : row)
        element = static_cast<Real>(roundTo(type, element));
  }

  std::vector<double> computeRow(int64_t token) const {
    std::vector<Real> query = prepare(project(readToken(token), input.weights.query, input.weights.queryBias),
                                      input.weights.queryNorm, token);
    std::vector<Real> output(query.size(), 0);
    for (int64_t head = 0; head < config.numHeads; ++head)
      attend(token, &query[static_cast<size_t>(head * dim)], head, &output[static_cast<size_t>(head * dim)]);
    roundAll(output);
    std::vector<Real> y = project(output, input.weights.output, input.weights.outputBias);
    return {y.begin(), y.end()};
  }

  /// Softmax attention of one head of one token to all tokens up to it.
  void attend(int64_t token, const Real *query, int64_t head, Real *output) const {
    int64_t keyHead = head / (config.numHeads / config.numKvHeads);
    const std::vector<float> &sinks = input.weights.sinks;
    Real sink = sinks.empty() ? static_cast<Real>(-INFINITY) : static_cast<Real>(sinks[static_cast<size_t>(head)]);
    std::vector<Real> weights(static_cast<size_t>(token) + 1);
    Real maximum = sink;
    for (int64_t n = 0; n <= token; ++n) {
      Real &score = weights[static_cast<size_t>(n)];
      for (int64_t d = 0; d < dim; ++d)
        score += query[d] * keyRows[static_cast<size_t>(n)][static_cast<size_t>(keyHead * dim + d)];
      score = adjust(score);
      if (input.mask && !input.mask[token * input.tokens + n])
        score = -INFINITY;
      maximum = std::max(maximum, score);
    }
    if (maximum == -INFINITY) // no key
      return;
    Real sum = std::exp(sink - maximum);
    for (Real &weight : weights) {
      weight = std::exp(weight - maximum);
      sum += weight;
    }
    for (int64_t n = 0; n <= token; ++n) {
      Real probability = weights[static_cast<size_t>(n)] / sum;
      if (isRounded)
        probability = static_cast<Real>(roundTo(type, probability));
      for (int64_t d = 0; d < dim; ++d)
        output[d] += probability * valueRows[static_cast<size_t>(n)][static_cast<size_t>(keyHead * dim + d)];
    }
  }

  /// A product of a query and a key as the softmax takes it.
  Real adjust(Real product) const {
    double scale = input.scores.scale, cap = input.scores.softcap;
    product *= static_cast<Real>(scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(dim)));
    return cap > 0 ? static_cast<Real>(cap) * std::tanh(product / static_cast<Real>(cap)) : product;
  }

  const LayerInput &input;
  const layer::LayerConfig &config;
  ElementType type;
  bool isRounded;
  std::string cacheType;
  int64_t dim;
  std::vector<std::vector<Real>> keyRows, valueRows; // [tokens][kv_heads * head_dim]
};

double getGreatestError(const LayerRows &rows, const LayerRows &reference) {
  double error = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t d = 0; d < rows[i].size(); ++d) {
      double difference = std::fabs(rows[i][d] - reference[i][d]);
      error = std::isnan(difference) ? INFINITY : std::max(error, difference);
    }
  return error;
}

} // namespace

LayerRows computeLayerReference(const LayerInput &input, const std::vector<int64_t> &rows) {
  return PlainLayer<double>(input, ElementType::f32, /*isRounded=*/false, /*cacheType=*/"").compute(rows);
}

LayerRows computeNaiveLayer(const LayerInput &input, const std::vector<int64_t> &rows, ElementType type,
                            const std::string &cacheType) {
  return PlainLayer<float>(input, type, /*isRounded=*/true, cacheType).compute(rows);
}

double checkLayerRows(const std::string &what, const LayerRows &actual, const LayerRows &reference,
                      const LayerRows &naive, ElementType type) {
  double largest = 0;
  for (const std::vector<double> &row : reference)
    for (double element : row)
      largest = std::max(largest, std::fabs(element));
  double unit = std::ldexp(1, type == ElementType::f32 ? -24 : type == ElementType::f16 ? -11 : -8);
  double error = getGreatestError(actual, reference);
  double bound = 2 * getGreatestError(naive, reference) + unit * largest;
  if (error <= bound)
    return error;
  std::ostringstream text;
  text << what << ": output error " << error << ", allowed " << bound;
  throw std::runtime_error(text.str());
}

} // namespace gqa
