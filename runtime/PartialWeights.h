#ifndef GQA_RUNTIME_PARTIALWEIGHTS_H
#define GQA_RUNTIME_PARTIALWEIGHTS_H

#include "runtime/DoubleMath.h"

namespace gqa {

/// What one row's attention over disjoint ranges of keys weighs when it is merged:
///
///     M = max_i lse[i],   w[i] = exp(lse[i] - M),   w[i] = 0 where lse[i] = -inf: no keys
///     output = sum_i w[i] output[i] / sum_i w[i],   lse = M + log sum_i w[i]
///
/// (Milakov & Gimelshein 2018, arXiv:1805.02867.) The same bits on the host and on a device, whose code includes this,
/// and has no C++ library.
class PartialWeights {
public:
  static constexpr float kNoKeys = -__builtin_inff();

  /// `getLse(i)` is the lse of part i of `numParts`.
  template <typename GetLse> PartialWeights(GetLse getLse, int64_t numParts) {
    for (int64_t i = 0; i < numParts; ++i)
      largest = getLse(i) > largest ? getLse(i) : largest;
    for (int64_t i = 0; i < numParts; ++i)
      sum += get(getLse(i));
  }

  double get(float lse) const { return lse == kNoKeys ? 0 : computeExp(static_cast<double>(lse) - largest); }

  float getLse() const { return sum == 0 ? kNoKeys : static_cast<float>(largest + computeLog(sum)); }

  /// The merged element of elements `getElement(i)` with weights `weights[i]`.
  template <typename GetElement> float merge(const double *weights, GetElement getElement, int64_t numParts) const {
#pragma STDC FP_CONTRACT OFF
    double merged = 0;
    for (int64_t i = 0; i < numParts; ++i)
      if (weights[i] != 0) // what has no keys may hold anything
        merged += weights[i] * getElement(i);
    return sum == 0 ? 0 : static_cast<float>(merged / sum);
  }

private:
  float largest = kNoKeys;
  double sum = 0;
};

} // namespace gqa

#endif // GQA_RUNTIME_PARTIALWEIGHTS_H
