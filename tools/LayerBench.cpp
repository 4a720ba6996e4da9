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

/// The outputs of some tokens.
LayerRows pickRows(const std::vector<float> &y, const std::vector<int64_t> &rows, int64_t dModel) {
  LayerRows picked;
  for (int64_t row : rows)
    picked.emplace_back(&y[static_cast<size_t>(row * dModel)], &y[static_cast<size_t>(row * dModel)] + dModel);
  return picked;
}

/// How far the cached outputs are from those of one pass.
void compareOutputs(const LayerRows &cached, const LayerRows &onePass, LayerErrors &errors) {
  double squares = 0, total = 0;
  for (size_t i = 0; i < cached.size(); ++i)
    for (size_t d = 0; d < cached[i].size(); ++d) {
      double difference = std::fabs(cached[i][d] - onePass[i][d]);
      errors.difference = std::max(errors.difference, difference);
      squares += difference * difference;
      total += onePass[i][d] * onePass[i][d];
    }
  errors.relative = total > 0 ? std::sqrt(squares / total) : 0;
}

} // namespace

LayerBench::LayerBench(const layer::LayerConfig &config, const layer::LayerWeights &weights,
                       const LoadedArtifact &artifact, const LayerEntries &entries, const LayerCache &storage,
                       uint64_t seed)
    : config(config), artifact(artifact), type(entries.type), scores(entries.scores), storage(storage), seed(seed),
      layer(config, weights, getEntries(artifact, entries)), cache(nullptr, &gqa_cache_destroy) {}

void LayerBench::makeCache(int64_t tokens, int64_t batch) {
  cache.reset();
  capacity = tokens;
  gqa_cache_layer description = config.describeCacheLayer(GQA_CACHE_F32, capacity);
  storage.apply(description);
  gqa_cache_config cacheConfig = {};
  cacheConfig.num_layers = 1;
  cacheConfig.layers = &description;
  cacheConfig.max_sequences = batch;
  cacheConfig.max_tokens = batch * capacity;
  cacheConfig.page_size = static_cast<int32_t>(storage.pageSize);
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

LayerErrors LayerBench::check(const layer::LayerWeights &weights, int64_t tokens) {
  std::vector<int64_t> rows;
  int64_t decoded = std::min(tokensToDecode, tokens - 1);
  for (int64_t i = 0; i < std::min(rowsToCheck, tokens); ++i)
    rows.push_back(tokens - 1 - i * tokens / std::min(rowsToCheck, tokens));
  x = makeRandom(seed, tokens * config.dModel);
  std::vector<uint8_t> mask = storage.makeMask(tokens);
  std::vector<const uint8_t *> masks;
  if (!mask.empty())
    masks.push_back(mask.data());
  LayerInput input{config, weights, x.data(), tokens, masks.empty() ? nullptr : masks[0], scores};
  LayerRows reference = computeLayerReference(input, rows);
  std::string name = " of a layer with " + std::to_string(config.numKvHeads) + " K/V heads";
  LayerErrors errors;

  y.assign(x.size(), NAN);
  layer.forward({x.data(), {tokens}}, y.data(), /*past=*/nullptr, masks);
  LayerRows onePass = pickRows(y, rows, config.dModel);
  LayerRows naive = computeNaiveLayer(input, rows, type);
  errors.onePass = checkLayerRows("one pass" + name, onePass, reference, naive, type);

  y.assign(x.size(), NAN);
  makeCache(tokens, /*batch=*/1);
  layer.forward({x.data(), {tokens - decoded}}, y.data(), &past);
  for (int64_t token = tokens - decoded; token < tokens; ++token)
    layer.forward({&x[static_cast<size_t>(token * config.dModel)], {1}}, &y[static_cast<size_t>(token * config.dModel)],
                  &past);
  LayerRows cached = pickRows(y, rows, config.dModel);
  if (storage.type != getName(type))
    naive = computeNaiveLayer(input, rows, type, storage.type);
  errors.cached = checkLayerRows("prefill and decoding" + name, cached, reference, naive, type);
  compareOutputs(cached, onePass, errors);
  return errors;
}

layer::LayerTimes LayerBench::prefill(int64_t tokens, int64_t batch) {
  if (cachedTokens != 0 || static_cast<int64_t>(past.sequences.size()) != batch || tokens > capacity)
    makeCache(tokens, batch);
  cachedTokens = 0;
  for (gqa_sequence sequence : past.sequences)
    checkStatus(gqa_cache_truncate(artifact.getContext(), cache.get(), sequence, 0));
  return forward(tokens, batch, /*usesCache=*/true);
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
  // A ring without slack cannot take the token back, and costs the same at any position.
  if (!storage.isRing())
    for (gqa_sequence sequence : past.sequences)
      checkStatus(gqa_cache_truncate(artifact.getContext(), cache.get(), sequence, cachedTokens));
  return times;
}

} // namespace gqa
