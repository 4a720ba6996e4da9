#ifndef GQA_TOOLS_CACHEENTRIES_H
#define GQA_TOOLS_CACHEENTRIES_H

#include <string>

namespace gqa {

/// MLIR for the entries that gqa_cache_attend calls on one kind of layer: a public function `name` for any number of
/// queries per sequence, and `name_decode` for one. They serve all batch sizes, lengths and numbers of pages.
///
/// `spec` describes the layer, as `key=value` joined by commas, in any order:
///
///     heads, kv-heads           query heads and K/V heads
///     head-dim                  of keys and values; or key-dim and value-dim
///     type                      of keys and values: f32, f16 (default), bf16, i8, f8e4m3, i4; or key-type and value-type
///     query-type                of queries and output: f32, f16, bf16; default: the key type, or f32 if it is quantised
///     page-size                 tokens, 1 to 256 (default 16), or `contiguous`
///     window, sinks, slack      a ring: as in gqa_cache_layer
///     scale                     default 1 / sqrt(key-dim)
///     softcap
///     channel-scales=1          quantised keys have a scale per channel
///     head-sinks=1              a sink logit per query head is an argument
///     mask=1                    a mask [tokens, keys] is an argument
///     rows=1                    only `name_decode`
///     name                      default attention
///
/// Returns false and says why in `error` if the spec makes no sense.
bool makeCacheEntries(const std::string &spec, std::string &mlir, std::string &error);

} // namespace gqa

#endif // GQA_TOOLS_CACHEENTRIES_H
