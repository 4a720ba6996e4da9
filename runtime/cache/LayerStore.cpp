#include "runtime/cache/LayerStore.h"

#include "runtime/Context.h"
#include "runtime/cache/NarrowFloat.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace gqa::cache {

/// A block that a state must get: entry `index` of its table, new or in place of a shared one.
struct LayerStore::Claim {
  LayerState *state;
  size_t index;
};

static const float *getScalesOrNull(const std::vector<float> &scales) {
  return scales.empty() ? nullptr : scales.data();
}

LayerStore::LayerStore(std::string name, const LayerConfig &config, const CacheConfig &cache,
                       const Allocator &allocator)
    : name(std::move(name)), config(config), slots(config.getSlotMap(cache.pageSize)), rotary(config.rotary),
      pool(static_cast<int32_t>(cache.getNumBlocks(config))),
      keys({config.keyType, pool.getNumBlocks(), config.numKvHeads, slots.blockTokens, config.keyDim},
           getScalesOrNull(config.keyChannelScales), allocator),
      values({config.valueType, pool.getNumBlocks(), config.numKvHeads, slots.blockTokens, config.valueDim}, nullptr,
             allocator) {}

/// The table entries that `count` more tokens of `state` are written to, ascending.
static std::vector<size_t> findTouchedEntries(const SlotMap &slots, const LayerState &state, int64_t count) {
  std::vector<size_t> entries;
  int64_t end = state.length + count;
  for (int64_t position = state.length; position < end;) {
    position = slots.getFirstKept(position, end);
    int64_t slot = slots.getSlot(position);
    entries.push_back(static_cast<size_t>(slot / slots.blockTokens));
    // On to the next block, or to where the slots go on elsewhere.
    int64_t step = slots.blockTokens - slot % slots.blockTokens;
    if (slots.isRing() && position < slots.sinks)
      step = std::min(step, slots.sinks - position);
    else if (slots.isRing())
      step = std::min(step, slots.sinks + slots.getRingSlots() - slot);
    position += step;
  }
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  return entries;
}

void LayerStore::checkFits(const LayerState &state, int64_t count) const {
  std::string wish = name + ": a sequence of " + std::to_string(state.length) + " tokens and " + std::to_string(count) +
                     " more exceed ";
  int64_t most = slots.kind == StorageKind::Contiguous ? slots.capacity : kMaxLength;
  if (count > most - state.length)
    fail(GQA_OUT_OF_MEMORY, wish + "the capacity of " + std::to_string(most));
  int64_t blocks = slots.getUsedBlocks(state.length + count);
  if (blocks > pool.getNumBlocks())
    fail(GQA_OUT_OF_MEMORY, wish + "the memory: they need " + std::to_string(blocks) + " blocks, but there are " +
                                std::to_string(pool.getNumBlocks()));
}

std::vector<LayerStore::Claim> LayerStore::plan(const std::vector<Growth> &growths) const {
  std::vector<Claim> claims;
  std::map<int32_t, int32_t> sharers; // of a shared block, among these states
  auto mustCopy = [&](int32_t block) {
    int32_t references = pool.getReferences(block);
    // If all that share a block are about to write it, the last one may keep it.
    return references > 1 && ++sharers[block] < references;
  };
  for (const Growth &growth : growths) {
    LayerState &state = *growth.state;
    checkFits(state, growth.count);
    for (size_t index : findTouchedEntries(slots, state, growth.count))
      if (index >= state.table.size() || mustCopy(state.table[index]))
        claims.push_back({&state, index});
  }
  return claims;
}

/// Nothing refers to the copies yet, so that it may fail.
void LayerStore::copyShared(const std::vector<Claim> &claims, const std::vector<int32_t> &blocks, BlockDevice *device) {
  for (size_t i = 0; i < claims.size(); ++i) {
    const std::vector<int32_t> &table = claims[i].state->table;
    if (claims[i].index >= table.size())
      continue;
    for (BlockArena *arena : {&keys, &values})
      arena->copyBlock(table[claims[i].index], blocks[i], device);
  }
}

void LayerStore::fulfil(const std::vector<Claim> &claims, const std::vector<int32_t> &blocks) noexcept {
  for (size_t i = 0; i < claims.size(); ++i) {
    std::vector<int32_t> &table = claims[i].state->table;
    if (claims[i].index == table.size()) {
      table.push_back(blocks[i]); // has the capacity
      continue;
    }
    int32_t &entry = table[claims[i].index];
    pool.release(entry);
    entry = blocks[i];
  }
}

void LayerStore::reserve(const std::vector<Growth> &growths, BlockDevice *device) {
  std::vector<Claim> claims = plan(growths);
  if (claims.empty())
    return;
  std::vector<int32_t> blocks(claims.size());
  for (const Claim &claim : claims) {
    std::vector<int32_t> &table = claim.state->table;
    if (claim.index >= table.capacity())
      table.reserve(std::max(claim.index + 1, std::min(2 * table.capacity(), size_t(pool.getNumBlocks()))));
  }
  if (!pool.tryAcquire(blocks.data(), blocks.size()))
    fail(GQA_OUT_OF_MEMORY, name + ": " + std::to_string(blocks.size()) + " blocks are needed, but " +
                                std::to_string(pool.getNumFree()) + " of " + std::to_string(pool.getNumBlocks()) +
                                " are free");
  try {
    copyShared(claims, blocks, device);
  } catch (...) {
    for (int32_t block : blocks)
      pool.release(block);
    throw;
  }
  fulfil(claims, blocks);
}

/// Row (token, head) of `source` as floats.
static void load(const TokenRows &source, int64_t token, int64_t head, int64_t dim, float *row) {
  int64_t offset = token * source.tokenStride + head * source.headStride;
  switch (source.type) {
  case ElementType::F16:
    for (int64_t d = 0; d < dim; ++d)
      row[d] = fromHalf(static_cast<const uint16_t *>(source.data)[offset + d]);
    return;
  case ElementType::BF16:
    for (int64_t d = 0; d < dim; ++d)
      row[d] = fromBFloat(static_cast<const uint16_t *>(source.data)[offset + d]);
    return;
  default:
    std::memcpy(row, static_cast<const float *>(source.data) + offset, static_cast<size_t>(dim) * sizeof(float));
  }
}

void LayerStore::write(const LayerState &state, int64_t position, const TokenRows &source, int64_t token, bool isKey,
                       const float *turns, float *scratch) {
  BlockArena &arena = isKey ? keys : values;
  bool isRotated = isKey && rotary.isActive();
  bool isCopy = source.type == arena.getShape().type && !isRotated;
  for (int64_t head = 0; head < config.numKvHeads; ++head) {
    BlockArena::Row row = locate(state, position, head);
    if (isCopy) {
      int64_t offset = token * source.tokenStride + head * source.headStride;
      const auto *bytes = static_cast<const uint8_t *>(source.data) + offset * getBits(source.type) / 8;
      std::memcpy(arena.getRow(row), bytes, static_cast<size_t>(arena.getRowBytes()));
      continue;
    }
    load(source, token, head, arena.getShape().dim, scratch);
    if (isRotated)
      rotary.apply(turns, scratch);
    arena.encode(row, scratch);
  }
}

struct LayerStore::Scratch {
  explicit Scratch(const LayerConfig &config)
      : turns(static_cast<size_t>(config.rotary.dim)),
        row(static_cast<size_t>(std::max(config.keyDim, config.valueDim))) {}
  std::vector<float> turns, row;
};

void LayerStore::appendOnHost(const Growth &growth, int64_t first, const TokenRows &keyRows, const TokenRows &valueRows,
                              Scratch &scratch) {
  const LayerState &state = *growth.state;
  int64_t begin = state.length, end = begin + growth.count;
  for (int64_t position = begin; position < end; ++position) {
    position = slots.getFirstKept(position, end);
    if (rotary.isActive())
      rotary.computeTurns(position, scratch.turns.data());
    int64_t token = first + position - begin;
    write(state, position, keyRows, token, /*isKey=*/true, scratch.turns.data(), scratch.row.data());
    write(state, position, valueRows, token, /*isKey=*/false, scratch.turns.data(), scratch.row.data());
  }
}

/// The rows that appendOnHost() writes, as runs.
void LayerStore::addRuns(const Growth &growth, int64_t first, std::vector<RowRun> &runs) const {
  const LayerState &state = *growth.state;
  int64_t begin = state.length, end = begin + growth.count;
  for (int64_t position = begin; position < end; ++position) {
    position = slots.getFirstKept(position, end);
    BlockArena::Row row = locate(state, position, /*head=*/0);
    RowRun next = {position, static_cast<int32_t>(first + position - begin), 1, row.block,
                   static_cast<int32_t>(row.token)};
    if (!runs.empty()) {
      RowRun &last = runs.back();
      if (last.block == next.block && last.slot + last.count == next.slot && last.token + last.count == next.token &&
          last.position + last.count == next.position) {
        ++last.count;
        continue;
      }
    }
    runs.push_back(next);
  }
}

void LayerStore::append(const std::vector<Growth> &growths, const TokenRows &keyRows, const TokenRows &valueRows,
                        BlockDevice *device) {
  Scratch scratch(config);
  reserve(growths, device);
  std::vector<RowRun> runs;
  int64_t first = 0; // the sequence's first token in the rows
  for (const Growth &growth : growths) {
    if (device)
      addRuns(growth, first, runs);
    else
      appendOnHost(growth, first, keyRows, valueRows, scratch);
    first += growth.count;
  }
  if (device && !runs.empty()) {
    device->append(*this, keys, runs, keyRows);
    device->append(*this, values, runs, valueRows);
  }
  for (const Growth &growth : growths) {
    LayerState &state = *growth.state;
    int64_t end = state.length + growth.count;
    adopt(state, end, std::max(state.oldest, slots.getOldest(end)));
  }
}

void LayerStore::adopt(LayerState &state, int64_t length, int64_t oldest) noexcept {
  state.length = length;
  state.oldest = oldest;
}

void LayerStore::truncate(LayerState &state, int64_t length) noexcept {
  state.length = length;
  // A ring without a token has lost none.
  if (length <= slots.sinks)
    state.oldest = slots.getOldest(length);
  trim(state, 0);
}

void LayerStore::trim(LayerState &state, size_t numBlocks) noexcept {
  numBlocks = std::max(numBlocks, static_cast<size_t>(slots.getUsedBlocks(state.length)));
  while (state.table.size() > numBlocks) {
    pool.release(state.table.back());
    state.table.pop_back();
  }
}

void LayerStore::share(const LayerState &from, int64_t length, LayerState &to) {
  auto end = from.table.begin() + slots.getUsedBlocks(length);
  to.table.assign(from.table.begin(), end);
  for (int32_t block : to.table)
    pool.retain(block);
  adopt(to, length, length <= slots.sinks ? slots.getOldest(length) : from.oldest);
}

bool LayerStore::isStored(const LayerState &state, int64_t position) const {
  return position >= 0 && position < state.length && (position < slots.sinks || position >= state.oldest);
}

BlockArena::Row LayerStore::locate(const LayerState &state, int64_t position, int64_t head) const {
  int64_t slot = slots.getSlot(position);
  return {state.table[static_cast<size_t>(slot / slots.blockTokens)], head, slot % slots.blockTokens};
}

} // namespace gqa::cache
