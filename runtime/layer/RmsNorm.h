#ifndef GQA_RUNTIME_LAYER_RMSNORM_H
#define GQA_RUNTIME_LAYER_RMSNORM_H

#include <cmath>
#include <cstdint>
#include <vector>

namespace gqa::layer {

/// r / sqrt(mean(r^2) + epsilon) * scale, for each row r of [count, scale.size()], in place; nothing where there is no
/// scale (Zhang and Sennrich 2019, arXiv:1910.07467).
inline void normaliseRows(std::vector<float> &rows, const std::vector<float> &scale, float epsilon) {
  if (scale.empty())
    return;
  auto dim = static_cast<int64_t>(scale.size()), count = static_cast<int64_t>(rows.size()) / dim;
#pragma omp parallel for if (count > 256)
  for (int64_t i = 0; i < count; ++i) {
    float *row = &rows[static_cast<size_t>(i * dim)];
    float squares = 0;
    for (int64_t d = 0; d < dim; ++d)
      squares += row[d] * row[d];
    float factor = 1 / std::sqrt(squares / static_cast<float>(dim) + epsilon);
    for (int64_t d = 0; d < dim; ++d)
      row[d] *= factor * scale[static_cast<size_t>(d)];
  }
}

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_RMSNORM_H
