#ifndef GQA_TOOLS_POOLEDHEADS_H
#define GQA_TOOLS_POOLEDHEADS_H

#include "runtime/layer/LayerWeights.h"

namespace gqa {

/// The weights of a layer with fewer K/V heads: each new one is the mean of `config.numKvHeads / kvHeads` neighbours,
/// as Ainslie et al. 2023 (arXiv:2305.13245, section 2.1) make them before they train on. Queries keep their order: the
/// query heads of the neighbours share the new head. `kvHeads` divides config.numKvHeads.
layer::LayerWeights poolHeads(const layer::LayerWeights &weights, const layer::LayerConfig &config, int64_t kvHeads);

} // namespace gqa

#endif // GQA_TOOLS_POOLEDHEADS_H
