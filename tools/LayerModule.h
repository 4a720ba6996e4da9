#ifndef GQA_TOOLS_LAYERMODULE_H
#define GQA_TOOLS_LAYERMODULE_H

#include "runtime/layer/LayerAttention.h"
#include "runtime/layer/LayerWeights.h"
#include "tools/AttentionProblem.h"

namespace gqa {

/// MLIR text of the entries that a causal layer calls, for any batch and lengths: @<prefix>any, @<prefix>decode and
/// @<prefix>masked; elements are of `type`.
std::string printLayerEntries(const layer::LayerConfig &config, ElementType type, const std::string &prefix);

/// The entries under these names; context and artifact are left to the caller.
layer::AttentionEntries nameLayerEntries(const std::string &prefix);

/// Pseudo-random weights of a layer, uniform, with such an amplitude that projections of normalised hidden states have
/// unit variance; a function of the seed alone.
struct RandomWeights {
  layer::WeightType type = layer::WeightType::F32;
  bool hasBiases = false, hasNorms = false;
  uint64_t seed = 1;
};
layer::LayerWeights makeRandomWeights(const layer::LayerConfig &config, const RandomWeights &options);

} // namespace gqa

#endif // GQA_TOOLS_LAYERMODULE_H
