#ifndef GQA_RUNTIME_LAYER_PROJECTION_H
#define GQA_RUNTIME_LAYER_PROJECTION_H

#include "runtime/layer/LayerWeights.h"

#include <memory>

namespace gqa::layer {

/// y = x W^T + bias by oneDNN. With bf16 weights, x is rounded to bf16 and sums are in f32; on a CPU for which oneDNN
/// has no bf16, such weights are widened and x is not rounded.
///
/// oneDNN and not OpenBLAS: on two cores of a Sapphire Rapids server, 4096 x 4096 weights, oneDNN 2.6 (OpenBLAS 0.3.21)
/// takes 1.1 (1.1) ms for one row, 1.3 (5.0) for 4, 2.1 (5.2) for 16, 41 (49) for 512 in f32, and 0.5, 0.5, 0.6 and 12
/// in bf16, which Debian's OpenBLAS does not have.
class Projection {
public:
  /// `bias` may be empty.
  Projection(WeightMatrix weight, std::vector<float> bias);
  ~Projection();
  Projection(Projection &&) noexcept;

  /// `x` is [rows, inputs], `y` [rows, outputs]. Not for two threads at once. Throws std::runtime_error.
  void apply(const float *x, int64_t rows, float *y);

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_PROJECTION_H
