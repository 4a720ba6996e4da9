#ifndef GQA_RUNTIME_CACHE_ROTARYARGUMENT_H
#define GQA_RUNTIME_CACHE_ROTARYARGUMENT_H

#include "runtime/cache/Rotary.h"
#include "runtime/gqa_cache.h"

namespace gqa::cache {

/// A rotary embedding as the C interface describes it; not checked.
inline RotaryConfig makeRotaryConfig(const gqa_rotary &rotary) {
  RotaryConfig config;
  config.dim = rotary.dim;
  config.pairs = static_cast<RotaryPairs>(rotary.pairs);
  config.theta = rotary.theta;
  config.scaling = static_cast<RotaryScaling>(rotary.scaling);
  config.factor = rotary.factor;
  config.originalContext = rotary.original_context;
  config.lowFrequencyFactor = rotary.low_frequency_factor;
  config.highFrequencyFactor = rotary.high_frequency_factor;
  config.betaFast = rotary.beta_fast;
  config.betaSlow = rotary.beta_slow;
  config.attentionFactor = rotary.attention_factor;
  config.truncateRamp = rotary.no_ramp_rounding == 0;
  return config;
}

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ROTARYARGUMENT_H
