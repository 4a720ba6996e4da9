#include "FailingMemory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace gqa::test {

static thread_local int64_t untilFailure = -1; // negative: never
static std::atomic<int64_t> numFailures{0}, liveBytes{0};

void failAllocationAfter(int64_t count) { untilFailure = count; }
void stopFailing() { untilFailure = -1; }
int64_t getNumFailures() { return numFailures; }
int64_t getLiveBytes() { return liveBytes; }

/// Before each piece of memory stands its size, in as many bytes as keep the alignment.
constexpr size_t kPrefix = 64;

static void *take(size_t bytes) {
  if (untilFailure == 0) {
    untilFailure = -1;
    ++numFailures;
    return nullptr;
  }
  if (untilFailure > 0)
    --untilFailure;
  auto *memory = static_cast<char *>(std::aligned_alloc(kPrefix, (kPrefix + bytes + kPrefix - 1) / kPrefix * kPrefix));
  if (!memory)
    return nullptr;
  std::memcpy(memory, &bytes, sizeof(bytes));
  liveBytes += static_cast<int64_t>(bytes);
  return memory + kPrefix;
}

static void giveBack(void *pointer) {
  if (!pointer)
    return;
  char *memory = static_cast<char *>(pointer) - kPrefix;
  size_t bytes;
  std::memcpy(&bytes, memory, sizeof(bytes));
  liveBytes -= static_cast<int64_t>(bytes);
  std::free(memory);
}

cache::Allocator getFailingAllocator() {
  return {[](void *, int64_t bytes, int64_t alignment) -> void * {
            return alignment <= static_cast<int64_t>(kPrefix) ? take(static_cast<size_t>(bytes)) : nullptr;
          },
          [](void *, void *pointer) { giveBack(pointer); }, nullptr};
}

static void *takeOrThrow(size_t bytes) {
  if (void *pointer = take(bytes))
    return pointer;
  throw std::bad_alloc();
}

} // namespace gqa::test

void *operator new(size_t bytes) { return gqa::test::takeOrThrow(bytes); }
void *operator new[](size_t bytes) { return gqa::test::takeOrThrow(bytes); }
void *operator new(size_t bytes, const std::nothrow_t &) noexcept { return gqa::test::take(bytes); }
void *operator new[](size_t bytes, const std::nothrow_t &) noexcept { return gqa::test::take(bytes); }
void operator delete(void *pointer) noexcept { gqa::test::giveBack(pointer); }
void operator delete[](void *pointer) noexcept { gqa::test::giveBack(pointer); }
void operator delete(void *pointer, size_t) noexcept { gqa::test::giveBack(pointer); }
void operator delete[](void *pointer, size_t) noexcept { gqa::test::giveBack(pointer); }
void operator delete(void *pointer, const std::nothrow_t &) noexcept { gqa::test::giveBack(pointer); }
void operator delete[](void *pointer, const std::nothrow_t &) noexcept { gqa::test::giveBack(pointer); }
