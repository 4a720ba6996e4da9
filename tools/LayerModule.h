#ifndef GQA_TOOLS_LAYERMODULE_H
#define GQA_TOOLS_LAYERMODULE_H

#include "runtime/layer/LayerAttention.h"
#include "runtime/layer/LayerWeights.h"
#include "tools/AttentionProblem.h"
#include "tools/LayerScores.h"

namespace gqa {

/// The entries that a causal layer calls, for any batch and lengths.
struct LayerEntries {
  ElementType type = ElementType::f32; ///< of queries
  std::string prefix;                  ///< of names
  bool hasMasks = false;               ///< an entry with a mask, too
  bool hasCache = true;                ///< an entry for a cache, too
  bool hasCachedMasks = false;         ///< and one for a cache and a mask
  LayerScores scores;
  /// How keys and values are cached, as makeCacheEntries() takes it.
  std::string cacheType; ///< "": `type`
  std::string storage = "page-size=contiguous";
};

/// MLIR text: @<prefix>any and @<prefix>cached, @<prefix>masked and @<prefix>cached_masked.
std::string printLayerEntries(const layer::LayerConfig &config, const LayerEntries &entries);

/// The entries under these names; context and artifact are left to the caller.
layer::AttentionEntries nameLayerEntries(const LayerEntries &entries);

/// Pseudo-random weights of a layer, uniform, with such an amplitude that projections of normalised hidden states have
/// unit variance; a function of the seed alone.
struct RandomWeights {
  layer::WeightType type = layer::WeightType::F32;
  bool hasBiases = false, hasOutputBias = false; ///< of the q, k and v projections, and of the output's
  bool hasNorms = false, hasSinks = false;
  uint64_t seed = 1;
};
layer::LayerWeights makeRandomWeights(const layer::LayerConfig &config, const RandomWeights &options);

} // namespace gqa

#endif // GQA_TOOLS_LAYERMODULE_H
