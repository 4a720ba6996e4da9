#include "runtime/cache/BlockPool.h"

namespace gqa::cache {

BlockPool::BlockPool(int32_t numBlocks)
    : numBlocks(numBlocks), references(new std::atomic<int32_t>[static_cast<size_t>(numBlocks)]()) {
  freeBlocks.reserve(static_cast<size_t>(numBlocks));
  // The lowest number is on top, so that a new cache fills its memory from the start.
  for (int32_t block = numBlocks; block > 0; --block)
    freeBlocks.push_back(block - 1);
}

bool BlockPool::tryAcquire(int32_t *blocks, size_t count) noexcept {
  std::lock_guard<std::mutex> lock(mutex);
  if (freeBlocks.size() < count)
    return false;
  for (size_t i = 0; i < count; ++i) {
    blocks[i] = freeBlocks.back();
    freeBlocks.pop_back();
    references[static_cast<size_t>(blocks[i])].store(1, std::memory_order_relaxed);
  }
  return true;
}

void BlockPool::retain(int32_t block) noexcept {
  references[static_cast<size_t>(block)].fetch_add(1, std::memory_order_relaxed);
}

void BlockPool::release(int32_t block) noexcept {
  if (references[static_cast<size_t>(block)].fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  std::lock_guard<std::mutex> lock(mutex);
  freeBlocks.push_back(block);
}

int32_t BlockPool::getReferences(int32_t block) const noexcept {
  return references[static_cast<size_t>(block)].load(std::memory_order_acquire);
}

int32_t BlockPool::getNumFree() const noexcept {
  std::lock_guard<std::mutex> lock(mutex);
  return static_cast<int32_t>(freeBlocks.size());
}

} // namespace gqa::cache
