#ifndef GQA_TEST_UNIT_CUDA_FAKEMEMORY_H
#define GQA_TEST_UNIT_CUDA_FAKEMEMORY_H

#include "runtime/cuda/DriverTypes.h"

#include <map>
#include <sys/mman.h>
#include <utility>

namespace fakecuda {

/// Device memory of the fake driver: pages of the host, out of reach except while a device would work, with a page that
/// is never in reach on both sides of each allocation.
class FakeMemory {
public:
  FakeMemory() = default;
  FakeMemory(FakeMemory &&other) noexcept { *this = std::move(other); }
  FakeMemory &operator=(FakeMemory &&other) noexcept {
    std::swap(allocations, other.allocations);
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~FakeMemory() {
    while (!allocations.empty())
      free(allocations.begin()->first);
  }

  /// The allocation ends where its pages end, up to the alignment of device memory, 256 bytes; 0 if memory is out. It
  /// is filled with bytes that make NaN of every float type.
  gqa::cuda::Pointer allocate(size_t size) {
    size_t rounded = (size + 255) / 256 * 256, inner = (rounded + kPage - 1) / kPage * kPage;
    void *mapped = mmap(nullptr, inner + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
      return 0;
    auto pages = reinterpret_cast<uintptr_t>(mapped) + kPage;
    protect(pages, inner, PROT_READ | PROT_WRITE);
    if (size < (size_t(1) << 28)) // larger ones are made to measure time
      __builtin_memset(reinterpret_cast<void *>(pages), 0xff, inner);
    protect(pages, inner, PROT_NONE);
    gqa::cuda::Pointer pointer = pages + inner - rounded;
    allocations[pointer] = {pages, inner, size};
    bytes += size;
    return pointer;
  }

  bool free(gqa::cuda::Pointer pointer) {
    auto it = allocations.find(pointer);
    if (it == allocations.end())
      return false;
    munmap(reinterpret_cast<void *>(it->second.pages - kPage), it->second.inner + 2 * kPage);
    bytes -= it->second.size;
    allocations.erase(it);
    return true;
  }

  bool contains(gqa::cuda::Pointer pointer, size_t size) const {
    auto it = allocations.upper_bound(pointer);
    if (it == allocations.begin())
      return false;
    --it;
    return pointer + size <= it->first + it->second.size;
  }

  size_t countAllocations() const { return allocations.size(); }
  size_t getBytes() const { return bytes; }

  /// While this lives, the memory can be accessed.
  class Access {
  public:
    explicit Access(FakeMemory &memory) : memory(memory) { memory.protectAll(PROT_READ | PROT_WRITE); }
    ~Access() { memory.protectAll(PROT_NONE); }

  private:
    FakeMemory &memory;
  };

private:
  static constexpr size_t kPage = 4096;
  struct Allocation {
    uintptr_t pages;
    size_t inner, size;
  };

  static void protect(uintptr_t pages, size_t size, int access) {
    mprotect(reinterpret_cast<void *>(pages), size, access);
  }
  void protectAll(int access) {
    for (auto &[pointer, allocation] : allocations)
      protect(allocation.pages, allocation.inner, access);
  }

  std::map<gqa::cuda::Pointer, Allocation> allocations;
  size_t bytes = 0;
};

} // namespace fakecuda

#endif // GQA_TEST_UNIT_CUDA_FAKEMEMORY_H
