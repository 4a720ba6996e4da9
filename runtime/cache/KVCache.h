#ifndef GQA_RUNTIME_CACHE_KVCACHE_H
#define GQA_RUNTIME_CACHE_KVCACHE_H

#include "runtime/cache/SequenceTable.h"

namespace gqa::cache {

/// The keys and values of many sequences in many layers.
///
/// Functions throw gqa::Failure or std::bad_alloc, and then nothing that was stored has changed. If the allocator gives
/// memory of a device, functions that touch blocks are given that `device`.
///
/// Threads: functions may be called from any thread at once, except that a function that changes a sequence (append,
/// reserve, truncate, remove) must be the only one that uses this sequence. Reading a sequence's blocks, forking it and
/// saving it do not change it. Forks that share blocks are sequences of their own.
class KVCache {
public:
  KVCache(CacheConfig config, const Allocator &allocator);

  /// A new sequence without tokens.
  SequenceId add();

  /// A new sequence that shares the first `length` tokens of `source`, without copying. A prefix that many sequences
  /// share is a sequence from which they are forked; its blocks stay as long as any of them.
  SequenceId fork(SequenceId source, int64_t length);

  void remove(SequenceId id);

  /// Forgets all tokens after the first `length` in all layers, and reservations. A layer that has fewer keeps them.
  void truncate(SequenceId id, int64_t length);

  /// Makes sure that appending up to counts[i] tokens to ids[i] in each layer does not run out of memory, as long as
  /// the sequence is not forked or truncated in between.
  void reserve(const SequenceId *ids, const int64_t *counts, int64_t numSequences, BlockDevice *device = nullptr);

  /// Appends counts[i] tokens to sequence ids[i] in one layer, for each i; all of them, or none. `keys` and `values`
  /// hold the tokens of the first sequence, then those of the second, and so on. Keys are rotated to their position in
  /// the sequence if the layer says so.
  void append(int64_t layer, const SequenceId *ids, const int64_t *counts, int64_t numSequences, const TokenRows &keys,
              const TokenRows &values, BlockDevice *device = nullptr);

  int64_t getNumLayers() const { return static_cast<int64_t>(layers.size()); }
  const CacheConfig &getConfig() const { return config; }

  /// Throws gqa::Failure if there is no such layer.
  const LayerStore &getLayer(int64_t layer) const;
  LayerStore &getLayer(int64_t layer);

  const LayerState &getState(SequenceId id, int64_t layer) const;

  /// Adds a sequence that has blocks for `lengths[l]` tokens of layer l, but no tokens; for loading.
  SequenceStates allocateStates(const std::vector<int64_t> &lengths);
  SequenceId addStates(SequenceStates &&states);
  void release(SequenceStates &states) noexcept;

  /// Bytes taken from the allocator; they stay the same as long as the cache lives.
  int64_t getBytes() const;

  int64_t getNumSequences() const { return sequences.getNumSequences(); }

private:
  std::vector<Growth> makeGrowths(int64_t layer, const SequenceId *ids, const int64_t *counts,
                                  int64_t numSequences) const;
  void checkTruncate(const SequenceStates &states, int64_t length) const;

  CacheConfig config;
  std::vector<std::unique_ptr<LayerStore>> layers;
  SequenceTable sequences;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_KVCACHE_H
