#include "CacheModel.h"
#include "runtime/cache/NarrowFloat.h"

#include <cstring>
#include <numeric>

namespace gqa::test {
namespace {

using cache::Allocator;
using cache::CacheConfig;

CacheConfig makePaged(int64_t pageSize, int64_t maxSequences, int64_t maxTokens) {
  CacheConfig config;
  config.pageSize = pageSize;
  config.maxSequences = maxSequences;
  config.maxTokens = maxTokens;
  config.layers.push_back(makeLayer(StorageKind::Paged, ElementType::F32, ElementType::F32, 2, 4, 3));
  return config;
}

CacheConfig makeRing(int64_t window, int64_t sinks, int64_t slack) {
  CacheConfig config = makePaged(4, 2, 1000);
  config.layers[0].storage = StorageKind::Ring;
  config.layers[0].window = window;
  config.layers[0].sinks = sinks;
  config.layers[0].slack = slack;
  return config;
}

KVCache makeCache(const CacheConfig &config) { return KVCache(config, Allocator::getDefault()); }

int32_t countUsed(const KVCache &cache, int64_t layer = 0) {
  const cache::BlockPool &pool = cache.getLayer(layer).getPool();
  return pool.getNumBlocks() - pool.getNumFree();
}

std::vector<uint64_t> makeTokens(int64_t count, uint64_t first = 1) {
  std::vector<uint64_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

void expectTokens(const KVCache &cache, SequenceId id, const std::vector<uint64_t> &tokens, int64_t layer = 0) {
  ASSERT_EQ(cache.getState(id, layer).length, static_cast<int64_t>(tokens.size()));
  for (size_t position = 0; position < tokens.size(); ++position)
    ASSERT_NO_FATAL_FAILURE(expectToken(cache, layer, id, static_cast<int64_t>(position), tokens[position]));
}

TEST(KVCache, RaggedBatchesGoToTheirSequences) {
  KVCache cache = makeCache(makePaged(4, 3, 40));
  SequenceId a = cache.add(), b = cache.add(), c = cache.add();
  append(cache, 0, {b, a, c}, {5, 2, 0}, {50, 51, 52, 53, 54, 10, 11});
  append(cache, 0, {a, b}, {1, 1}, {12, 55});
  expectTokens(cache, a, {10, 11, 12});
  expectTokens(cache, b, {50, 51, 52, 53, 54, 55});
  expectTokens(cache, c, {});
  EXPECT_EQ(countUsed(cache), 3);
}

TEST(KVCache, EveryTypeAndStorageKeepsEveryToken) {
  for (StorageKind storage : {StorageKind::Contiguous, StorageKind::Paged, StorageKind::Ring}) {
    for (int32_t type = 0; type < cache::kNumElementTypes; ++type) {
      CacheConfig config = makePaged(8, 1, 30);
      // Another type, head count and dims in the second layer, keys and values swapped.
      ElementType types[] = {static_cast<ElementType>(type), static_cast<ElementType>((type + 2) % 6)};
      config.layers = {makeLayer(storage, types[0], types[1], 3, 6, 4),
                       makeLayer(storage, types[1], types[0], 2, 4, 8)};
      for (LayerConfig &layer : config.layers)
        layer.capacity = layer.window = 30;
      KVCache cache = makeCache(config);
      SequenceId id = cache.add();
      for (int64_t layer : {0, 1}) {
        append(cache, layer, {id}, {11}, makeTokens(11));
        append(cache, layer, {id}, {19}, makeTokens(19, 12));
        expectTokens(cache, id, makeTokens(30), layer);
      }
    }
  }
}

TEST(KVCache, HalfRowsOfTheSameTypeKeepTheirBits) {
  CacheConfig config = makePaged(2, 1, 4);
  config.layers = {makeLayer(StorageKind::Paged, ElementType::F16, ElementType::BF16, 1, 2, 2)};
  KVCache cache = makeCache(config);
  SequenceId id = cache.add();
  const uint16_t keys[] = {0x3c01, 0x7c01}; // the second is a signalling NaN
  const uint16_t values[] = {0x3f81, 0x7f81};
  const int64_t one = 1;
  cache.append(0, &id, &one, 1, {keys, ElementType::F16, 2, 2}, {values, ElementType::BF16, 2, 2});
  const cache::LayerStore &layer = cache.getLayer(0);
  cache::BlockArena::Row row = layer.locate(cache.getState(id, 0), 0, 0);
  EXPECT_EQ(std::memcmp(layer.getKeys().getRow(row), keys, sizeof(keys)), 0);
  EXPECT_EQ(std::memcmp(layer.getValues().getRow(row), values, sizeof(values)), 0);
}

TEST(KVCache, StridesAndHalfInputsAreFollowed) {
  KVCache cache = makeCache(makePaged(2, 1, 4));
  SequenceId id = cache.add();
  std::vector<uint16_t> keys(100);
  for (size_t i = 0; i < keys.size(); ++i)
    keys[i] = cache::toHalf(static_cast<float>(i));
  std::vector<float> values(100, 0.5f);
  const int64_t two = 2;
  cache.append(0, &id, &two, 1, {keys.data(), ElementType::F16, 50, 10}, {values.data(), ElementType::F32, 6, 3});
  float row[4];
  const cache::LayerStore &layer = cache.getLayer(0);
  layer.getKeys().decode(layer.locate(cache.getState(id, 0), 1, 1), row);
  EXPECT_EQ(std::vector<float>(row, row + 4), (std::vector<float>{60, 61, 62, 63}));
}

TEST(KVCache, KeysAreRotatedToTheirPosition) {
  CacheConfig config = makePaged(4, 1, 20);
  config.layers[0].rotary.dim = 4;
  KVCache cache = makeCache(config);
  SequenceId id = cache.add();
  append(cache, 0, {id}, {3}, makeTokens(3));
  append(cache, 0, {id}, {4}, makeTokens(4, 4));
  cache::Rotary rotary(config.layers[0].rotary);
  const cache::LayerStore &layer = cache.getLayer(0);
  for (int64_t position = 0; position < 7; ++position) {
    float turns[4], wanted[4], row[4];
    for (int64_t d = 0; d < 4; ++d)
      wanted[d] = makeElement(static_cast<uint64_t>(position) + 1, 0, 1, /*isKey=*/true, d);
    rotary.computeTurns(position, turns);
    rotary.apply(turns, wanted);
    layer.getKeys().decode(layer.locate(cache.getState(id, 0), position, 1), row);
    EXPECT_EQ(std::vector<float>(row, row + 4), std::vector<float>(wanted, wanted + 4));
    layer.getValues().decode(layer.locate(cache.getState(id, 0), position, 1), row);
    EXPECT_EQ(row[0], makeElement(static_cast<uint64_t>(position) + 1, 0, 1, /*isKey=*/false, 0));
  }
}

TEST(KVCache, ChannelScalesBelongToHeads) {
  CacheConfig config = makePaged(4, 1, 4);
  config.layers = {makeLayer(StorageKind::Paged, ElementType::I8, ElementType::I8, 2, 2, 2)};
  config.layers[0].keyChannelScales = {1.0f, 0.5f, 2.0f, 0.25f};
  KVCache cache = makeCache(config);
  SequenceId id = cache.add();
  std::vector<float> rows = {3.4f, 3.4f, 3.4f, 3.4f};
  const int64_t one = 1;
  cache.append(0, &id, &one, 1, describeRows(rows, 2, 2), describeRows(rows, 2, 2));
  const cache::BlockArena &keys = cache.getLayer(0).getKeys();
  EXPECT_FALSE(keys.hasTokenScales());
  float row[2];
  keys.decode({0, 0, 0}, row);
  EXPECT_EQ(std::vector<float>(row, row + 2), (std::vector<float>{3.0f, 3.5f}));
  keys.decode({0, 1, 0}, row);
  EXPECT_EQ(std::vector<float>(row, row + 2), (std::vector<float>{4.0f, 3.5f}));
}

//===--- Sharing ------------------------------------------------------------------------------------------------===//

TEST(KVCache, APrefixIsStoredOnce) {
  KVCache cache = makeCache(makePaged(4, 6, 60));
  SequenceId prefix = cache.add();
  append(cache, 0, {prefix}, {10}, makeTokens(10));
  EXPECT_EQ(countUsed(cache), 3);
  std::vector<SequenceId> forks;
  for (int i = 0; i < 4; ++i)
    forks.push_back(cache.fork(prefix, 8));
  EXPECT_EQ(countUsed(cache), 3);
  for (SequenceId id : forks)
    append(cache, 0, {id}, {1}, {100 + static_cast<uint64_t>(id)});
  EXPECT_EQ(countUsed(cache), 3 + 4) << "forks at the end of a page need no copy";
  cache.remove(prefix);
  EXPECT_EQ(countUsed(cache), 2 + 4) << "only the page that nobody else has is free";
  for (SequenceId id : forks) {
    std::vector<uint64_t> tokens = makeTokens(8);
    tokens.push_back(100 + static_cast<uint64_t>(id));
    expectTokens(cache, id, tokens);
    cache.remove(id);
  }
  EXPECT_EQ(countUsed(cache), 0);
}

TEST(KVCache, WhoWritesASharedPageGetsACopy) {
  for (StorageKind storage : {StorageKind::Paged, StorageKind::Contiguous}) {
    CacheConfig config = makePaged(4, 2, 30);
    config.layers[0].storage = storage;
    config.layers[0].capacity = 15;
    KVCache cache = makeCache(config);
    SequenceId a = cache.add();
    append(cache, 0, {a}, {6}, makeTokens(6));
    SequenceId b = cache.fork(a, 5);
    append(cache, 0, {a, b}, {1, 1}, {70, 60});
    expectTokens(cache, a, {1, 2, 3, 4, 5, 6, 70});
    expectTokens(cache, b, {1, 2, 3, 4, 5, 60});
    EXPECT_EQ(countUsed(cache), storage == StorageKind::Paged ? 3 : 2) << "the last one keeps the page";
  }
}

TEST(KVCache, TruncatedTokensGiveTheirPagesBack) {
  KVCache cache = makeCache(makePaged(4, 1, 20));
  SequenceId id = cache.add();
  append(cache, 0, {id}, {13}, makeTokens(13));
  cache.truncate(id, 6);
  EXPECT_EQ(countUsed(cache), 2);
  append(cache, 0, {id}, {2}, {60, 61});
  expectTokens(cache, id, {1, 2, 3, 4, 5, 6, 60, 61});
  cache.truncate(id, 0);
  EXPECT_EQ(countUsed(cache), 0);
}

//===--- Rings --------------------------------------------------------------------------------------------------===//

TEST(KVCache, ARingKeepsTheWindowAndTheSinksInBoundedMemory) {
  KVCache cache = makeCache(makeRing(/*window=*/8, /*sinks=*/3, /*slack=*/0));
  EXPECT_EQ(cache.getLayer(0).getPool().getNumBlocks(), 2 * 3) << "ceil(11 / 4) for each sequence";
  SequenceId id = cache.add();
  for (int64_t length = 1; length <= 50; ++length) {
    append(cache, 0, {id}, {1}, {static_cast<uint64_t>(length)});
    for (int64_t position = 0; position < length; ++position) {
      bool isKept = position < 3 || position >= length - 8;
      ASSERT_EQ(cache.getLayer(0).isStored(cache.getState(id, 0), position), isKept) << position << " of " << length;
      if (isKept)
        expectToken(cache, 0, id, position, static_cast<uint64_t>(position) + 1);
    }
  }
  EXPECT_EQ(countUsed(cache), 3);
}

TEST(KVCache, APromptLongerThanARingLeavesWhatTokenByTokenLeaves) {
  KVCache cache = makeCache(makeRing(8, 3, 2));
  SequenceId atOnce = cache.add(), oneByOne = cache.add();
  append(cache, 0, {atOnce}, {37}, makeTokens(37));
  for (uint64_t token : makeTokens(37))
    append(cache, 0, {oneByOne}, {1}, {token});
  const cache::LayerStore &layer = cache.getLayer(0);
  for (int64_t position = 0; position < 37; ++position) {
    bool isKept = position < 3 || position >= 37 - 10;
    EXPECT_EQ(layer.isStored(cache.getState(atOnce, 0), position), isKept);
    EXPECT_EQ(layer.isStored(cache.getState(oneByOne, 0), position), isKept);
    if (!isKept)
      continue;
    expectToken(cache, 0, atOnce, position, static_cast<uint64_t>(position) + 1);
    expectToken(cache, 0, oneByOne, position, static_cast<uint64_t>(position) + 1);
  }
}

TEST(KVCache, SlackIsHowManyTokensOfARingCanBeTakenBack) {
  KVCache cache = makeCache(makeRing(8, 3, 2));
  SequenceId id = cache.add();
  append(cache, 0, {id}, {30}, makeTokens(30));
  cache.truncate(id, 28);
  Failure failure = catchFailure([&] { cache.truncate(id, 27); });
  EXPECT_EQ(failure.status, GQA_INVALID_ARGUMENT);
  EXPECT_EQ(failure.message,
            "layer 0: the window of a sequence of 27 tokens begins before token 20, the oldest in the ring");
  EXPECT_EQ(cache.getState(id, 0).length, 28);
  cache.truncate(id, 3); // only the sinks are left, and they are all there
  append(cache, 0, {id}, {4}, makeTokens(4, 4));
  expectTokens(cache, id, makeTokens(7));
}

//===--- Memory that runs out -----------------------------------------------------------------------------------===//

TEST(KVCache, AnAppendWithoutMemoryFailsAsAWhole) {
  KVCache cache = makeCache(makePaged(4, 2, 10)); // 4 pages
  SequenceId a = cache.add(), b = cache.add();
  append(cache, 0, {a, b}, {4, 4}, makeTokens(8));
  Failure failure = catchFailure([&] { append(cache, 0, {a, b}, {1, 5}, makeTokens(6, 100)); });
  EXPECT_EQ(failure.status, GQA_OUT_OF_MEMORY);
  EXPECT_EQ(failure.message, "layer 0: 3 blocks are needed, but 2 of 4 are free");
  expectTokens(cache, a, makeTokens(4));
  expectTokens(cache, b, makeTokens(4, 5));
  EXPECT_EQ(countUsed(cache), 2);
  append(cache, 0, {a, b}, {1, 4}, makeTokens(5, 100));
}

TEST(KVCache, ReservedTokensDoNotRunOut) {
  CacheConfig config = makePaged(4, 2, 10);
  config.layers.push_back(config.layers[0]);
  config.layers.push_back(makeLayer(StorageKind::Contiguous, ElementType::F32, ElementType::F32, 2, 4, 3));
  config.layers[2].capacity = 12;
  KVCache cache = makeCache(config);
  SequenceId ids[] = {cache.add(), cache.add()};
  const int64_t tooMany[] = {0, 13}, enough[] = {0, 12}, one = 1;
  EXPECT_EQ(catchFailure([&] { cache.reserve(ids, tooMany, 2); }).message,
            "layer 2: a sequence of 0 tokens and 13 more exceed the capacity of 12");
  EXPECT_EQ(countUsed(cache, 0), 0) << "what other layers had reserved is free again";
  cache.reserve(ids, enough, 2);
  append(cache, 0, {ids[0]}, {4}, makeTokens(4));
  EXPECT_EQ(catchFailure([&] { append(cache, 0, {ids[0]}, {1}, {5}); }).status, GQA_OUT_OF_MEMORY);
  for (int64_t layer : {0, 1, 2})
    append(cache, layer, {ids[1]}, {12}, makeTokens(12));
  expectTokens(cache, ids[1], makeTokens(12), 1);
  cache.truncate(ids[1], 3);
  EXPECT_EQ(catchFailure([&] { cache.reserve(ids, &one, 1); }).status, GQA_OK);
}

TEST(KVCache, HugeCountsAreRefusedNotComputed) {
  KVCache cache = makeCache(makePaged(4, 1, 10));
  SequenceId id = cache.add();
  for (int64_t count : {int64_t(1000), int64_t(1) << 47, INT64_MAX}) {
    Failure failure = catchFailure([&] { cache.reserve(&id, &count, 1); });
    EXPECT_EQ(failure.status, GQA_OUT_OF_MEMORY) << failure.message;
  }
}

//===--- Wrong arguments ----------------------------------------------------------------------------------------===//

TEST(KVCache, NamesWhatIsWrong) {
  KVCache cache = makeCache(makePaged(4, 1, 10));
  SequenceId id = cache.add();
  auto message = [](auto body) {
    Failure failure = catchFailure(body);
    EXPECT_NE(failure.status, GQA_OK);
    return failure.message;
  };
  EXPECT_EQ(message([&] { cache.add(); }), "there are 1 sequences, as many as the cache takes");
  EXPECT_EQ(message([&] { append(cache, 0, {id, id}, {1, 1}, {1, 2}); }),
            "sequence " + std::to_string(id) + " is listed twice");
  EXPECT_EQ(message([&] { append(cache, 0, {id}, {-1}, {}); }), "count 0 must not be negative, got -1");
  EXPECT_EQ(message([&] { cache.getLayer(1); }), "layer must be less than 1, got 1");
  EXPECT_EQ(message([&] { cache.truncate(id, -1); }), "length must not be negative, got -1");
  EXPECT_EQ(message([&] { cache.truncate(id, 1); }), "length must be at most the sequence's (0), got 1");
  EXPECT_EQ(message([&] { cache.fork(id, 1); }), "length must be at most the sequence's (0), got 1");
  cache.remove(id);
  SequenceId next = cache.add();
  EXPECT_NE(id, next) << "names are not used again";
  for (SequenceId wrong : {id, SequenceId(-1), SequenceId(0), next + 1, INT64_MAX})
    EXPECT_EQ(message([&] { cache.remove(wrong); }), "there is no sequence " + std::to_string(wrong));
}

TEST(CacheConfig, NamesWhatIsWrong) {
  auto message = [](auto change) {
    CacheConfig config = makePaged(4, 1, 10);
    change(config, config.layers[0]);
    EXPECT_EQ(catchFailure([&] { makeCache(config); }).status, GQA_INVALID_ARGUMENT);
    return check(config);
  };
  EXPECT_EQ(message([](auto &config, auto &) { config.layers.clear(); }),
            "number of layers must be from 1 to 65536, got 0");
  EXPECT_EQ(message([](auto &config, auto &) { config.pageSize = 12; }), "page size must be a power of two, got 12");
  EXPECT_EQ(message([](auto &config, auto &) { config.pageSize = 512; }), "page size must be from 1 to 256, got 512");
  EXPECT_EQ(message([](auto &config, auto &) { config.maxSequences = 0; }),
            "max sequences must be from 1 to 1048576, got 0");
  EXPECT_EQ(message([](auto &config, auto &) { config.maxTokens = -5; }),
            "max tokens must be from 1 to 1073741824, got -5");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.numKvHeads = 0; }),
            "layer 0: K/V heads must be from 1 to 65536, got 0");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.valueDim = int64_t(1) << 60; }),
            "layer 0: value dim must be from 1 to 65536, got 1152921504606846976");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.keyType = static_cast<ElementType>(6); }),
            "layer 0: key type must be from 0 to 5, got 6");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.valueType = ElementType::I4; }),
            "layer 0: value dim must be even for i4, got 3");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.storage = StorageKind::Contiguous; }),
            "layer 0: capacity must be from 1 to 1073741824, got 0");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.storage = StorageKind::Ring; }),
            "layer 0: window must be from 1 to 1073741824, got 0");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.keyChannelScales = {1}; }),
            "layer 0: keys of type f32 take no channel scales");
  EXPECT_EQ(message([](auto &, auto &layer) { layer.rotary.dim = 8; }),
            "layer 0: rotary dim must be even and at most the key dim (4), got 8");
  EXPECT_EQ(message([](auto &config, auto &layer) {
              config.maxTokens = int64_t(1) << 30;
              layer.numKvHeads = layer.keyDim = int64_t(1) << 16;
            }),
            "layer 0: needs up to 17179869184 GiB for keys or values, more than 4194304");
}

TEST(CacheConfig, ChannelScalesFitTheHeads) {
  CacheConfig config = makePaged(4, 1, 10);
  config.layers[0].keyType = ElementType::I8;
  config.layers[0].keyChannelScales.assign(7, 1.0f);
  EXPECT_EQ(check(config), "layer 0: channel scales must be heads x key dim (8), got 7");
  config.layers[0].keyChannelScales.assign(8, 0.0f);
  EXPECT_EQ(check(config), "layer 0: channel scales must be positive, got 0.000000");
}

} // namespace
} // namespace gqa::test
