#include "runtime/cache/SequenceTable.h"

#include "runtime/Context.h"

namespace gqa::cache {

SequenceTable::SequenceTable(int64_t maxSequences)
    : maxSequences(maxSequences), slots(new Slot[static_cast<size_t>(maxSequences)]) {
  freeSlots.reserve(static_cast<size_t>(maxSequences));
  for (int64_t slot = maxSequences; slot > 0; --slot)
    freeSlots.push_back(static_cast<int32_t>(slot - 1));
}

SequenceId SequenceTable::add(SequenceStates &&states) {
  std::lock_guard<std::mutex> lock(mutex);
  if (freeSlots.empty())
    fail(GQA_OUT_OF_MEMORY, "there are " + std::to_string(maxSequences) + " sequences, as many as the cache takes");
  int32_t index = freeSlots.back();
  freeSlots.pop_back();
  Slot &slot = slots[static_cast<size_t>(index)];
  slot.states = std::move(states);
  // 31 bits, so that names are positive.
  uint32_t generation = (slot.generation.load(std::memory_order_relaxed) + 1) & 0x7fffffffu;
  slot.generation.store(generation, std::memory_order_release);
  return static_cast<SequenceId>(generation) << 32 | index;
}

SequenceTable::Slot &SequenceTable::find(SequenceId id) const {
  int64_t index = id & 0xffffffff;
  int64_t generation = id >> 32;
  if (id < 0 || index >= maxSequences || generation % 2 == 0 ||
      slots[static_cast<size_t>(index)].generation.load(std::memory_order_acquire) != generation)
    fail(GQA_NOT_FOUND, "there is no sequence " + std::to_string(id));
  return slots[static_cast<size_t>(index)];
}

SequenceStates &SequenceTable::get(SequenceId id) const { return find(id).states; }

SequenceStates SequenceTable::remove(SequenceId id) {
  Slot &slot = find(id);
  SequenceStates states = std::move(slot.states);
  slot.states.clear();
  slot.generation.store((slot.generation.load(std::memory_order_relaxed) + 1) & 0x7fffffffu, std::memory_order_release);
  std::lock_guard<std::mutex> lock(mutex);
  freeSlots.push_back(static_cast<int32_t>(id & 0xffffffff));
  return states;
}

int64_t SequenceTable::getNumSequences() const {
  std::lock_guard<std::mutex> lock(mutex);
  return maxSequences - static_cast<int64_t>(freeSlots.size());
}

} // namespace gqa::cache
