#include "tools/LayerBench.h"

#include "tools/LayerModule.h"
#include "tools/LayerReference.h"
#include "tools/SeededData.h"

#include <algorithm>
#include <cmath>

namespace gqa {
namespace {

/// Hidden states of unit variance, as behind a norm.
constexpr float unitVariance = 1.7320508f;

constexpr int64_t rowsToCheck = 16;
constexpr int64_t tokensToDecode = 4;

std::vector<float> makeRandom(uint64_t seed, int64_t count) {
  ElementBuffer buffer(ElementType::f32, count);
  buffer.fillRandom(seed, unitVariance);
  const float *begin = static_cast<const float *>(buffer.data());
  return {begin, begin + count};
}

layer::AttentionEntries getEntries(const LoadedArtifact &artifact, const LayerEntries &names) {
  layer::AttentionEntries entries = nameLayerEntries(names);
  entries.context = artifact.getContext();
  entries.artifact = artifact.getArtifact();
  return entries;
}

gqa_cache_type getCacheType(ElementType type) {
  return type == ElementType::f32 ? GQA_CACHE_F32 : type == ElementType::bf16 ? GQA_CACHE_BF16 : GQA_CACHE_F16;
}

} // namespace

LayerBench::LayerBench(const layer::LayerConfig &config, const layer::LayerWeights &weights,
                       const LoadedArtifact &artifact, const LayerEntries &entries, uint64_t seed)
    : config(config), artifact(artifact), type(entries.type), seed(seed),
      layer(config, weights, getEntries(artifact, entries)), cache(nullptr, &gqa_cache_destroy) {}

void LayerBench::makeCache(int64_t capacity, int64_t batch) {
  cache.reset();
  gqa_cache_layer description = config.describeCacheLayer(getCacheType(type), capacity);
  gqa_cache_config cacheConfig = {};
  cacheConfig.num_layers = 1;
  cacheConfig.layers = &description;
  cacheConfig.max_sequences = batch;
  cacheConfig.page_size = 1;
  gqa_cache *created = nullptr;
  checkStatus(gqa_cache_create(artifact.getContext(), &cacheConfig, &created));
  cache.reset(created);
  past = {created, 0, std::vector<gqa_sequence>(static_cast<size_t>(batch))};
  for (gqa_sequence &sequence : past.sequences)
    checkStatus(gqa_cache_add(artifact.getContext(), created, &sequence));
}

/// Makes hidden states for the call if it is larger than all before.
layer::LayerTimes LayerBench::forward(int64_t tokens, int64_t batch, bool usesCache) {
  auto size = static_cast<size_t>(tokens * batch * config.dModel);
  if (x.size() < size) {
    x = makeRandom(seed, static_cast<int64_t>(size));
    y.resize(size);
  }
  layer.resetTimes();
  layer.forward({x.data(), std::vector<int64_t>(static_cast<size_t>(batch), tokens)}, y.data(),
                usesCache ? &past : nullptr);
  return layer.getTimes();
}

double LayerBench::check(const layer::LayerWeights &weights, int64_t tokens) {
  std::vector<int64_t> rows;
  int64_t decoded = std::min(tokensToDecode, tokens - 1);
  for (int64_t i = 0; i < std::min(rowsToCheck, tokens); ++i)
    rows.push_back(tokens - 1 - i * tokens / std::min(rowsToCheck, tokens));
  x = makeRandom(seed, tokens * config.dModel);
  LayerInput input{config, weights, x.data(), tokens};
  LayerRows reference = computeLayerReference(input, rows), naive = computeNaiveLayer(input, rows, type);
  auto checkOutputs = [&](const char *what) {
    LayerRows actual;
    for (int64_t row : rows)
      actual.emplace_back(&y[static_cast<size_t>(row * config.dModel)],
                          &y[static_cast<size_t>(row * config.dModel)] + config.dModel);
    return checkLayerRows(std::string(what) + " of a layer with " + std::to_string(config.numKvHeads) + " K/V heads",
                          actual, reference, naive, type);
  };
  y.assign(x.size(), NAN);
  forward(tokens, /*batch=*/1, /*usesCache=*/false);
  double error = checkOutputs("one pass");
  y.assign(x.size(), NAN);
  makeCache(tokens, /*batch=*/1);
  layer.forward({x.data(), {tokens - decoded}}, y.data(), &past);
  for (int64_t token = tokens - decoded; token < tokens; ++token)
    layer.forward({&x[static_cast<size_t>(token * config.dModel)], {1}}, &y[static_cast<size_t>(token * config.dModel)],
                  &past);
  return std::max(error, checkOutputs("prefill and decoding"));
}

layer::LayerTimes LayerBench::prefill(int64_t tokens, int64_t batch) {
  if (cachedTokens != 0 || static_cast<int64_t>(past.sequences.size()) != batch || !fits(tokens))
    makeCache(tokens, batch);
  cachedTokens = 0;
  for (gqa_sequence sequence : past.sequences)
    checkStatus(gqa_cache_truncate(artifact.getContext(), cache.get(), sequence, 0));
  return forward(tokens, batch, /*usesCache=*/true);
}

bool LayerBench::fits(int64_t tokens) const {
  gqa_cache_view view;
  checkStatus(gqa_cache_get_view(artifact.getContext(), cache.get(), 0, &view));
  return tokens <= view.page_size;
}

void LayerBench::fill(int64_t cached, int64_t batch) {
  makeCache(cached + 1, batch);
  cachedTokens = cached;
  int64_t shape[3] = {cached, config.numKvHeads, config.getHeadDim()};
  std::vector<float> rows = makeRandom(seed + 1, cached * config.getKeyRow());
  DLTensor tensor = {};
  tensor.data = rows.data();
  tensor.device = {kDLCPU, 0};
  tensor.ndim = 3;
  tensor.dtype = {kDLFloat, 32, 1};
  tensor.shape = shape;
  for (gqa_sequence sequence : past.sequences)
    checkStatus(gqa_cache_append(artifact.getContext(), cache.get(), 0, &sequence, &cached, 1, &tensor, &tensor));
}

layer::LayerTimes LayerBench::decode() {
  layer::LayerTimes times = forward(/*tokens=*/1, static_cast<int64_t>(past.sequences.size()), /*usesCache=*/true);
  for (gqa_sequence sequence : past.sequences)
    checkStatus(gqa_cache_truncate(artifact.getContext(), cache.get(), sequence, cachedTokens));
  return times;
}

} // namespace gqa
