#include "runtime/layer/LayerWeights.h"

#include <stdexcept>

namespace gqa::layer {

const char *getName(WeightType type) { return type == WeightType::F32 ? "f32" : "bf16"; }

namespace {

/// Calls visit(name, weights' member) for every matrix and every vector: the names exist once.
template <typename Weights, typename Matrix, typename Vector>
void visitWeights(Weights &weights, Matrix visitMatrix, Vector visitVector) {
  visitMatrix("q_proj.weight", weights.query);
  visitMatrix("k_proj.weight", weights.key);
  visitMatrix("v_proj.weight", weights.value);
  visitMatrix("o_proj.weight", weights.output);
  visitVector("q_proj.bias", weights.queryBias);
  visitVector("k_proj.bias", weights.keyBias);
  visitVector("v_proj.bias", weights.valueBias);
  visitVector("o_proj.bias", weights.outputBias);
  visitVector("q_norm.weight", weights.queryNorm);
  visitVector("k_norm.weight", weights.keyNorm);
  visitVector("sinks", weights.sinks);
}

std::string print(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t dim = 0; dim < shape.size(); ++dim)
    text += (dim ? ", " : "") + std::to_string(shape[dim]);
  return text + "]";
}

/// The elements of a stored tensor as f32.
std::vector<float> widen(const std::string &type, const std::vector<char> &bytes) {
  if (type == "F32") {
    const auto *singles = reinterpret_cast<const float *>(bytes.data());
    return {singles, singles + bytes.size() / sizeof(float)};
  }
  const auto *halves = reinterpret_cast<const uint16_t *>(bytes.data());
  std::vector<float> wide(bytes.size() / sizeof(uint16_t));
  for (size_t i = 0; i < wide.size(); ++i)
    wide[i] = type == "BF16" ? cache::fromBFloat(halves[i]) : cache::fromHalf(halves[i]);
  return wide;
}

/// The tensor, checked, or null.
const StoredTensor *find(const Checkpoint &checkpoint, const std::string &name, size_t rank) {
  const StoredTensor *tensor = checkpoint.find(name);
  if (!tensor)
    return nullptr;
  std::string where = "'" + checkpoint.getPath() + "': tensor '" + name + "' ";
  if (tensor->type != "F32" && tensor->type != "BF16" && tensor->type != "F16")
    throw std::runtime_error(where + "must be F32, BF16 or F16, got " + tensor->type);
  if (tensor->shape.size() != rank)
    throw std::runtime_error(where + "must have rank " + std::to_string(rank) + ", got " + print(tensor->shape));
  return tensor;
}

} // namespace

int64_t LayerWeights::countParameters() const {
  int64_t count = 0;
  visitWeights(
      *this, [&](const char *, const WeightMatrix &matrix) { count += matrix.outputs * matrix.inputs; },
      [&](const char *, const std::vector<float> &vector) { count += static_cast<int64_t>(vector.size()); });
  return count;
}

void LayerWeights::check(const LayerConfig &config) const {
  auto expect = [](const std::string &name, const std::vector<int64_t> &shape, const std::vector<int64_t> &wanted) {
    if (shape != wanted)
      throw std::invalid_argument(name + " must have shape " + print(wanted) + " for these heads, got " + print(shape));
  };
  int64_t queryRow = config.getQueryRow(), keyRow = config.getKeyRow();
  visitWeights(
      *this,
      [&](const std::string &name, const WeightMatrix &matrix) {
        int64_t rows = name[0] == 'o' ? config.dModel : name[0] == 'q' ? queryRow : keyRow;
        expect(name, {matrix.outputs, matrix.inputs}, {rows, name[0] == 'o' ? queryRow : config.dModel});
      },
      [&](const std::string &name, const std::vector<float> &vector) {
        if (vector.empty())
          return;
        bool isNorm = name.find("norm") != std::string::npos;
        int64_t size = isNorm            ? config.getHeadDim()
                       : name == "sinks" ? config.numHeads
                       : name[0] == 'o'  ? config.dModel
                       : name[0] == 'q'  ? queryRow
                                         : keyRow;
        expect(name, {static_cast<int64_t>(vector.size())}, {size});
      });
}

WeightMatrix loadMatrix(const Checkpoint &checkpoint, const std::string &name) {
  const StoredTensor *tensor = find(checkpoint, name, /*rank=*/2);
  if (!tensor)
    throw std::runtime_error("'" + checkpoint.getPath() + "' has no tensor '" + name + "'");
  WeightMatrix matrix{tensor->type == "BF16" ? WeightType::BF16 : WeightType::F32, tensor->shape[0], tensor->shape[1],
                      checkpoint.read(name)};
  if (tensor->type != "F16")
    return matrix;
  std::vector<float> wide = widen(tensor->type, matrix.bytes);
  const auto *bytes = reinterpret_cast<const char *>(wide.data());
  matrix.bytes.assign(bytes, bytes + wide.size() * sizeof(float));
  return matrix;
}

std::vector<float> loadVector(const Checkpoint &checkpoint, const std::string &name) {
  const StoredTensor *tensor = find(checkpoint, name, /*rank=*/1);
  return tensor ? widen(tensor->type, checkpoint.read(name)) : std::vector<float>();
}

LayerWeights loadLayerWeights(const Checkpoint &checkpoint, const std::string &prefix) {
  LayerWeights weights;
  visitWeights(
      weights, [&](const char *name, WeightMatrix &matrix) { matrix = loadMatrix(checkpoint, prefix + name); },
      [&](const char *name, std::vector<float> &vector) { vector = loadVector(checkpoint, prefix + name); });
  return weights;
}

void saveLayerWeights(const std::string &path, const std::string &prefix, const LayerWeights &weights) {
  std::map<std::string, TensorToStore> tensors;
  visitWeights(
      weights,
      [&](const char *name, const WeightMatrix &matrix) {
        tensors[prefix + name] = {
            matrix.type == WeightType::F32 ? "F32" : "BF16", {matrix.outputs, matrix.inputs}, matrix.bytes.data()};
      },
      [&](const char *name, const std::vector<float> &vector) {
        if (!vector.empty())
          tensors[prefix + name] = {"F32", {static_cast<int64_t>(vector.size())}, vector.data()};
      });
  writeSafetensors(path, tensors, {{"format", "pt"}});
}

} // namespace gqa::layer
