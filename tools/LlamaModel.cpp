#include "tools/LlamaModel.h"

#include "runtime/layer/RmsNorm.h"
#include "tools/LayerModule.h"
#include "tools/PooledHeads.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

namespace gqa {
namespace {

/// The tensors of a model by name, each once.
class Tensors {
public:
  explicit Tensors(const layer::Checkpoint &checkpoint) : checkpoint(checkpoint) {}

  layer::WeightMatrix readMatrix(const std::string &name, int64_t outputs, int64_t inputs) {
    layer::WeightMatrix matrix = layer::loadMatrix(checkpoint, name);
    if (matrix.outputs != outputs || matrix.inputs != inputs)
      refuse(name, outputs, inputs, std::to_string(matrix.outputs) + ", " + std::to_string(matrix.inputs));
    return count(name, std::move(matrix), outputs * inputs);
  }
  std::vector<float> readVector(const std::string &name, int64_t size) {
    std::vector<float> vector = layer::loadVector(checkpoint, name);
    if (!checkpoint.find(name))
      throw std::runtime_error("'" + checkpoint.getPath() + "' has no tensor '" + name + "'");
    if (static_cast<int64_t>(vector.size()) != size)
      refuse(name, size, 0, std::to_string(vector.size()));
    return count(name, std::move(vector), size);
  }
  layer::LayerWeights readAttention(const std::string &prefix, const layer::LayerConfig &config) {
    layer::LayerWeights weights = loadLayerWeights(checkpoint, prefix);
    weights.check(config);
    for (const char *name : {"q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"})
      for (const char *part : {".weight", ".bias"})
        known.insert(prefix + name + part);
    return weights;
  }

  /// Every tensor must have been read: one that is not would be a part of the model that is left out.
  void checkAllRead() const {
    for (const std::string &name : checkpoint.getNames())
      if (!known.count(name) && name.find("rotary_emb.inv_freq") == std::string::npos && name != "lm_head.weight")
        throw std::runtime_error("'" + checkpoint.getPath() + "' has tensor '" + name + "', which is not known here");
  }

  int64_t numElements = 0;

private:
  template <typename Value> Value count(const std::string &name, Value value, int64_t elements) {
    known.insert(name);
    numElements += elements;
    return value;
  }
  [[noreturn]] void refuse(const std::string &name, int64_t first, int64_t second, const std::string &got) const {
    throw std::runtime_error("'" + checkpoint.getPath() + "': tensor '" + name + "' must have shape [" +
                             std::to_string(first) + (second ? ", " + std::to_string(second) : "") + "], got [" + got +
                             "]");
  }

  const layer::Checkpoint &checkpoint;
  std::set<std::string> known;
};

/// `x`, which stays, with its rows normalised.
std::vector<float> normalise(std::vector<float> x, const std::vector<float> &scale, float epsilon) {
  layer::normaliseRows(x, scale, epsilon);
  return x;
}

void add(std::vector<float> &x, const std::vector<float> &y) {
  for (size_t i = 0; i < x.size(); ++i)
    x[i] += y[i];
}

/// log sum exp(logits) - logits[target].
double computeTokenLoss(const float *logits, int64_t size, int64_t target) {
  float largest = logits[0];
  for (int64_t i = 1; i < size; ++i)
    largest = std::max(largest, logits[i]);
  double sum = 0;
  for (int64_t i = 0; i < size; ++i)
    sum += std::exp(static_cast<double>(logits[i] - largest));
  return std::log(sum) + largest - logits[target];
}

} // namespace

LlamaModel::LlamaModel(const layer::Checkpoint &checkpoint, const LlamaConfig &config, int64_t kvHeads,
                       const LoadedArtifact &artifact, const std::string &prefix)
    : config(config) {
  int64_t dModel = config.attention.dModel;
  LayerEntries names;
  names.prefix = prefix;
  names.hasCache = false;
  layer::AttentionEntries entries = nameLayerEntries(names);
  entries.context = artifact.getContext();
  entries.artifact = artifact.getArtifact();
  layer::LayerConfig pooled = config.attention;
  pooled.numKvHeads = kvHeads;
  Tensors tensors(checkpoint);
  embeddings = tensors.readMatrix("model.embed_tokens.weight", config.vocabulary, dModel);
  for (int64_t i = 0; i < config.layers; ++i) {
    std::string name = "model.layers." + std::to_string(i) + ".";
    layer::LayerWeights weights =
        poolHeads(tensors.readAttention(name + "self_attn.", config.attention), config.attention, kvHeads);
    parameters += weights.countParameters();
    auto readProjection = [&](const char *part, int64_t outputs, int64_t inputs) {
      return layer::Projection(tensors.readMatrix(name + "mlp." + part + "_proj.weight", outputs, inputs), {});
    };
    layers.push_back({layer::GroupedQueryAttention(pooled, std::move(weights), entries),
                      tensors.readVector(name + "input_layernorm.weight", dModel),
                      tensors.readVector(name + "post_attention_layernorm.weight", dModel),
                      readProjection("gate", config.hidden, dModel), readProjection("up", config.hidden, dModel),
                      readProjection("down", dModel, config.hidden)});
  }
  norm = tensors.readVector("model.norm.weight", dModel);
  head = std::make_unique<layer::Projection>(
      config.hasTiedEmbeddings ? embeddings : tensors.readMatrix("lm_head.weight", config.vocabulary, dModel),
      std::vector<float>());
  tensors.checkAllRead();
  parameters += tensors.numElements;
}

double LlamaModel::computeLoss(const std::vector<int64_t> &tokens) {
  auto count = static_cast<int64_t>(tokens.size());
  int64_t dModel = config.attention.dModel;
  std::vector<float> x(static_cast<size_t>(count * dModel)), y(x.size());
  for (int64_t i = 0; i < count; ++i)
    for (int64_t d = 0; d < dModel; ++d)
      x[static_cast<size_t>(i * dModel + d)] = embeddings.get(tokens[static_cast<size_t>(i)] * dModel + d);
  std::vector<float> gate(static_cast<size_t>(count * config.hidden)), up(gate.size());
  for (Layer &layer : layers) {
    std::vector<float> input = normalise(x, layer.attentionNorm, config.normEpsilon);
    layer.attention.forward({input.data(), {count}}, y.data());
    add(x, y);
    input = normalise(x, layer.mlpNorm, config.normEpsilon);
    layer.gate.apply(input.data(), count, gate.data());
    layer.up.apply(input.data(), count, up.data());
    for (size_t i = 0; i < gate.size(); ++i)
      gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    layer.down.apply(gate.data(), count, y.data());
    add(x, y);
  }
  x = normalise(x, norm, config.normEpsilon);
  // Logits of a few tokens at a time: those of all would be the largest tensor by far.
  constexpr int64_t kRows = 64;
  std::vector<float> logits(static_cast<size_t>(kRows * config.vocabulary));
  double loss = 0;
  for (int64_t begin = 0; begin + 1 < count; begin += kRows) {
    int64_t rows = std::min(kRows, count - 1 - begin);
    head->apply(&x[static_cast<size_t>(begin * dModel)], rows, logits.data());
    for (int64_t i = 0; i < rows; ++i)
      loss += computeTokenLoss(&logits[static_cast<size_t>(i * config.vocabulary)], config.vocabulary,
                               tokens[static_cast<size_t>(begin + i + 1)]);
  }
  return loss;
}

} // namespace gqa
