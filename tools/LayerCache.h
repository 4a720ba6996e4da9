#ifndef GQA_TOOLS_LAYERCACHE_H
#define GQA_TOOLS_LAYERCACHE_H

#include "runtime/gqa_cache.h"

#include <string>
#include <vector>

namespace gqa {

/// How a layer's keys and values are cached.
struct LayerCache {
  gqa_cache_storage storage = GQA_CACHE_CONTIGUOUS;
  int64_t pageSize = 16;                     ///< tokens; pages and rings
  int64_t window = 0, sinks = 0, slack = 63; ///< rings; prompts go in chunks of slack + 1 tokens
  std::string type;                          ///< of cacheElementBits()

  bool isRing() const { return storage == GQA_CACHE_RING; }

  /// Throws std::runtime_error with one line that names the option.
  void check(int64_t headDim) const;

  /// "contiguous", "pages of 16" or "ring, window 1024, sinks 0, slack 63, pages of 16".
  std::string describe() const;

  /// The same in the words of makeCacheEntries().
  std::string printStorage() const;
  std::string printType() const;

  /// Sets storage and types of a layer that describeCacheLayer() has made.
  void apply(gqa_cache_layer &layer) const;

  /// Tokens of a sequence of `tokens` that are kept.
  int64_t countKept(int64_t tokens) const;

  /// What each token sees, [tokens, tokens], causality apart; empty if it is everything.
  std::vector<uint8_t> makeMask(int64_t tokens) const;
};

} // namespace gqa

#endif // GQA_TOOLS_LAYERCACHE_H
