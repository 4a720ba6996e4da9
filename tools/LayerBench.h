#ifndef GQA_TOOLS_LAYERBENCH_H
#define GQA_TOOLS_LAYERBENCH_H

#include "runtime/layer/GroupedQueryAttention.h"
#include "tools/LayerPlan.h"
#include "tools/LoadedArtifact.h"

namespace gqa {

/// One layer with a KV cache, to be checked and timed on pseudo-random hidden states.
class LayerBench {
public:
  /// `artifact` has what printLayerEntries() prints for `entries`, which are for such caches as `storage`.
  LayerBench(const layer::LayerConfig &config, const layer::LayerWeights &weights, const LoadedArtifact &artifact,
             const LayerEntries &entries, const LayerCache &storage, uint64_t seed);

  /// Runs `tokens` tokens in one pass, and again through the cache with the last ones decoded one by one. Throws
  /// std::runtime_error where the error rule is broken.
  LayerErrors check(const layer::LayerWeights &weights, int64_t tokens);

  /// Times one call: prompts of `tokens` tokens, `batch` of them, into empty sequences.
  layer::LayerTimes prefill(int64_t tokens, int64_t batch);

  /// Gives `batch` sequences `cached` tokens.
  void fill(int64_t cached, int64_t batch);

  /// Times one call: one more token for each sequence of fill().
  layer::LayerTimes decode();

private:
  void makeCache(int64_t capacity, int64_t batch);
  layer::LayerTimes forward(int64_t tokens, int64_t batch, bool usesCache);
  void checkStatus(gqa_status status) const { layer::checkStatus(artifact.getContext(), status); }

  const layer::LayerConfig config;
  const LoadedArtifact &artifact;
  ElementType type;
  LayerScores scores;
  LayerCache storage;
  uint64_t seed;
  layer::GroupedQueryAttention layer;
  std::unique_ptr<gqa_cache, void (*)(gqa_cache *)> cache;
  layer::PastKeyValues past;
  std::vector<float> x, y; // [tokens, d_model] of the largest call
  int64_t capacity = 0, cachedTokens = 0;
};

} // namespace gqa

#endif // GQA_TOOLS_LAYERBENCH_H
