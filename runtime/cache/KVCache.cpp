#include "runtime/cache/KVCache.h"

#include "runtime/Context.h"

#include <algorithm>

namespace gqa::cache {

static CacheConfig checked(CacheConfig config) {
  if (std::string problem = check(config); !problem.empty())
    fail(GQA_INVALID_ARGUMENT, problem);
  return config;
}

KVCache::KVCache(CacheConfig wanted, const Allocator &allocator)
    : config(checked(std::move(wanted))), sequences(config.maxSequences) {
  for (const LayerConfig &layer : config.layers)
    layers.push_back(std::make_unique<LayerStore>("layer " + std::to_string(layers.size()), layer, config, allocator));
}

const LayerStore &KVCache::getLayer(int64_t layer) const {
  if (layer < 0 || layer >= getNumLayers())
    fail(GQA_INVALID_ARGUMENT,
         "layer must be less than " + std::to_string(getNumLayers()) + ", got " + std::to_string(layer));
  return *layers[static_cast<size_t>(layer)];
}

LayerStore &KVCache::getLayer(int64_t layer) {
  return const_cast<LayerStore &>(static_cast<const KVCache *>(this)->getLayer(layer));
}

const LayerState &KVCache::getState(SequenceId id, int64_t layer) const {
  getLayer(layer);
  return sequences.get(id)[static_cast<size_t>(layer)];
}

SequenceId KVCache::add() { return sequences.add(SequenceStates(layers.size())); }

void KVCache::checkTruncate(const SequenceStates &states, int64_t length) const {
  if (length < 0)
    fail(GQA_INVALID_ARGUMENT, "length must not be negative, got " + std::to_string(length));
  int64_t longest = 0;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    int64_t kept = std::min(length, states[layer].length);
    longest = std::max(longest, states[layer].length);
    if (!layers[layer]->canTruncate(states[layer], kept))
      fail(GQA_INVALID_ARGUMENT, "layer " + std::to_string(layer) + ": the window of a sequence of " +
                                     std::to_string(kept) + " tokens begins before token " +
                                     std::to_string(states[layer].oldest) + ", the oldest in the ring");
  }
  if (length > longest)
    fail(GQA_INVALID_ARGUMENT,
         "length must be at most the sequence's (" + std::to_string(longest) + "), got " + std::to_string(length));
}

SequenceId KVCache::fork(SequenceId source, int64_t length) {
  const SequenceStates &from = sequences.get(source);
  checkTruncate(from, length);
  SequenceStates states(layers.size());
  try {
    for (size_t layer = 0; layer < layers.size(); ++layer)
      layers[layer]->share(from[layer], std::min(length, from[layer].length), states[layer]);
    return sequences.add(std::move(states));
  } catch (...) {
    release(states);
    throw;
  }
}

void KVCache::release(SequenceStates &states) noexcept {
  for (size_t layer = 0; layer < states.size(); ++layer)
    layers[layer]->truncate(states[layer], 0);
}

void KVCache::remove(SequenceId id) {
  // Blocks go back before the place does, so that a cache with a block for each sequence has it for the next one.
  release(sequences.get(id));
  sequences.remove(id);
}

void KVCache::truncate(SequenceId id, int64_t length) {
  SequenceStates &states = sequences.get(id);
  checkTruncate(states, length);
  for (size_t layer = 0; layer < layers.size(); ++layer)
    layers[layer]->truncate(states[layer], std::min(length, states[layer].length));
}

std::vector<Growth> KVCache::makeGrowths(int64_t layer, const SequenceId *ids, const int64_t *counts,
                                         int64_t numSequences) const {
  std::vector<SequenceId> sorted(ids, ids + numSequences);
  std::sort(sorted.begin(), sorted.end());
  auto twin = std::adjacent_find(sorted.begin(), sorted.end());
  if (twin != sorted.end())
    fail(GQA_INVALID_ARGUMENT, "sequence " + std::to_string(*twin) + " is listed twice");
  std::vector<Growth> growths;
  for (int64_t i = 0; i < numSequences; ++i) {
    if (counts[i] < 0)
      fail(GQA_INVALID_ARGUMENT,
           "count " + std::to_string(i) + " must not be negative, got " + std::to_string(counts[i]));
    growths.push_back({&sequences.get(ids[i])[static_cast<size_t>(layer)], counts[i]});
  }
  return growths;
}

void KVCache::reserve(const SequenceId *ids, const int64_t *counts, int64_t numSequences, BlockDevice *device) {
  std::vector<std::vector<Growth>> growths;
  std::vector<std::vector<size_t>> sizes; // of the tables before
  for (int64_t layer = 0; layer < getNumLayers(); ++layer) {
    growths.push_back(makeGrowths(layer, ids, counts, numSequences));
    sizes.emplace_back();
    for (const Growth &growth : growths.back())
      sizes.back().push_back(growth.state->table.size());
  }
  size_t done = 0;
  try {
    for (; done < layers.size(); ++done)
      layers[done]->reserve(growths[done], device);
  } catch (...) {
    for (size_t layer = 0; layer < done; ++layer)
      for (size_t i = 0; i < growths[layer].size(); ++i)
        layers[layer]->trim(*growths[layer][i].state, sizes[layer][i]);
    throw;
  }
}

void KVCache::append(int64_t layer, const SequenceId *ids, const int64_t *counts, int64_t numSequences,
                     const TokenRows &keys, const TokenRows &values, BlockDevice *device) {
  LayerStore &store = getLayer(layer);
  store.append(makeGrowths(layer, ids, counts, numSequences), keys, values, device);
}

SequenceStates KVCache::allocateStates(const std::vector<int64_t> &lengths) {
  SequenceStates states(layers.size());
  try {
    for (size_t layer = 0; layer < layers.size(); ++layer)
      layers[layer]->reserve({{&states[layer], lengths[layer]}});
  } catch (...) {
    release(states);
    throw;
  }
  return states;
}

SequenceId KVCache::addStates(SequenceStates &&states) { return sequences.add(std::move(states)); }

int64_t KVCache::getBytes() const {
  int64_t bytes = 0;
  for (const std::unique_ptr<LayerStore> &layer : layers)
    bytes += layer->getKeys().getBytes() + layer->getValues().getBytes();
  return bytes;
}

} // namespace gqa::cache
