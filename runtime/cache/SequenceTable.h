#ifndef GQA_RUNTIME_CACHE_SEQUENCETABLE_H
#define GQA_RUNTIME_CACHE_SEQUENCETABLE_H

#include "runtime/cache/LayerStore.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace gqa::cache {

/// Names a sequence; never the name of another one, even after the sequence is gone.
using SequenceId = int64_t;

/// The states of a sequence, one per layer.
using SequenceStates = std::vector<LayerState>;

/// The sequences of a cache by name. Any thread may call any function; a name is looked up without a lock.
class SequenceTable {
public:
  explicit SequenceTable(int64_t maxSequences);

  /// Adds a sequence. Throws gqa::Failure if there are maxSequences already; then `states` is unchanged.
  SequenceId add(SequenceStates &&states);

  /// The states of `id`; throws gqa::Failure (GQA_NOT_FOUND) if there is no such sequence.
  SequenceStates &get(SequenceId id) const;

  /// Takes the sequence out.
  SequenceStates remove(SequenceId id);

  int64_t getNumSequences() const;

private:
  /// Odd generations are alive. A name is generation * 2^32 + slot.
  struct Slot {
    std::atomic<uint32_t> generation{0};
    SequenceStates states;
  };
  Slot &find(SequenceId id) const;

  int64_t maxSequences;
  std::unique_ptr<Slot[]> slots;
  mutable std::mutex mutex; ///< guards freeSlots
  std::vector<int32_t> freeSlots;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_SEQUENCETABLE_H
