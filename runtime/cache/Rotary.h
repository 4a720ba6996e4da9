#ifndef GQA_RUNTIME_CACHE_ROTARY_H
#define GQA_RUNTIME_CACHE_ROTARY_H

#include <cstdint>
#include <string>
#include <vector>

namespace gqa::cache {

/// Which two elements of a row form pair i of a rotation over r = `dim` elements.
enum class RotaryPairs : int32_t {
  Interleaved = 0, ///< 2i and 2i + 1 (Su et al. 2021, arXiv:2104.09864, eq. 34; GPT-J, Llama's own code)
  HalfSplit = 1,   ///< i and i + r/2 (GPT-NeoX; checkpoints in the Hugging Face format)
};

enum class RotaryScaling : int32_t { None = 0, Llama3 = 1, Yarn = 2, Linear = 3 };

/// A rotary position embedding. Units: lengths in tokens, wavelengths in tokens per turn.
struct RotaryConfig {
  int64_t dim = 0; ///< elements that are rotated, the first of the row; even; 0: no rotation
  RotaryPairs pairs = RotaryPairs::HalfSplit;
  double theta = 10000.0; ///< base of the frequencies
  RotaryScaling scaling = RotaryScaling::None;
  double factor = 1.0;            ///< how many times the context is stretched
  double originalContext = 0.0;   ///< Llama3, Yarn: context length of the training before stretching
  double lowFrequencyFactor = 1;  ///< Llama3
  double highFrequencyFactor = 4; ///< Llama3
  double betaFast = 32.0;         ///< Yarn: turns within the original context above which a pair is kept
  double betaSlow = 1.0;          ///< Yarn: turns below which a pair is interpolated
  double attentionFactor = 0.0;   ///< Yarn: length of the rotated pair; 0: 0.1 ln(factor) + 1
  bool truncateRamp = true;       ///< Yarn: the ramp's ends are rounded to whole pairs (gpt-oss: not)
};

/// What is wrong with `config` for rows of `rowDim` elements; "" if nothing.
std::string check(const RotaryConfig &config, int64_t rowDim);

/// The frequencies of a rotary embedding, and its application to rows.
///
/// Pair i at position p turns by the angle p * f[i], and is stretched by the attention factor:
///
///     f[i] = theta^(-2i / dim)                                                (Su et al. 2021, section 3.4.3)
///
/// Linear (position interpolation: Chen et al. 2023, arXiv:2306.15595, eq. 4; Gemma 3's global layers):
///
///     f' = f / factor
///
/// Llama3 (Llama 3.1's `apply_scaling`), with the wavelength w = 2 pi / f and the original context C:
///
///     f' = f                                    if w < C / highFrequencyFactor
///     f' = f / factor                           if w > C / lowFrequencyFactor
///     f' = (1 - t) f / factor + t f             else, t = (C / w - low) / (high - low)
///
/// Yarn (Peng et al. 2023, arXiv:2309.00071, sections 3.2 and 3.4): pair index c(n) = dim ln(C / (2 pi n)) / (2 ln
/// theta) makes n turns in C tokens; it is kept in [0, dim - 1], as in the authors' code. With the ramp r(i) =
/// (i - c(betaFast)) / (c(betaSlow) - c(betaFast)) clamped to [0, 1]:
///
///     f' = (1 - r) f + r f / factor
class Rotary {
public:
  /// `config` has passed check().
  explicit Rotary(const RotaryConfig &config);

  bool isActive() const { return !frequencies.empty(); }
  const RotaryConfig &getConfig() const { return config; }

  /// Angle per token of each pair, in radians.
  const std::vector<double> &getFrequencies() const { return frequencies; }
  double getAttentionFactor() const { return attentionFactor; }

  /// Cosines and then sines (getConfig().dim floats in all) of all pairs at `position`, times the attention factor.
  void computeTurns(int64_t position, float *turns) const;

  /// Rotates the first getConfig().dim elements of `row` in place: (x, y) becomes (x cos - y sin, y cos + x sin).
  void apply(const float *turns, float *row) const;

private:
  RotaryConfig config;
  std::vector<double> frequencies;
  double attentionFactor = 1.0;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ROTARY_H
