#ifndef GQA_RUNTIME_LAYER_LAYERCONFIG_H
#define GQA_RUNTIME_LAYER_LAYERCONFIG_H

#include "runtime/gqa.h"

namespace gqa::layer {

/// The shape of an attention layer, and what is done to queries and keys before they meet.
struct LayerConfig {
  int64_t dModel = 0;        ///< elements of a hidden state
  int64_t numHeads = 0;      ///< query heads
  int64_t numKvHeads = 0;    ///< key and value heads; divides numHeads
  int64_t headDim = 0;       ///< elements of a head; 0: dModel / numHeads
  gqa_rotary rotary = {};    ///< of queries and keys; dim 0: none
  float normEpsilon = 1e-6f; ///< of the RMS norms of queries and keys, if the weights have them
  int threads = 0;           ///< of the projections; 0: as many as OpenMP gives

  int64_t getHeadDim() const { return headDim ? headDim : dModel / numHeads; }
  int64_t getQueryRow() const { return numHeads * getHeadDim(); }
  int64_t getKeyRow() const { return numKvHeads * getHeadDim(); }

  /// Throws std::invalid_argument with one line that names what does not fit and both values.
  void check() const;

  /// How a cache stores keys and values for this layer: heads, dims and rotary embedding are the layer's, elements are
  /// of `type`, pages hold a whole sequence of `capacity` tokens. Storage may be changed by the caller.
  gqa_cache_layer describeCacheLayer(gqa_cache_type type, int64_t capacity) const;
};

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_LAYERCONFIG_H
