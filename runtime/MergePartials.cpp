#include "runtime/MergePartials.h"

#include <cmath>
#include <limits>

namespace gqa {

constexpr float kNoKeys = -std::numeric_limits<float>::infinity();

float mergePartials(const Partial *partials, int64_t numPartials, int64_t dv, double *weights, float *output) {
  float largest = kNoKeys;
  for (int64_t i = 0; i < numPartials; ++i)
    largest = std::fmax(largest, partials[i].lse);
  double sum = 0;
  for (int64_t i = 0; i < numPartials; ++i) {
    bool hasKeys = partials[i].lse != kNoKeys;
    weights[i] = hasKeys ? std::exp(static_cast<double>(partials[i].lse) - largest) : 0.0;
    sum += weights[i];
  }
  for (int64_t d = 0; d < dv; ++d) {
    double merged = 0;
    for (int64_t i = 0; i < numPartials; ++i)
      if (weights[i] != 0) // what has no keys may hold anything
        merged += weights[i] * partials[i].output[d];
    output[d] = sum == 0 ? 0.0f : static_cast<float>(merged / sum);
  }
  return sum == 0 ? kNoKeys : static_cast<float>(largest + std::log(sum));
}

} // namespace gqa
