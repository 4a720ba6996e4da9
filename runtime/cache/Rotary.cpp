#include "runtime/cache/Rotary.h"

#include <algorithm>
#include <cmath>

namespace gqa::cache {

constexpr double kPi = 3.14159265358979323846;

static bool isPositive(double value) { return std::isfinite(value) && value > 0; }

static std::string describe(const char *what, double value) {
  return std::string(what) + ", got " + std::to_string(value);
}

static std::string checkScaling(const RotaryConfig &config) {
  if (config.scaling == RotaryScaling::None)
    return "";
  if (!isPositive(config.factor) || config.factor < 1)
    return describe("rotary factor must be at least 1", config.factor);
  if (config.scaling == RotaryScaling::Linear)
    return "";
  if (!isPositive(config.originalContext))
    return describe("rotary original context must be positive", config.originalContext);
  if (config.scaling == RotaryScaling::Llama3) {
    if (!isPositive(config.lowFrequencyFactor) || !isPositive(config.highFrequencyFactor) ||
        config.lowFrequencyFactor >= config.highFrequencyFactor)
      return "rotary low frequency factor (" + std::to_string(config.lowFrequencyFactor) +
             ") must be positive and less than the high frequency factor (" +
             std::to_string(config.highFrequencyFactor) + ")";
    return "";
  }
  if (config.scaling != RotaryScaling::Yarn)
    return "rotary scaling must be 0, 1, 2 or 3, got " + std::to_string(static_cast<int32_t>(config.scaling));
  if (!isPositive(config.betaSlow) || !isPositive(config.betaFast) || config.betaSlow >= config.betaFast)
    return "rotary beta slow (" + std::to_string(config.betaSlow) + ") must be positive and less than beta fast (" +
           std::to_string(config.betaFast) + ")";
  if (!std::isfinite(config.attentionFactor) || config.attentionFactor < 0)
    return describe("rotary attention factor must not be negative", config.attentionFactor);
  return "";
}

std::string check(const RotaryConfig &config, int64_t rowDim) {
  if (config.dim == 0)
    return "";
  if (config.dim < 0 || config.dim % 2 != 0 || config.dim > rowDim)
    return "rotary dim must be even and at most the key dim (" + std::to_string(rowDim) + "), got " +
           std::to_string(config.dim);
  if (config.pairs != RotaryPairs::Interleaved && config.pairs != RotaryPairs::HalfSplit)
    return "rotary pairs must be 0 or 1, got " + std::to_string(static_cast<int32_t>(config.pairs));
  if (!isPositive(config.theta) || config.theta <= 1)
    return describe("rotary theta must be greater than 1", config.theta);
  return checkScaling(config);
}

static double scaleAsLlama3(const RotaryConfig &config, double frequency) {
  double wavelength = 2 * kPi / frequency;
  double low = config.lowFrequencyFactor, high = config.highFrequencyFactor;
  if (wavelength < config.originalContext / high)
    return frequency;
  if (wavelength > config.originalContext / low)
    return frequency / config.factor;
  double kept = (config.originalContext / wavelength - low) / (high - low);
  return (1 - kept) * frequency / config.factor + kept * frequency;
}

/// The pairs between which YaRN goes over from keeping frequencies to interpolating them.
struct YarnRamp {
  explicit YarnRamp(const RotaryConfig &config) {
    auto findPair = [&](double turns) {
      return static_cast<double>(config.dim) * std::log(config.originalContext / (2 * kPi * turns)) /
             (2 * std::log(config.theta));
    };
    begin = findPair(config.betaFast);
    end = findPair(config.betaSlow);
    if (config.truncateRamp) {
      begin = std::floor(begin);
      end = std::ceil(end);
    }
    begin = std::max(begin, 0.0);
    end = std::min(end, static_cast<double>(config.dim - 1));
    if (begin >= end)
      end = begin + 0.001; // a step, as in the reference implementation
  }

  /// How much of pair `pair` is interpolated, 0 to 1.
  double operator()(int64_t pair) const {
    return std::clamp((static_cast<double>(pair) - begin) / (end - begin), 0.0, 1.0);
  }

  double begin, end;
};

static double getAttentionFactorOf(const RotaryConfig &config) {
  if (config.scaling != RotaryScaling::Yarn)
    return 1.0;
  return config.attentionFactor > 0 ? config.attentionFactor : 0.1 * std::log(config.factor) + 1.0;
}

Rotary::Rotary(const RotaryConfig &config) : config(config), attentionFactor(getAttentionFactorOf(config)) {
  for (int64_t pair = 0; pair < config.dim / 2; ++pair)
    frequencies.push_back(std::pow(config.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(config.dim)));
  if (config.scaling == RotaryScaling::Linear)
    for (double &frequency : frequencies)
      frequency /= config.factor;
  if (config.scaling == RotaryScaling::Llama3)
    for (double &frequency : frequencies)
      frequency = scaleAsLlama3(config, frequency);
  if (config.scaling == RotaryScaling::Yarn) {
    YarnRamp ramp(config);
    for (int64_t pair = 0; pair < config.dim / 2; ++pair) {
      double &frequency = frequencies[static_cast<size_t>(pair)];
      frequency = (1 - ramp(pair)) * frequency + ramp(pair) * frequency / config.factor;
    }
  }
}

void Rotary::computeTurns(int64_t position, float *turns) const {
  size_t pairs = frequencies.size();
  for (size_t pair = 0; pair < pairs; ++pair) {
    // In double: f32 angles near 100000 are 1/128 apart.
    double angle = static_cast<double>(position) * frequencies[pair];
    turns[pair] = static_cast<float>(attentionFactor * std::cos(angle));
    turns[pairs + pair] = static_cast<float>(attentionFactor * std::sin(angle));
  }
}

void Rotary::apply(const float *turns, float *row) const {
  int64_t pairs = config.dim / 2;
  bool isInterleaved = config.pairs == RotaryPairs::Interleaved;
  int64_t step = isInterleaved ? 2 : 1, distance = isInterleaved ? 1 : pairs;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    float &x = row[pair * step];
    float &y = row[pair * step + distance];
    float cosine = turns[pair], sine = turns[pairs + pair];
    float turned = x * cosine - y * sine;
    y = y * cosine + x * sine;
    x = turned;
  }
}

} // namespace gqa::cache
