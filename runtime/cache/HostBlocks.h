#ifndef GQA_RUNTIME_CACHE_HOSTBLOCKS_H
#define GQA_RUNTIME_CACHE_HOSTBLOCKS_H

#include "runtime/cache/BlockDevice.h"
#include "runtime/cache/LayerStore.h"

#include <map>

namespace gqa::cache {

/// The blocks of one sequence in the host's memory, for what has to look at rows of a cache on a device: reading and
/// saving, or, written back, loading. Rows are found as in the BlockArena that they belong to.
class HostBlocks {
public:
  /// Memory for the first `numBlocks` blocks of the sequence, not yet downloaded. Throws std::bad_alloc.
  HostBlocks(const BlockArena &arena, const LayerState &state, int64_t numBlocks);

  void download(BlockDevice &device);
  void upload(BlockDevice &device) const;

  const BlockArena::Shape &getShape() const { return arena.getShape(); }
  int64_t getRowBytes() const { return arena.getRowBytes(); }
  bool hasTokenScales() const { return arena.hasTokenScales(); }
  uint8_t *getRow(const BlockArena::Row &row) { return rows.data() + getIndex(row) * arena.getRowBytes(); }
  float *getScale(const BlockArena::Row &row) { return scales.data() + getIndex(row); }
  void decode(const BlockArena::Row &row, float *values);

private:
  int64_t getIndex(const BlockArena::Row &row) const {
    return (places.at(row.block) * arena.getShape().heads + row.head) * arena.getShape().blockTokens + row.token;
  }
  int64_t getBlockRows() const { return arena.getShape().heads * arena.getShape().blockTokens; }

  const BlockArena &arena;
  std::map<int32_t, int64_t> places; ///< by block
  std::vector<uint8_t> rows;
  std::vector<float> scales;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_HOSTBLOCKS_H
