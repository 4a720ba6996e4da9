#ifndef GQA_RUNTIME_LAYER_LAYERWEIGHTS_H
#define GQA_RUNTIME_LAYER_LAYERWEIGHTS_H

#include "runtime/cache/NarrowFloat.h"
#include "runtime/layer/Checkpoint.h"
#include "runtime/layer/LayerConfig.h"

namespace gqa::layer {

enum class WeightType { F32, BF16 };

/// "f32", "bf16".
const char *getName(WeightType type);

/// The matrix of a projection y = x W^T, as checkpoints store it: [outputs, inputs], row-major.
struct WeightMatrix {
  WeightType type = WeightType::F32;
  int64_t outputs = 0, inputs = 0;
  std::vector<char> bytes;

  /// Element `index` in row-major order.
  float get(int64_t index) const {
    if (type == WeightType::F32)
      return reinterpret_cast<const float *>(bytes.data())[index];
    return cache::fromBFloat(reinterpret_cast<const uint16_t *>(bytes.data())[index]);
  }
};

/// What a layer has learnt. Biases, norms and sinks are empty where a model has none.
struct LayerWeights {
  WeightMatrix query;  ///< [heads * head_dim, d_model]
  WeightMatrix key;    ///< [kv_heads * head_dim, d_model]
  WeightMatrix value;  ///< [kv_heads * head_dim, d_model]
  WeightMatrix output; ///< [d_model, heads * head_dim]
  std::vector<float> queryBias, keyBias, valueBias, outputBias;
  std::vector<float> queryNorm, keyNorm; ///< [head_dim]: scales of the RMS norms
  std::vector<float> sinks;              ///< [heads]: a logit in the denominator of each softmax

  /// Elements of all of them.
  int64_t countParameters() const;

  /// Throws std::invalid_argument that names the tensor and both shapes unless all fit `config`.
  void check(const LayerConfig &config) const;
};

/// A matrix or a vector of a checkpoint, F32, BF16 or F16; F16 becomes F32, exactly. A vector that is not there is
/// empty. Throw std::runtime_error, naming the file and the tensor.
WeightMatrix loadMatrix(const Checkpoint &checkpoint, const std::string &name);
std::vector<float> loadVector(const Checkpoint &checkpoint, const std::string &name);

/// Reads the weights of one layer under the names of Llama checkpoints, behind `prefix`, for example
/// "model.layers.0.self_attn.":
///
///     q_proj.weight  k_proj.weight  v_proj.weight  o_proj.weight    and the same with .bias, if there
///     q_norm.weight  k_norm.weight                                  if there (Qwen 3)
///     sinks                                                         if there (gpt-oss)
///
/// Throws std::runtime_error, naming the file and the tensor.
LayerWeights loadLayerWeights(const Checkpoint &checkpoint, const std::string &prefix);

/// Writes weights under these names. Throws std::runtime_error.
void saveLayerWeights(const std::string &path, const std::string &prefix, const LayerWeights &weights);

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_LAYERWEIGHTS_H
