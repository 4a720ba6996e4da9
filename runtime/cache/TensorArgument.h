#ifndef GQA_RUNTIME_CACHE_TENSORARGUMENT_H
#define GQA_RUNTIME_CACHE_TENSORARGUMENT_H

#include "runtime/cache/LayerStore.h"

#include <dlpack/dlpack.h>

#include <string>
#include <vector>

namespace gqa::cache {

/// A DLPack tensor whose innermost stride is 1, in CPU memory or on one device.
struct TensorArgument {
  /// Throws gqa::Failure (GQA_INVALID_ARGUMENT) unless `tensor` is f32, or f16 or bf16 if `allowsHalf`, has the extents
  /// `shape` (-1: any), is on `device`, is aligned to its elements, and has data if it has elements. `what` begins the
  /// message.
  TensorArgument(const DLTensor *tensor, const std::string &what, const std::vector<int64_t> &shape, bool allowsHalf,
                 DLDevice device = {kDLCPU, 0});

  /// A tensor [tokens, heads, dim] as rows.
  TokenRows getRows() const { return {data, type, strides[0], strides[1]}; }

  char *data;
  ElementType type;
  std::vector<int64_t> shape, strides; ///< in elements
};

/// Throws gqa::Failure (GQA_INVALID_ARGUMENT) unless `tensor` is in memory of `device`.
void checkDevice(const DLTensor &tensor, const std::string &what, DLDevice device);

/// The extents of a tensor; throws gqa::Failure if it is null or not of a sensible shape.
std::vector<int64_t> getShape(const DLTensor *tensor, const std::string &what);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_TENSORARGUMENT_H
