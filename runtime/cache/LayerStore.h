#ifndef GQA_RUNTIME_CACHE_LAYERSTORE_H
#define GQA_RUNTIME_CACHE_LAYERSTORE_H

#include "runtime/cache/BlockArena.h"
#include "runtime/cache/BlockDevice.h"
#include "runtime/cache/BlockPool.h"

#include <vector>

namespace gqa::cache {

/// What one layer stores of one sequence.
struct LayerState {
  int64_t length = 0; ///< tokens
  /// All positions from here on are stored (and the sinks). Grows when a ring overwrites, and does not shrink when the
  /// overwriting tokens are taken back.
  int64_t oldest = 0;
  std::vector<int32_t> table; ///< block numbers; entries beyond the used ones are reserved for tokens to come
};

/// How many tokens a sequence is about to get.
struct Growth {
  LayerState *state;
  int64_t count;
};

/// Rows that a caller passes in: row (token, head) starts tokenStride * token + headStride * head elements after data.
struct TokenRows {
  const void *data;
  ElementType type; ///< F32, F16 or BF16
  int64_t tokenStride, headStride;
};

/// The blocks of one layer, for all sequences.
///
/// States are changed by one thread at a time; different states by any threads at once. A block is written only by
/// the one state that refers to it; who wants to write a block that others refer to gets a copy first.
class LayerStore {
public:
  /// `name` begins messages; `config` outlives the store. Throws std::bad_alloc.
  LayerStore(std::string name, const LayerConfig &config, const CacheConfig &cache, const Allocator &allocator);

  /// Gives each state blocks of its own for its next tokens. If memory is out, throws (gqa::Failure, std::bad_alloc)
  /// and nothing has changed. `device`: where the blocks are, if not in the host's memory.
  void reserve(const std::vector<Growth> &growths, BlockDevice *device = nullptr);

  /// Appends the tokens of `growths`, one after another in `keys` and `values`. If memory is out, throws and nothing
  /// has changed. `device`: where the blocks, `keys` and `values` are, if not in the host's memory.
  void append(const std::vector<Growth> &growths, const TokenRows &keys, const TokenRows &values,
              BlockDevice *device = nullptr);

  bool canTruncate(const LayerState &state, int64_t length) const { return slots.canTruncate(length, state.oldest); }

  /// Forgets all tokens but the first `length` (at most state.length), and reserved blocks. canTruncate() holds.
  void truncate(LayerState &state, int64_t length) noexcept;

  /// Gives up blocks reserved beyond the first `numBlocks` of the table, but none that is in use.
  void trim(LayerState &state, size_t numBlocks) noexcept;

  /// Makes the empty state `to` share the first `length` tokens of `from`. canTruncate(from, length) holds. Throws
  /// std::bad_alloc, and then nothing has changed.
  void share(const LayerState &from, int64_t length, LayerState &to);

  /// Whether position `position` of `state` is stored.
  bool isStored(const LayerState &state, int64_t position) const;

  /// The row of a stored position.
  BlockArena::Row locate(const LayerState &state, int64_t position, int64_t head) const;

  /// Makes the empty state, which has room for `length` tokens, one of that length whose rows the caller writes.
  void adopt(LayerState &state, int64_t length, int64_t oldest) noexcept;

  const LayerConfig &getConfig() const { return config; }
  const SlotMap &getSlots() const { return slots; }
  const Rotary &getRotary() const { return rotary; }
  const BlockPool &getPool() const { return pool; }
  BlockArena &getKeys() { return keys; }
  const BlockArena &getKeys() const { return keys; }
  BlockArena &getValues() { return values; }
  const BlockArena &getValues() const { return values; }

private:
  struct Claim;
  void checkFits(const LayerState &state, int64_t count) const;
  std::vector<Claim> plan(const std::vector<Growth> &growths) const;
  void copyShared(const std::vector<Claim> &claims, const std::vector<int32_t> &blocks, BlockDevice *device);
  void fulfil(const std::vector<Claim> &claims, const std::vector<int32_t> &blocks) noexcept;
  /// Memory for the turns and elements of a row.
  struct Scratch;
  void appendOnHost(const Growth &growth, int64_t first, const TokenRows &keys, const TokenRows &values,
                    Scratch &scratch);
  void addRuns(const Growth &growth, int64_t first, std::vector<RowRun> &runs) const;
  void write(const LayerState &state, int64_t position, const TokenRows &source, int64_t token, bool isKey,
             const float *turns, float *scratch);

  std::string name;
  const LayerConfig &config;
  SlotMap slots;
  Rotary rotary;
  BlockPool pool;
  BlockArena keys, values;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_LAYERSTORE_H
