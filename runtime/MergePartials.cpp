#include "runtime/MergePartials.h"

#include "runtime/PartialWeights.h"

namespace gqa {

float mergePartials(const Partial *partials, int64_t numPartials, int64_t dv, double *weights, float *output) {
  PartialWeights row([&](int64_t i) { return partials[i].lse; }, numPartials);
  for (int64_t i = 0; i < numPartials; ++i)
    weights[i] = row.get(partials[i].lse);
  for (int64_t d = 0; d < dv; ++d)
    output[d] = row.merge(weights, [&](int64_t i) { return partials[i].output[d]; }, numPartials);
  return row.getLse();
}

} // namespace gqa
