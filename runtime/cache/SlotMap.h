#ifndef GQA_RUNTIME_CACHE_SLOTMAP_H
#define GQA_RUNTIME_CACHE_SLOTMAP_H

#include <algorithm>
#include <cstdint>

namespace gqa::cache {

/// Most tokens of a sequence, ring or not: no sum of two such lengths overflows.
constexpr int64_t kMaxLength = int64_t(1) << 48;

/// How a layer stores the tokens of a sequence. The numbers are those of gqa_cache_storage and of saved files.
enum class StorageKind : int32_t { Contiguous = 0, Paged = 1, Ring = 2 };

/// Where token p of a sequence lies: its slot. Slot s is row s % blockTokens of entry s / blockTokens of the sequence's
/// block table. This is all that the storage kinds differ in:
///
///     contiguous   slot p; blockTokens is the capacity, so the table has one entry
///     paged        slot p
///     ring         slot p for the first `sinks` tokens, then sinks + (p - sinks) % ringSlots
///
/// A ring has window + slack slots beside the sinks: the window ends at any of the last slack + 1 tokens, so up to
/// slack + 1 tokens can be appended before they attend, and up to slack tokens can be taken back.
struct SlotMap {
  StorageKind kind;
  int64_t blockTokens; ///< tokens per block
  int64_t capacity;    ///< contiguous: most tokens of a sequence
  int64_t sinks;       ///< ring: first tokens that are never overwritten
  int64_t window;      ///< ring: last tokens that attention may need
  int64_t slack;       ///< ring: see above

  bool isRing() const { return kind == StorageKind::Ring; }
  int64_t getRingSlots() const { return window + slack; }

  /// The slot of `position`.
  int64_t getSlot(int64_t position) const {
    if (!isRing() || position < sinks)
      return position;
    return sinks + (position - sinks) % getRingSlots();
  }

  /// Slots in use by a sequence of `length` tokens; they are the first ones.
  int64_t getUsedSlots(int64_t length) const { return isRing() ? std::min(length, sinks + getRingSlots()) : length; }

  /// Blocks in use by a sequence of `length` tokens; they are the first ones of its table.
  int64_t getUsedBlocks(int64_t length) const { return (getUsedSlots(length) + blockTokens - 1) / blockTokens; }

  /// The first position from which on all are still stored once `length` tokens have been written (beside the sinks).
  int64_t getOldest(int64_t length) const { return isRing() ? std::max(sinks, length - getRingSlots()) : 0; }

  /// The first position at or after `begin` that keeps its slot when all before `end` are written.
  int64_t getFirstKept(int64_t begin, int64_t end) const {
    return begin < sinks ? begin : std::max(begin, getOldest(end));
  }

  /// Whether attention of a sequence cut to `length` tokens finds all that it needs, if all from `oldest` on is stored.
  bool canTruncate(int64_t length, int64_t oldest) const {
    return !isRing() || length <= sinks || oldest <= std::max(sinks, length - window);
  }
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_SLOTMAP_H
