#ifndef GQA_TEST_UNIT_RUNTIME_TESTTENSOR_H
#define GQA_TEST_UNIT_RUNTIME_TESTTENSOR_H

#include "runtime/gqa.h"

#include <limits>
#include <vector>

namespace gqa::test {

/// f32 numbers in memory, NaN until they are written, and a DLPack tensor over all of them, dense.
struct Tensor {
  explicit Tensor(std::vector<int64_t> extents) : shape(std::move(extents)) {
    int64_t size = 1;
    for (int64_t extent : shape)
      size *= extent;
    data.assign(static_cast<size_t>(size), std::numeric_limits<float>::quiet_NaN());
    dl.data = data.data();
    dl.device = {kDLCPU, 0};
    dl.ndim = static_cast<int32_t>(shape.size());
    dl.dtype = {kDLFloat, 32, 1};
    dl.shape = shape.data();
  }
  Tensor(const Tensor &) = delete;

  Tensor &fill(unsigned seed) {
    for (float &element : data) {
      seed = seed * 1664525u + 1013904223u;
      element = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
    return *this;
  }

  std::vector<int64_t> shape;
  std::vector<float> data;
  DLTensor dl = {};
};

} // namespace gqa::test

#endif // GQA_TEST_UNIT_RUNTIME_TESTTENSOR_H
