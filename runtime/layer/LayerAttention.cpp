#include "runtime/layer/LayerAttention.h"

#include "runtime/Failure.h"
#include "runtime/layer/DeviceStage.h"

#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>

namespace gqa::layer {

using Json = nlohmann::json;

void checkStatus(gqa_context *context, gqa_status status) {
  if (status != GQA_OK)
    throw std::runtime_error(std::string(gqa_status_name(status)) + ": " + gqa_context_message(context));
}

static const Json &findEntry(const Json &description, const std::string &name) {
  std::string names;
  for (const Json &entry : description.at("entries")) {
    if (entry.at("name") == name)
      return entry;
    names += (names.empty() ? "" : ", ") + entry.at("name").get<std::string>();
  }
  throw std::invalid_argument("the artifact has no entry '" + name + "'; it has: " + names);
}

/// Whether a tensor of an entry has this type and shape; -1 stands for a dimension that may be anything.
static bool fits(const Json &tensor, const std::string &type, const std::vector<int64_t> &shape) {
  if (tensor.at("type") != type || tensor.at("shape").size() != shape.size())
    return false;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    const Json &extent = tensor.at("shape")[dim];
    if (shape[dim] < 0 ? extent.is_number() : extent != shape[dim])
      return false;
  }
  return true;
}

static void checkEntry(const Json &description, const std::string &name, const std::string &type,
                       const LayerConfig &config, bool hasMask, bool hasSinks) {
  const Json &entry = findEntry(description, name);
  int64_t group = config.numHeads / config.numKvHeads;
  struct TensorType {
    std::string type;
    std::vector<int64_t> shape;
  };
  TensorType query{type, {-1, config.numKvHeads, group, -1, config.getHeadDim()}};
  TensorType key{type, {-1, config.numKvHeads, -1, config.getHeadDim()}};
  std::vector<TensorType> wanted = {query, key, key};
  if (hasMask)
    wanted.push_back({"i1", {-1, -1, -1}});
  if (hasSinks)
    wanted.push_back({"f32", {config.numKvHeads, group}});
  const Json &arguments = entry.at("arguments"), &results = entry.at("results");
  bool isGood = arguments.size() == wanted.size() && results.size() == 1 && fits(results[0], type, query.shape);
  for (size_t i = 0; isGood && i < wanted.size(); ++i)
    isGood = fits(arguments[i], wanted[i].type, wanted[i].shape);
  if (isGood)
    return;
  auto print = [](const TensorType &tensor) {
    std::string text = tensor.type + "[";
    for (size_t dim = 0; dim < tensor.shape.size(); ++dim)
      text += (dim ? ", " : "") + (tensor.shape[dim] < 0 ? "?" : std::to_string(tensor.shape[dim]));
    return text + "]";
  };
  std::string text;
  for (const TensorType &tensor : wanted)
    text += (text.empty() ? "" : ", ") + print(tensor);
  throw std::invalid_argument("entry '" + name + "' must take " + text + " and return " + print(query) + "; it takes " +
                              arguments.dump() + " and returns " + results.dump());
}

/// Failures of the driver as what the layer throws.
template <typename Body> static auto translate(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Failure &failure) {
    throw std::runtime_error(std::string(gqa_status_name(failure.status)) + ": " + failure.message);
  }
}

LayerAttention::LayerAttention(const AttentionEntries &entries, const LayerConfig &config, std::vector<float> sinks)
    : entries(entries), numHeads(config.numHeads), numKvHeads(config.numKvHeads), headDim(config.getHeadDim()),
      sinks(std::move(sinks)) {
  if (!entries.context || !entries.artifact)
    throw std::invalid_argument("the layer needs a context and an artifact for its attention");
  checkStatus(entries.context, gqa_artifact_can_run_on(entries.context, entries.artifact, entries.device));
  if (entries.device.device_type == kDLCUDA)
    stage = translate([&] { return std::make_shared<DeviceStage>(entries.device.device_id); });
  // The runtime has parsed the text before: it is well-formed.
  Json description = Json::parse(gqa_artifact_description(entries.artifact));
  const Json &arguments = findEntry(description, entries.any).at("arguments");
  std::string name = arguments.empty() ? "" : arguments[0].at("type").get<std::string>();
  if (name != "f32" && name != "f16" && name != "bf16")
    throw std::invalid_argument("entry '" + entries.any + "' must take f32, f16 or bf16 queries, got '" + name + "'");
  type = {static_cast<uint8_t>(name == "bf16" ? kDLBfloat : kDLFloat), static_cast<uint8_t>(name == "f32" ? 32 : 16),
          1};
  bool hasSinks = !this->sinks.empty();
  checkEntry(description, entries.any, name, config, /*hasMask=*/false, hasSinks);
  if (!entries.masked.empty())
    checkEntry(description, entries.masked, name, config, /*hasMask=*/true, hasSinks);
  // How a cache stores keys is known when there is one: checkCache().
  for (const std::string &entry : {entries.cached, entries.cachedMasked})
    if (!entry.empty())
      findEntry(description, entry);
}

DLTensor LayerAttention::makeTensor(const HeadsView &view, DLDataType elements) const {
  DLTensor tensor = {};
  tensor.data = view.data;
  tensor.device = entries.device;
  tensor.ndim = static_cast<int32_t>(view.shape.size());
  tensor.dtype = elements;
  tensor.shape = const_cast<int64_t *>(view.shape.data());
  tensor.strides = const_cast<int64_t *>(view.strides.data());
  return tensor;
}

/// Memory of the host where the entries run.
void *LayerAttention::stageInput(int slot, const void *data, int64_t bytes) const {
  return stage ? translate([&] { return stage->upload(static_cast<DeviceStage::Slot>(slot), data, bytes); })
               : const_cast<void *>(data);
}

void *LayerAttention::stageSinks() const {
  return stageInput(DeviceStage::Sinks, sinks.data(), static_cast<int64_t>(sinks.size() * sizeof(float)));
}

/// Bytes of sequences that lie one after another.
static int64_t countBytes(const HeadsView &view, DLDataType type) {
  return view.shape[0] * view.strides[0] * type.bits / 8;
}

void LayerAttention::run(const HeadsView &query, const HeadsView &key, const HeadsView &value, const uint8_t *mask,
                         const HeadsView &output) const {
  DLTensor q = makeTensor(query, type), k = makeTensor(key, type), v = makeTensor(value, type);
  DLTensor o = makeTensor(output, type);
  int64_t queries = query.shape[3], keys = key.shape[2];
  HeadsView maskView = {const_cast<uint8_t *>(mask), {query.shape[0], queries, keys}, {queries * keys, keys, 1}};
  DLTensor m = makeTensor(maskView, {kDLUInt, 8, 1});
  q.data = stageInput(DeviceStage::Query, q.data, countBytes(query, type));
  k.data = stageInput(DeviceStage::Key, k.data, countBytes(key, type));
  v.data = stageInput(DeviceStage::Value, v.data, countBytes(value, type));
  std::vector<const DLTensor *> inputs = {&q, &k, &v};
  if (mask) {
    m.data = stageInput(DeviceStage::Mask, mask, countBytes(maskView, m.dtype));
    inputs.push_back(&m);
  }
  int64_t group = numHeads / numKvHeads;
  HeadsView sinkView = {nullptr, {numKvHeads, group}, {group, 1}};
  DLTensor s = makeTensor(sinkView, {kDLFloat, 32, 1});
  if (!sinks.empty()) {
    s.data = stageSinks();
    inputs.push_back(&s);
  }
  const std::string &entry = mask ? entries.masked : entries.any;
  auto numInputs = static_cast<int32_t>(inputs.size());
  std::optional<DeviceStage::Use> use;
  if (stage) {
    use.emplace(*stage, entries.context);
    int64_t bytes = 0;
    checkStatus(entries.context,
                gqa_workspace_size(entries.context, entries.artifact, entry.c_str(), inputs.data(), numInputs, &bytes));
    translate([&] {
      stage->setWorkspace(entries.context, bytes);
      o.data = stage->reserve(DeviceStage::Output, countBytes(output, type));
    });
  }
  DLTensor *outputs[] = {&o};
  checkStatus(entries.context,
              gqa_call(entries.context, entries.artifact, entry.c_str(), inputs.data(), numInputs, outputs, 1));
  if (stage)
    translate([&] { stage->download(output.data, DeviceStage::Output, countBytes(output, type)); });
}

gqa_status LayerAttention::attend(const CacheQueries &queries, void *query, const uint8_t *mask, int64_t maskKeys,
                                  void *output) const {
  int64_t tokens = std::accumulate(queries.counts.begin(), queries.counts.end(), int64_t(0)), row = numHeads * headDim;
  HeadsView rows = {query, {tokens, numHeads, headDim}, {row, headDim, 1}};
  DLTensor q = makeTensor(rows, type), o = q;
  o.data = output;
  HeadsView maskView = {const_cast<uint8_t *>(mask), {tokens, maskKeys}, {maskKeys, 1}};
  DLTensor m = makeTensor(maskView, {kDLUInt, 8, 1});
  gqa_attend_arguments arguments = {};
  arguments.queries = &q;
  arguments.output = &o;
  arguments.mask = maskKeys > 0 ? &m : nullptr;
  HeadsView sinkView = {sinks.empty() ? nullptr : stageSinks(), {numHeads}, {1}};
  DLTensor s = makeTensor(sinkView, {kDLFloat, 32, 1});
  arguments.sinks = sinks.empty() ? nullptr : &s;
  const std::string &entry = maskKeys > 0 ? entries.cachedMasked : entries.cached;
  auto size = static_cast<int32_t>(queries.counts.size());
  if (stage) {
    int64_t bytes = 0;
    gqa_status status =
        gqa_cache_attend_workspace_size(entries.context, queries.cache, entries.artifact, entry.c_str(), queries.layer,
                                        queries.sequences.data(), queries.counts.data(), size, &arguments, &bytes);
    if (status != GQA_OK)
      return status;
    translate([&] { stage->setWorkspace(entries.context, bytes); });
  }
  return gqa_cache_attend(entries.context, queries.cache, entries.artifact, entry.c_str(), queries.layer,
                          queries.sequences.data(), queries.counts.data(), size, &arguments);
}

void LayerAttention::runCached(const CacheQueries &queries, void *query, const uint8_t *mask, int64_t maskKeys,
                               void *output) const {
  if (!stage)
    return checkStatus(entries.context, attend(queries, query, mask, maskKeys, output));
  int64_t tokens = std::accumulate(queries.counts.begin(), queries.counts.end(), int64_t(0));
  int64_t bytes = tokens * numHeads * headDim * type.bits / 8;
  DeviceStage::Use use(*stage, entries.context);
  void *q = stageInput(DeviceStage::Query, query, bytes);
  auto *m = static_cast<uint8_t *>(mask ? stageInput(DeviceStage::Mask, mask, tokens * maskKeys) : nullptr);
  void *o = translate([&] { return stage->reserve(DeviceStage::Output, bytes); });
  checkStatus(entries.context, attend(queries, q, m, maskKeys, o));
  translate([&] { stage->download(output, DeviceStage::Output, bytes); });
}

void LayerAttention::append(const CacheQueries &queries, const float *keys, const float *values) const {
  int64_t tokens = std::accumulate(queries.counts.begin(), queries.counts.end(), int64_t(0)),
          row = numKvHeads * headDim;
  int64_t bytes = tokens * row * static_cast<int64_t>(sizeof(float));
  HeadsView rows = {nullptr, {tokens, numKvHeads, headDim}, {row, headDim, 1}};
  DLTensor k = makeTensor(rows, {kDLFloat, 32, 1}), v = k;
  k.data = stageInput(DeviceStage::Key, keys, bytes);
  v.data = stageInput(DeviceStage::Value, values, bytes);
  std::optional<DeviceStage::Use> use;
  if (stage)
    use.emplace(*stage, entries.context);
  checkStatus(entries.context,
              gqa_cache_append(entries.context, queries.cache, queries.layer, queries.sequences.data(),
                               queries.counts.data(), static_cast<int32_t>(queries.counts.size()), &k, &v));
}

void LayerAttention::checkCache(gqa_cache *cache, int32_t layer, bool isMasked) const {
  if ((isMasked ? entries.cachedMasked : entries.cached).empty())
    throw std::invalid_argument("the layer has no entry for a KV cache" + std::string(isMasked ? " and a mask" : ""));
  std::optional<DeviceStage::Use> use;
  if (stage)
    use.emplace(*stage, entries.context);
  // A call for no sequence checks all that does not depend on sequences.
  if (attend({cache, layer, {}, {}}, nullptr, nullptr, isMasked ? 1 : 0, nullptr) != GQA_OK)
    throw std::invalid_argument(gqa_context_message(entries.context));
}

} // namespace gqa::layer
