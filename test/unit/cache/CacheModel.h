#ifndef GQA_TEST_UNIT_CACHE_CACHEMODEL_H
#define GQA_TEST_UNIT_CACHE_CACHEMODEL_H

#include "runtime/Context.h"
#include "runtime/cache/KVCache.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gqa::test {

using cache::ElementType;
using cache::KVCache;
using cache::LayerConfig;
using cache::SequenceId;
using cache::StorageKind;

/// Element `d` of the key or value of head `head` of token `token`: anything in [-1, 1], different for all of them.
inline float makeElement(uint64_t token, int64_t layer, int64_t head, bool isKey, int64_t d) {
  uint64_t x = token * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(((layer * 64 + head) * 2 + isKey) * 4096 + d + 1);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return static_cast<float>(x >> 40) / 0x1p23f - 1.0f;
}

/// How far a stored element of a row with elements in [-1, 1] may be from what was appended.
inline float getTolerance(ElementType type) {
  switch (type) {
  case ElementType::F32:
    return 0;
  case ElementType::F16:
    return 0x1p-12f;
  case ElementType::BF16:
    return 0x1p-9f;
  case ElementType::I8:
    return 0.51f / 127;
  case ElementType::F8E4M3:
    return 0.51f / 8;
  case ElementType::I4:
    return 0.51f / 7;
  }
  return 0;
}

/// Rows [tokens][heads][dim] in f32 for the tokens of a list.
inline std::vector<float> makeRows(const std::vector<uint64_t> &tokens, int64_t layer, const LayerConfig &config,
                                   bool isKey) {
  std::vector<float> rows;
  for (uint64_t token : tokens)
    for (int64_t head = 0; head < config.numKvHeads; ++head)
      for (int64_t d = 0; d < (isKey ? config.keyDim : config.valueDim); ++d)
        rows.push_back(makeElement(token, layer, head, isKey, d));
  return rows;
}

inline cache::TokenRows describeRows(const std::vector<float> &rows, int64_t heads, int64_t dim) {
  return {rows.data(), ElementType::F32, heads * dim, dim};
}

/// Appends tokens to some sequences in one layer; `tokens` are those of all, one after another.
inline void append(KVCache &cache, int64_t layer, const std::vector<SequenceId> &ids,
                   const std::vector<int64_t> &counts, const std::vector<uint64_t> &tokens) {
  const LayerConfig &config = cache.getConfig().layers[static_cast<size_t>(layer)];
  std::vector<float> keys = makeRows(tokens, layer, config, /*isKey=*/true);
  std::vector<float> values = makeRows(tokens, layer, config, /*isKey=*/false);
  cache.append(layer, ids.data(), counts.data(), static_cast<int64_t>(ids.size()),
               describeRows(keys, config.numKvHeads, config.keyDim),
               describeRows(values, config.numKvHeads, config.valueDim));
}

/// Expects that position `position` holds `token`, in all heads.
inline void expectToken(const KVCache &cache, int64_t layer, SequenceId id, int64_t position, uint64_t token) {
  const cache::LayerStore &store = cache.getLayer(layer);
  const cache::LayerState &state = cache.getState(id, layer);
  for (bool isKey : {true, false}) {
    const cache::BlockArena &arena = isKey ? store.getKeys() : store.getValues();
    const cache::BlockArena::Shape &shape = arena.getShape();
    float row[256];
    for (int64_t head = 0; head < shape.heads; ++head) {
      arena.decode(store.locate(state, position, head), row);
      for (int64_t d = 0; d < shape.dim; ++d) {
        float wanted = makeElement(token, layer, head, isKey, d);
        if (!(std::fabs(row[d] - wanted) <= getTolerance(shape.type)))
          FAIL() << "layer " << layer << ", position " << position << ", head " << head << ", "
                 << (isKey ? "key" : "value") << " element " << d << ": " << row[d] << " instead of " << wanted;
      }
    }
  }
}

/// The cache as its user thinks of it: a list of tokens per sequence and layer, some of which a ring has dropped.
struct LayerModel {
  explicit LayerModel(const LayerConfig &config) : config(config) {}

  void append(const std::vector<uint64_t> &more) {
    for (uint64_t token : more) {
      tokens.push_back(token);
      isKept.push_back(true);
      int64_t dropped = getLength() - 1 - config.window - config.slack;
      if (config.storage == StorageKind::Ring && dropped >= config.sinks)
        isKept[static_cast<size_t>(dropped)] = false;
    }
  }

  /// Whether all that attention of a sequence of `length` tokens sees is there.
  bool canTruncate(int64_t length) const {
    if (config.storage == StorageKind::Ring)
      for (int64_t position = std::max(config.sinks, length - config.window); position < length; ++position)
        if (!isKept[static_cast<size_t>(position)])
          return false;
    return true;
  }

  void truncate(int64_t length) {
    tokens.resize(static_cast<size_t>(length));
    isKept.resize(static_cast<size_t>(length));
  }

  int64_t getLength() const { return static_cast<int64_t>(tokens.size()); }

  /// Expects that sequence `id` holds these tokens, and at least those that attention sees.
  void expect(const KVCache &cache, int64_t layer, SequenceId id) const {
    const cache::LayerState &state = cache.getState(id, layer);
    ASSERT_EQ(state.length, getLength());
    for (int64_t position = 0; position < getLength(); ++position) {
      bool isSeen =
          config.storage != StorageKind::Ring || position < config.sinks || position >= getLength() - config.window;
      bool isStored = cache.getLayer(layer).isStored(state, position);
      ASSERT_TRUE(isStored || !isSeen) << "layer " << layer << ", position " << position << " of " << getLength();
      if (isStored)
        ASSERT_NO_FATAL_FAILURE(expectToken(cache, layer, id, position, tokens[static_cast<size_t>(position)]));
    }
  }

  const LayerConfig &config;
  std::vector<uint64_t> tokens;
  std::vector<bool> isKept;
};

/// What `body` throws as gqa::Failure: its status and message; GQA_OK if nothing.
template <typename Body> Failure catchFailure(Body body) {
  try {
    body();
  } catch (Failure &failure) {
    return std::move(failure); // a copy might run out of memory
  } catch (const std::bad_alloc &) {
    return {GQA_OUT_OF_MEMORY, "bad_alloc"};
  }
  return {GQA_OK, ""};
}

inline LayerConfig makeLayer(StorageKind storage, ElementType keyType, ElementType valueType, int64_t heads,
                             int64_t keyDim, int64_t valueDim) {
  LayerConfig layer;
  layer.storage = storage;
  layer.keyType = keyType;
  layer.valueType = valueType;
  layer.numKvHeads = heads;
  layer.keyDim = keyDim;
  layer.valueDim = valueDim;
  return layer;
}

} // namespace gqa::test

#endif // GQA_TEST_UNIT_CACHE_CACHEMODEL_H
