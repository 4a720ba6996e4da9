#ifndef GQA_RUNTIME_TENSORLAYOUT_H
#define GQA_RUNTIME_TENSORLAYOUT_H

#include "runtime/Failure.h"

#include <dlpack/dlpack.h>

#include <algorithm>
#include <cstdlib>

namespace gqa {

/// Whether the distance of a tensor's last element from the first is a number of bytes that an address can hold,
/// strides of 0 and empty tensors not excepted, so that nothing that is computed from shapes and strides overflows.
inline bool isAddressable(const DLTensor &tensor) {
  constexpr int64_t kMaxBytes = int64_t(1) << 56; // more than x86 and AArch64 can address
  int64_t dense = tensor.dtype.bits / 8, span = 0;
  bool overflows = false;
  for (int dim = tensor.ndim - 1; dim >= 0; --dim) {
    int64_t extent = std::max<int64_t>(tensor.shape[dim], 1), step = 0;
    overflows |= __builtin_mul_overflow(dense, extent, &dense);
    if (!tensor.strides)
      continue;
    overflows |= __builtin_mul_overflow(extent - 1, tensor.dtype.bits / 8, &step);
    overflows |= __builtin_mul_overflow(tensor.strides[dim], step, &step);
    overflows |= step == INT64_MIN || __builtin_add_overflow(span, std::abs(step), &span);
  }
  return !overflows && (tensor.strides || dense <= kMaxBytes) && span <= kMaxBytes;
}

/// Throws gqa::Failure if several elements lie at one address, as in a tensor that has been broadcast. `tensor` has
/// been checked otherwise; `what` begins the message.
inline void checkWritable(const DLTensor &tensor, const std::string &what) {
  if (std::count(tensor.shape, tensor.shape + tensor.ndim, 0))
    return;
  for (int dim = 0; dim < tensor.ndim && tensor.strides; ++dim)
    if (tensor.strides[dim] == 0 && tensor.shape[dim] > 1)
      fail(GQA_INVALID_ARGUMENT, what + " cannot be written: its " + std::to_string(tensor.shape[dim]) +
                                     " elements of dimension " + std::to_string(dim) + " are one");
}

} // namespace gqa

#endif // GQA_RUNTIME_TENSORLAYOUT_H
