#ifndef GQA_RUNTIME_CACHE_BLOCKPOOL_H
#define GQA_RUNTIME_CACHE_BLOCKPOOL_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace gqa::cache {

/// Hands out the numbers 0 .. numBlocks - 1 of equal blocks of memory, and counts who refers to each.
///
/// Any thread may call any function at any time. After construction nothing here allocates memory.
class BlockPool {
public:
  explicit BlockPool(int32_t numBlocks);

  /// Takes `count` blocks, each with one reference, or none at all and returns false if fewer are free.
  bool tryAcquire(int32_t *blocks, size_t count) noexcept;

  /// Adds a reference to a block to which the caller has one.
  void retain(int32_t block) noexcept;

  /// Gives a reference up. Writes that the caller has made are seen by whoever acquires the block next.
  void release(int32_t block) noexcept;

  /// How many refer to a block to which the caller has a reference. Once that is 1 it stays so until the caller shares
  /// the block, and all reads by those who have given it up have happened.
  int32_t getReferences(int32_t block) const noexcept;

  int32_t getNumBlocks() const { return numBlocks; }
  int32_t getNumFree() const noexcept;

private:
  int32_t numBlocks;
  std::unique_ptr<std::atomic<int32_t>[]> references;
  mutable std::mutex mutex;        ///< guards freeBlocks
  std::vector<int32_t> freeBlocks; ///< a stack; capacity for all
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_BLOCKPOOL_H
