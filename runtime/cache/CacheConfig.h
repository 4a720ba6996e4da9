#ifndef GQA_RUNTIME_CACHE_CACHECONFIG_H
#define GQA_RUNTIME_CACHE_CACHECONFIG_H

#include "runtime/cache/ElementType.h"
#include "runtime/cache/Rotary.h"
#include "runtime/cache/SlotMap.h"

#include <string>
#include <vector>

namespace gqa::cache {

/// Where the blocks come from. Any thread may call the functions.
struct Allocator {
  void *(*allocate)(void *state, int64_t bytes, int64_t alignment);
  void (*deallocate)(void *state, void *pointer);
  void *state;

  /// aligned_alloc and free.
  static Allocator getDefault();
};

/// One attention layer. Layers of one cache may differ in everything.
struct LayerConfig {
  int64_t numKvHeads = 0;
  int64_t keyDim = 0;   ///< elements of a key (dqk)
  int64_t valueDim = 0; ///< elements of a value (dv)
  ElementType keyType = ElementType::F16;
  ElementType valueType = ElementType::F16;
  /// Empty: quantised keys have a scale per token and head. Else [numKvHeads][keyDim], fixed scales per channel.
  std::vector<float> keyChannelScales;
  StorageKind storage = StorageKind::Paged;
  int64_t capacity = 0; ///< contiguous: most tokens of a sequence
  int64_t window = 0;   ///< ring: how many last tokens are kept
  int64_t sinks = 0;    ///< ring: how many first tokens are kept, too
  int64_t slack = 0;    ///< ring: how many tokens more than the window, see SlotMap
  RotaryConfig rotary;  ///< applied to keys on append

  SlotMap getSlotMap(int64_t pageSize) const;
};

struct CacheConfig {
  std::vector<LayerConfig> layers;
  int64_t maxSequences = 0; ///< sequences alive at a time, forks counted
  int64_t maxTokens = 0;    ///< tokens of all sequences together in a layer; shared ones count once. Not for contiguous
  int64_t pageSize = 16;    ///< tokens per block of paged and ring layers: a power of two from 1 to 256

  /// Blocks that `layer` needs for maxTokens tokens in maxSequences sequences of any lengths: at most a block per
  /// sequence more than the tokens fill.
  int64_t getNumBlocks(const LayerConfig &layer) const;
};

/// What is wrong with `config`; "" if nothing.
std::string check(const CacheConfig &config);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_CACHECONFIG_H
