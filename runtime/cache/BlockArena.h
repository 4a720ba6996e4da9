#ifndef GQA_RUNTIME_CACHE_BLOCKARENA_H
#define GQA_RUNTIME_CACHE_BLOCKARENA_H

#include "runtime/cache/BlockDevice.h"
#include "runtime/cache/CacheConfig.h"

#include <memory>

namespace gqa::cache {

/// The memory of the keys, or of the values, of all blocks of a layer:
///
///     rows    [numBlocks][heads][blockTokens][dim]   dense, in the element type
///     scales  [numBlocks][heads][blockTokens]        f32; only if there is a scale per token and head
///
/// So a head's part of a block is a dense [blockTokens, dim] matrix. Nothing is initialised.
class BlockArena {
public:
  struct Shape {
    ElementType type;
    int64_t numBlocks, heads, blockTokens, dim;
  };

  /// A row: a token of a block, for one head.
  struct Row {
    int32_t block;
    int64_t head, token;
  };

  /// `channelScales` is null or [heads][dim], and outlives the arena. Throws std::bad_alloc.
  BlockArena(const Shape &shape, const float *channelScales, const Allocator &allocator);

  void encode(const Row &row, const float *values);
  void decode(const Row &row, float *values) const;
  /// `device`: where the blocks are, if not in the host's memory; then it may throw gqa::Failure.
  void copyBlock(int32_t from, int32_t to, BlockDevice *device = nullptr);

  uint8_t *getRow(const Row &row) { return rows.get() + getIndex(row) * rowBytes; }
  const uint8_t *getRow(const Row &row) const { return rows.get() + getIndex(row) * rowBytes; }
  float *getScale(const Row &row) { return getScales() + getIndex(row); }
  const float *getScale(const Row &row) const { return getScales() + getIndex(row); }

  bool hasTokenScales() const { return scales != nullptr; }
  const Shape &getShape() const { return shape; }
  int64_t getRowBytes() const { return rowBytes; }
  void *getRows() const { return rows.get(); }
  float *getScales() const { return reinterpret_cast<float *>(scales.get()); }
  const float *getHostChannelScales() const { return channelScales; } ///< on the host, wherever the blocks are

  /// Bytes taken from the allocator.
  int64_t getBytes() const;

private:
  struct Deallocate {
    Allocator allocator;
    void operator()(uint8_t *pointer) const noexcept {
      try {
        allocator.deallocate(allocator.state, pointer);
      } catch (...) {
        // A caller's callback in C++; nobody is left to be told.
      }
    }
  };
  using Memory = std::unique_ptr<uint8_t[], Deallocate>;

  static Memory allocate(int64_t bytes, const Allocator &allocator);
  int64_t getNumRows() const { return shape.numBlocks * shape.heads * shape.blockTokens; }
  int64_t getIndex(const Row &row) const {
    return (row.block * shape.heads + row.head) * shape.blockTokens + row.token;
  }

  Shape shape;
  int64_t rowBytes;
  const float *channelScales;
  Memory rows, scales;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_BLOCKARENA_H
