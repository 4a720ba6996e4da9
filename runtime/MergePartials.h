#ifndef GQA_RUNTIME_MERGEPARTIALS_H
#define GQA_RUNTIME_MERGEPARTIALS_H

#include <cstdint>

namespace gqa {

/// One query row's attention over one range of keys.
struct Partial {
  const float *output; ///< [dv]
  float lse;           ///< log sum exp of the scores, natural logarithm; -inf: no keys, and output is not read
};

/// Merges the attention of one row over `numPartials` disjoint ranges of keys into that over all of them
/// (PartialWeights), writes it to `output` ([dv], may be any of the partial outputs) and returns its lse. A row without
/// any key gives 0 and -inf. The sums run in the order of the partials, so equal inputs give equal bits. `weights` is
/// scratch for numPartials doubles.
float mergePartials(const Partial *partials, int64_t numPartials, int64_t dv, double *weights, float *output);

} // namespace gqa

#endif // GQA_RUNTIME_MERGEPARTIALS_H
