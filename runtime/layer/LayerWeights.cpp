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

/// Reads the tensors of one layer.
class Reader {
public:
  Reader(const SafetensorsFile &file, const std::string &prefix) : file(file), prefix(prefix) {}

  void readMatrix(const char *name, WeightMatrix &matrix) const {
    const StoredTensor *tensor = find(name, /*rank=*/2);
    if (!tensor)
      throw std::runtime_error("'" + file.getPath() + "' has no tensor '" + prefix + name + "'");
    matrix.outputs = tensor->shape[0];
    matrix.inputs = tensor->shape[1];
    matrix.bytes = file.read(*tensor);
    matrix.type = tensor->type == "BF16" ? WeightType::BF16 : WeightType::F32;
    if (tensor->type != "F16")
      return;
    std::vector<float> wide = widen(tensor->type, matrix.bytes);
    const auto *bytes = reinterpret_cast<const char *>(wide.data());
    matrix.bytes.assign(bytes, bytes + wide.size() * sizeof(float));
  }

  void readVector(const char *name, std::vector<float> &vector) const {
    if (const StoredTensor *tensor = find(name, /*rank=*/1))
      vector = widen(tensor->type, file.read(*tensor));
  }

private:
  /// The tensor, checked, or null.
  const StoredTensor *find(const char *name, size_t rank) const {
    const StoredTensor *tensor = file.find(prefix + name);
    if (!tensor)
      return nullptr;
    std::string where = "'" + file.getPath() + "': tensor '" + prefix + name + "' ";
    if (tensor->type != "F32" && tensor->type != "BF16" && tensor->type != "F16")
      throw std::runtime_error(where + "must be F32, BF16 or F16, got " + tensor->type);
    if (tensor->shape.size() != rank)
      throw std::runtime_error(where + "must have rank " + std::to_string(rank) + ", got " + print(tensor->shape));
    return tensor;
  }

  const SafetensorsFile &file;
  const std::string &prefix;
};

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
        int64_t size = isNorm           ? config.getHeadDim()
                       : name[0] == 'o' ? config.dModel
                       : name[0] == 'q' ? queryRow
                                        : keyRow;
        expect(name, {static_cast<int64_t>(vector.size())}, {size});
      });
}

LayerWeights loadLayerWeights(const SafetensorsFile &file, const std::string &prefix) {
  LayerWeights weights;
  Reader reader(file, prefix);
  visitWeights(
      weights, [&](const char *name, WeightMatrix &matrix) { reader.readMatrix(name, matrix); },
      [&](const char *name, std::vector<float> &vector) { reader.readVector(name, vector); });
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
