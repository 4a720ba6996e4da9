#ifndef GQA_RUNTIME_LAYER_CACHESTEPS_H
#define GQA_RUNTIME_LAYER_CACHESTEPS_H

#include "runtime/layer/LayerAttention.h"

namespace gqa::layer {

/// New tokens that are appended to a cache together, and then attend together.
struct CacheStep {
  int64_t firstToken = 0; ///< of the batch
  CacheQueries queries;
};

/// The steps in which queries.counts[i] new tokens of queries.sequences[i], which lie one sequence after another, go
/// through a cache: one for all, unless a ring overwrites what the first of them need. Then each sequence goes alone,
/// in chunks of slack + 1 tokens.
std::vector<CacheStep> splitIntoSteps(const CacheQueries &queries, const gqa_cache_view &view);

/// Masks of sequences, null or [counts[i], stored[i]], as one [tokens, largest stored]; what a sequence does not have
/// is hidden by its length.
std::vector<uint8_t> joinMasks(const std::vector<const uint8_t *> &masks, const std::vector<int64_t> &counts,
                               const std::vector<int32_t> &stored);

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_CACHESTEPS_H
