#include "tools/PooledHeads.h"

namespace gqa {

/// Rows [kv_heads * head_dim][width] become [kvHeads * head_dim][width].
template <typename Get>
static std::vector<float> pool(const layer::LayerConfig &config, int64_t kvHeads, int64_t width, Get get) {
  int64_t neighbours = config.numKvHeads / kvHeads, block = config.getHeadDim() * width;
  std::vector<float> pooled(static_cast<size_t>(kvHeads * block));
  for (int64_t head = 0; head < kvHeads; ++head)
    for (int64_t i = 0; i < block; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < neighbours; ++k)
        sum += get((head * neighbours + k) * block + i);
      pooled[static_cast<size_t>(head * block + i)] = static_cast<float>(sum / static_cast<double>(neighbours));
    }
  return pooled;
}

static layer::WeightMatrix pool(const layer::WeightMatrix &matrix, const layer::LayerConfig &config, int64_t kvHeads) {
  std::vector<float> rows = pool(config, kvHeads, matrix.inputs, [&](int64_t i) { return matrix.get(i); });
  layer::WeightMatrix pooled{matrix.type, kvHeads * config.getHeadDim(), matrix.inputs, {}};
  auto append = [&](auto element) {
    const char *bytes = reinterpret_cast<const char *>(&element);
    pooled.bytes.insert(pooled.bytes.end(), bytes, bytes + sizeof element);
  };
  pooled.bytes.reserve(rows.size() * (matrix.type == layer::WeightType::F32 ? 4 : 2));
  for (float row : rows)
    matrix.type == layer::WeightType::F32 ? append(row) : append(cache::toBFloat(row));
  return pooled;
}

static std::vector<float> pool(const std::vector<float> &bias, const layer::LayerConfig &config, int64_t kvHeads) {
  if (bias.empty())
    return {};
  return pool(config, kvHeads, /*width=*/1, [&](int64_t i) { return bias[static_cast<size_t>(i)]; });
}

layer::LayerWeights poolHeads(const layer::LayerWeights &weights, const layer::LayerConfig &config, int64_t kvHeads) {
  layer::LayerWeights pooled = weights;
  pooled.key = pool(weights.key, config, kvHeads);
  pooled.value = pool(weights.value, config, kvHeads);
  pooled.keyBias = pool(weights.keyBias, config, kvHeads);
  pooled.valueBias = pool(weights.valueBias, config, kvHeads);
  return pooled;
}

} // namespace gqa
