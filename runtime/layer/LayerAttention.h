#ifndef GQA_RUNTIME_LAYER_LAYERATTENTION_H
#define GQA_RUNTIME_LAYER_LAYERATTENTION_H

#include "runtime/layer/LayerConfig.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace gqa::layer {

class DeviceStage;

/// Compiled attention of a layer: entries of an artifact on
///
///     query  [b, hkv, g, m, head_dim]        key, value  [b, hkv, n, head_dim]        output  as query
///
/// all f32, all f16 or all bf16, with any b, m and n. What else attention does (scale, causal, softcap, window) is
/// compiled in; query i stands at position n - m + i. Where the layer has sinks, all entries take them as their last
/// input, sink [hkv, g], f32. Entries for a KV cache are those of gqa_cache_attend
/// (`gqa-compile --for-cache`): they fix how keys and values are stored, and take queries of the same type.
struct AttentionEntries {
  gqa_context *context = nullptr;         ///< runs them; outlives the layer, as the artifact does
  const gqa_artifact *artifact = nullptr; ///
  std::string any = "attention";          ///< where there is no cache
  std::string masked;                     ///< "", or an entry with one more input: mask [b, m, n], i1, true: attend
  std::string cached;                     ///< "", or for a cache; with `cached`_decode for single queries, if there
  std::string cachedMasked;               ///< "", or the same with a mask
  /// Where the entries run, and caches are. On a device the layer has a stream and a workspace of its own, and leaves
  /// the context without any; projections, norms and rotary embedding of queries stay on the host, and calls wait.
  DLDevice device = {kDLCPU, 0};
};

/// Elements of queries, keys, values or outputs: b, hkv, g, m (or n), head_dim. Keys and values have no g.
struct HeadsView {
  void *data = nullptr;
  std::vector<int64_t> shape, strides; // strides in elements
};

/// Sequences of a cache, and how many of the last tokens of each ask.
struct CacheQueries {
  gqa_cache *cache = nullptr;
  int32_t layer = 0;
  std::vector<gqa_sequence> sequences;
  std::vector<int64_t> counts;
};

/// The entries as a layer calls them.
class LayerAttention {
public:
  /// Throws std::invalid_argument, saying which entry differs in what, unless they fit the layer. `sinks`: none, or one
  /// per query head.
  LayerAttention(const AttentionEntries &entries, const LayerConfig &config, std::vector<float> sinks);

  DLDataType getType() const { return type; }
  int64_t getElementBytes() const { return type.bits / 8; }
  bool hasMask(bool usesCache) const { return !(usesCache ? entries.cachedMasked : entries.masked).empty(); }

  /// Attends; `mask` is null, or [b, m, n] bytes, 0 or 1. Throws std::runtime_error.
  void run(const HeadsView &query, const HeadsView &key, const HeadsView &value, const uint8_t *mask,
           const HeadsView &output) const;

  /// Attends to what a cache has stored; `query` and `output` are [tokens, heads, head_dim], dense, and `mask` null or
  /// [tokens, maskKeys] bytes. Throws std::runtime_error.
  void runCached(const CacheQueries &queries, void *query, const uint8_t *mask, int64_t maskKeys, void *output) const;

  /// Appends rows [tokens, kv_heads, head_dim] of f32, dense, to a cache. Throws std::runtime_error.
  void append(const CacheQueries &queries, const float *keys, const float *values) const;

  /// Throws std::invalid_argument unless the entry suits how the cache stores this layer.
  void checkCache(gqa_cache *cache, int32_t layer, bool isMasked) const;

private:
  gqa_status attend(const CacheQueries &queries, void *query, const uint8_t *mask, int64_t maskKeys,
                    void *output) const;
  void *stageInput(int slot, const void *data, int64_t bytes) const;
  void *stageSinks() const;
  DLTensor makeTensor(const HeadsView &view, DLDataType type) const;

  AttentionEntries entries;
  DLDataType type;
  int64_t numHeads, numKvHeads, headDim;
  std::vector<float> sinks;
  std::shared_ptr<DeviceStage> stage; ///< null: on the host
};

/// Throws std::runtime_error with the context's message unless `status` is GQA_OK.
void checkStatus(gqa_context *context, gqa_status status);

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_LAYERATTENTION_H
