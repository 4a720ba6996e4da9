#ifndef GQA_RUNTIME_LAYER_LAYERATTENTION_H
#define GQA_RUNTIME_LAYER_LAYERATTENTION_H

#include "runtime/layer/LayerConfig.h"

#include <array>
#include <string>
#include <vector>

namespace gqa::layer {

/// Compiled attention of a layer: entries of an artifact on
///
///     query  [b, hkv, g, m, head_dim]        key, value  [b, hkv, n, head_dim]        output  as query
///
/// all f32, all f16 or all bf16, with any b, m and n unless stated. What else attention does (scale, causal, softcap,
/// window) is compiled in; query i stands at position n - m + i.
struct AttentionEntries {
  gqa_context *context = nullptr;         ///< runs them; outlives the layer, as the artifact does
  const gqa_artifact *artifact = nullptr; ///
  std::string any = "attention";          ///< for any number of queries
  std::string decode;                     ///< "", or an entry with m = 1, which is compiled for that
  std::string masked;                     ///< "", or an entry with one more input: mask [b, m, n], i1, true: attend
};

/// Elements of queries, keys, values or outputs: b, hkv, g, m (or n), head_dim. Keys and values have no g.
struct HeadsView {
  void *data = nullptr;
  std::vector<int64_t> shape, strides; // strides in elements
};

/// The entries as a layer calls them.
class LayerAttention {
public:
  /// Throws std::invalid_argument, saying which entry differs in what, unless they fit the layer.
  LayerAttention(const AttentionEntries &entries, const LayerConfig &config);

  DLDataType getType() const { return type; }
  int64_t getElementBytes() const { return type.bits / 8; }
  bool hasMask() const { return !entries.masked.empty(); }

  /// Attends; `mask` is null, or [b, m, n] bytes, 0 or 1. Throws std::runtime_error.
  void run(const HeadsView &query, const HeadsView &key, const HeadsView &value, const uint8_t *mask,
           const HeadsView &output) const;

private:
  AttentionEntries entries;
  DLDataType type;
};

/// Throws std::runtime_error with the context's message unless `status` is GQA_OK.
void checkStatus(gqa_context *context, gqa_status status);

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_LAYERATTENTION_H
