#ifndef GQA_TOOLS_CACHEDPROBLEM_H
#define GQA_TOOLS_CACHEDPROBLEM_H

#include "tools/AttentionProblem.h"

namespace gqa {

/// Element types of a KV cache: gqa_cache_type, with its numbers.
enum class CacheType { f32, f16, bf16, i8, f8e4m3, i4 };

inline bool isQuantised(CacheType type) { return type >= CacheType::i8; }

/// How a layer of a KV cache stores its keys and values (docs/kv-cache.md).
struct CacheLayout {
  CacheType keyType = CacheType::f16, valueType = CacheType::f16;
  int64_t pageSize = 16;         ///< 0: contiguous, a page holds a whole sequence
  bool hasChannelScales = false; ///< quantised keys have one scale per head and channel, not per token and head
  std::optional<Ring> ring;
};

/// `problem`, whose key and value are [b, hkv, n, d] (b and hkv may be missing), on keys and values in a cache: they
/// become [page, hkv, slot, d], with a block table, scales where they are quantised, and kv_len, or length in a ring.
/// The extents of page, block and slot of a contiguous layer are left to the caller.
AttentionProblem makeCachedProblem(const AttentionProblem &problem, const CacheLayout &layout);

} // namespace gqa

#endif // GQA_TOOLS_CACHEDPROBLEM_H
