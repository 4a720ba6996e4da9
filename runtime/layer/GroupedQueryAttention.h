#ifndef GQA_RUNTIME_LAYER_GROUPEDQUERYATTENTION_H
#define GQA_RUNTIME_LAYER_GROUPEDQUERYATTENTION_H

#include "runtime/cache/Rotary.h"
#include "runtime/layer/CacheSteps.h"
#include "runtime/layer/Projection.h"

namespace gqa::layer {

/// Hidden states of some sequences, one after another: `x` is [tokens, d_model], counts[i] of the tokens belong to
/// sequence i. A dense [batch, tokens, d_model] has equal counts.
struct Batch {
  const float *x = nullptr;
  std::vector<int64_t> counts;
};

/// Keys and values of earlier tokens, and where those of the new ones go: sequence i of a batch is sequences[i] of the
/// cache.
struct PastKeyValues {
  gqa_cache *cache = nullptr;
  int32_t layer = 0;
  std::vector<gqa_sequence> sequences;
};

/// Where the time of forward() went, in seconds; adds up.
struct LayerTimes {
  double projections = 0, attention = 0;
  double total = 0; ///< these, and norms, rotary embedding, conversions and appending
};

/// Grouped-query attention as papers and frameworks define it (Ainslie et al. 2023, arXiv:2305.13245): for hidden
/// states x,
///
///     q = x Wq^T + bq,  k = x Wk^T + bk,  v = x Wv^T + bv
///     q, k = rotary(norm(q)), rotary(norm(k))        norm(r) = r / sqrt(mean(r^2) + epsilon) * scale, per head
///     y = concat over heads h (attention(q_h, k_(h / G), v_(h / G), sink_h)) Wo^T + bo,        G = heads / kv_heads
///
/// Biases, norms, rotary embedding and sinks are there or not, as weights and configuration have them.
/// Hidden states are f32; projections are in the type of their weights, attention and cached keys and values in that of
/// the entries. One layer is used by one thread at a time.
class GroupedQueryAttention {
public:
  /// Throws std::invalid_argument if the parts do not fit each other, for example query heads that are no multiple of
  /// K/V heads, std::runtime_error if this machine cannot run the artifact.
  GroupedQueryAttention(const LayerConfig &config, LayerWeights weights, const AttentionEntries &entries);

  const LayerConfig &getConfig() const { return config; }
  int64_t countParameters() const { return numParameters; }

  /// Computes `y`, [tokens, d_model].
  ///
  /// Without `past`, tokens of a sequence attend to each other. With it, keys and values are appended to the cache
  /// first, and tokens attend to all that is there, in place (gqa_cache_attend); the cache's layer must be stored as
  /// the entry `cached` takes it, with the heads, dims and rotary embedding of LayerConfig::describeCacheLayer(). In a
  /// ring, more than slack + 1 tokens of a sequence go in chunks of as many.
  ///
  /// `masks` is empty, or has for each sequence null or [counts[i], keys] bytes, 1 where a token attends to a key, in
  /// addition to what the entries mask; keys are those that are stored by then, in the order of their slots.
  ///
  /// Throws std::invalid_argument for arguments that do not fit, before anything has changed, and std::runtime_error
  /// if the runtime fails: memory. If that happens after keys were appended they stay; truncate the sequences to try
  /// again.
  void forward(const Batch &batch, float *y, const PastKeyValues *past = nullptr,
               const std::vector<const uint8_t *> &masks = {});

  const LayerTimes &getTimes() const { return times; }
  void resetTimes() { times = {}; }

private:
  void checkArguments(const Batch &batch, const float *y, const PastKeyValues *past,
                      const std::vector<const uint8_t *> &masks) const;
  std::vector<CacheStep> planSteps(const Batch &batch, const PastKeyValues &past,
                                   const std::vector<const uint8_t *> &masks) const;
  std::vector<int64_t> getLengths(const Batch &batch, const PastKeyValues *past) const;

  void project(const Batch &batch, int64_t tokens);
  std::vector<float> computeTurns(const Batch &batch, const std::vector<int64_t> &lengths) const;
  void rotate(std::vector<float> &rows, int64_t tokens, int64_t heads, const std::vector<float> &turns) const;

  void attend(const Batch &batch, const std::vector<const uint8_t *> &masks);
  void attendToCache(const CacheStep &step, const std::vector<const uint8_t *> &masks);
  void *narrow(std::vector<float> &rows, std::vector<uint16_t> &storage) const;
  void *getOutputData();
  void widenOutputs();
  HeadsView viewQueries(void *data, int64_t firstToken, int64_t sequences, int64_t tokens) const;

  LayerConfig config;
  int64_t numParameters;
  std::vector<float> queryNorm, keyNorm;
  LayerAttention attention;
  gqa_context *context;
  cache::Rotary rotary;
  Projection queryProjection, keyProjection, valueProjection, outputProjection;
  LayerTimes times;

  // Of one call: [tokens, heads, head_dim], and the same in attention's type if that is narrower.
  std::vector<float> queries, keys, values, outputs;
  std::vector<uint16_t> narrowQueries, narrowKeys, narrowValues, narrowOutputs;
  void *queryData = nullptr; // whichever of the two attention reads
};

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_GROUPEDQUERYATTENTION_H
