#include "runtime/layer/CacheSteps.h"

#include <algorithm>

namespace gqa::layer {

std::vector<CacheStep> splitIntoSteps(const CacheQueries &queries, const gqa_cache_view &view) {
  const std::vector<int64_t> &counts = queries.counts;
  int64_t chunk = view.slack + 1;
  bool fits = view.ring_slots == 0 || std::all_of(counts.begin(), counts.end(), [&](int64_t n) { return n <= chunk; });
  if (fits)
    return {{0, queries}};
  std::vector<CacheStep> steps;
  int64_t token = 0;
  for (size_t i = 0; i < counts.size(); ++i)
    for (int64_t left = counts[i]; left > 0;) {
      int64_t count = std::min(left, chunk);
      steps.push_back({token, {queries.cache, queries.layer, {queries.sequences[i]}, {count}}});
      token += count;
      left -= count;
    }
  return steps;
}

std::vector<uint8_t> joinMasks(const std::vector<const uint8_t *> &masks, const std::vector<int64_t> &counts,
                               const std::vector<int32_t> &stored) {
  int64_t tokens = 0, keys = *std::max_element(stored.begin(), stored.end());
  for (int64_t count : counts)
    tokens += count;
  std::vector<uint8_t> joined(static_cast<size_t>(tokens * keys), 1);
  uint8_t *row = joined.data();
  for (size_t i = 0; i < counts.size(); ++i)
    for (int64_t token = 0; token < counts[i]; ++token, row += keys)
      if (masks[i])
        std::copy_n(masks[i] + token * stored[i], stored[i], row);
  return joined;
}

} // namespace gqa::layer
