#include "runtime/cache/CacheConfig.h"

#include <cmath>
#include <cstdlib>
#include <sys/mman.h>

namespace gqa::cache {

// Extents above these are mistakes. Below them the slots of a sequence and the blocks of a layer fit int32_t, as tables
// and lengths of batches have it, and no product of a config overflows int64_t.
constexpr int64_t kMaxExtent = int64_t(1) << 16;
constexpr int64_t kMaxTokens = int64_t(1) << 30;
constexpr int64_t kMaxSequences = int64_t(1) << 20;
constexpr int64_t kMaxPageSize = 256;
constexpr int64_t kMaxArenaGiB = int64_t(1) << 22;

/// `bytes` bytes. Attention walks over more memory than the TLB knows small pages for: with huge ones, where the kernel
/// gives them on request (transparent_hugepage/enabled: madvise), decoding takes a fifth less time (docs/kv-cache.md).
static void *allocateHuge(int64_t bytes, int64_t alignment) {
  constexpr int64_t kHugePage = int64_t(1) << 21;
  if (bytes < 2 * kHugePage)
    return std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
  int64_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void *memory = std::aligned_alloc(static_cast<size_t>(kHugePage), static_cast<size_t>(rounded));
  if (memory)
    (void)madvise(memory, static_cast<size_t>(rounded), MADV_HUGEPAGE); // a hint: small pages work, too
  return memory;
}

Allocator Allocator::getDefault() {
  return {[](void *, int64_t bytes, int64_t alignment) { return allocateHuge(bytes, alignment); },
          [](void *, void *pointer) { std::free(pointer); }, nullptr};
}

SlotMap LayerConfig::getSlotMap(int64_t pageSize) const {
  return {storage, storage == StorageKind::Contiguous ? capacity : pageSize, capacity, sinks, window, slack};
}

int64_t CacheConfig::getNumBlocks(const LayerConfig &layer) const {
  if (layer.storage == StorageKind::Contiguous)
    return maxSequences;
  int64_t blocks = (maxTokens + maxSequences * (pageSize - 1)) / pageSize;
  SlotMap slots = layer.getSlotMap(pageSize);
  return slots.isRing() ? std::min(blocks, maxSequences * slots.getUsedBlocks(kMaxTokens)) : blocks;
}

namespace {

/// Collects the first complaint about a config.
class Checker {
public:
  void range(const std::string &what, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most)
      complain(what + " must be from " + std::to_string(least) + " to " + std::to_string(most) + ", got " +
               std::to_string(value));
  }

  void type(const std::string &what, ElementType type, int64_t dim) {
    range(what + " type", static_cast<int64_t>(type), 0, kNumElementTypes - 1);
    if (type == ElementType::I4 && dim % 2 != 0)
      complain(what + " dim must be even for i4, got " + std::to_string(dim));
  }

  void scales(const std::string &where, const LayerConfig &layer) {
    if (layer.keyChannelScales.empty() || !message.empty())
      return;
    if (!isQuantised(layer.keyType))
      complain(where + "keys of type " + getName(layer.keyType) + " take no channel scales");
    int64_t expected = layer.numKvHeads * layer.keyDim;
    if (static_cast<int64_t>(layer.keyChannelScales.size()) != expected)
      complain(where + "channel scales must be heads x key dim (" + std::to_string(expected) + "), got " +
               std::to_string(layer.keyChannelScales.size()));
    for (float scale : layer.keyChannelScales)
      if (!std::isfinite(scale) || scale <= 0)
        complain(where + "channel scales must be positive, got " + std::to_string(scale));
  }

  void storage(const std::string &where, const LayerConfig &layer) {
    range(where + "storage", static_cast<int64_t>(layer.storage), 0, 2);
    if (layer.storage == StorageKind::Contiguous)
      range(where + "capacity", layer.capacity, 1, kMaxTokens);
    if (layer.storage == StorageKind::Ring) {
      range(where + "window", layer.window, 1, kMaxTokens);
      range(where + "sinks", layer.sinks, 0, kMaxTokens);
      range(where + "slack", layer.slack, 0, kMaxTokens);
    }
  }

  void size(const std::string &where, const CacheConfig &config, const LayerConfig &layer) {
    if (!message.empty())
      return;
    int64_t blocks = config.getNumBlocks(layer);
    int64_t tokens = layer.getSlotMap(config.pageSize).blockTokens;
    // In double, as the product may overflow.
    double bytes = static_cast<double>(blocks * tokens) * static_cast<double>(layer.numKvHeads) *
                   static_cast<double>(std::max(layer.keyDim, layer.valueDim)) * sizeof(float);
    if (bytes > kMaxArenaGiB * 0x1p30)
      complain(where + "needs up to " + std::to_string(static_cast<int64_t>(bytes / 0x1p30)) +
               " GiB for keys or values, more than " + std::to_string(kMaxArenaGiB));
  }

  void complain(const std::string &text) {
    if (message.empty())
      message = text;
  }

  std::string message;
};

} // namespace

std::string check(const CacheConfig &config) {
  Checker checker;
  checker.range("number of layers", static_cast<int64_t>(config.layers.size()), 1, kMaxExtent);
  checker.range("max sequences", config.maxSequences, 1, kMaxSequences);
  checker.range("page size", config.pageSize, 1, kMaxPageSize);
  if (config.pageSize > 0 && (config.pageSize & (config.pageSize - 1)) != 0)
    checker.complain("page size must be a power of two, got " + std::to_string(config.pageSize));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig &layer = config.layers[i];
    std::string where = "layer " + std::to_string(i) + ": ";
    if (layer.storage != StorageKind::Contiguous)
      checker.range("max tokens", config.maxTokens, 1, kMaxTokens);
    checker.range(where + "K/V heads", layer.numKvHeads, 1, kMaxExtent);
    checker.range(where + "key dim", layer.keyDim, 1, kMaxExtent);
    checker.range(where + "value dim", layer.valueDim, 1, kMaxExtent);
    checker.type(where + "key", layer.keyType, layer.keyDim);
    checker.type(where + "value", layer.valueType, layer.valueDim);
    checker.storage(where, layer);
    checker.scales(where, layer);
    checker.size(where, config, layer);
    if (std::string problem = check(layer.rotary, layer.keyDim); !problem.empty())
      checker.complain(where + problem);
  }
  return checker.message;
}

} // namespace gqa::cache
