#include "runtime/cache/SequenceFile.h"

#include "CacheModel.h"

#include <fstream>
#include <sstream>
#include <tuple>
#include <unistd.h>

namespace gqa::test {
namespace {

std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream contents;
  contents << stream.rdbuf();
  return contents.str();
}

void writeFile(const std::string &path, const std::string &contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

cache::CacheConfig makeConfig(int64_t pageSize, StorageKind plain) {
  cache::CacheConfig config;
  config.pageSize = pageSize;
  config.maxSequences = 3;
  config.maxTokens = 90;
  config.layers.push_back(makeLayer(plain, ElementType::F16, ElementType::I4, 2, 3, 4));
  config.layers.back().capacity = 40;
  config.layers.push_back(makeLayer(StorageKind::Ring, ElementType::I8, ElementType::F8E4M3, 1, 4, 2));
  config.layers.back().window = 6;
  config.layers.back().sinks = 2;
  config.layers.back().slack = 2;
  return config;
}

KVCache makeCache(const cache::CacheConfig &config) { return KVCache(config, cache::Allocator::getDefault()); }

/// A directory of its own for each test.
class SequenceFile : public ::testing::Test {
protected:
  void SetUp() override {
    directory = ::testing::TempDir() + "gqa-sequence-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    path = directory + "/sequence";
  }
  void TearDown() override {
    unlink(path.c_str());
    EXPECT_EQ(rmdir(directory.c_str()), 0) << "no other file is left";
  }

  /// Saves a sequence of 20 tokens, two of them taken back and one appended, from a paged cache.
  void save() {
    KVCache cache = makeCache(makeConfig(4, StorageKind::Paged));
    SequenceId id = cache.add();
    for (int64_t layer : {0, 1}) {
      LayerModel model(cache.getConfig().layers[static_cast<size_t>(layer)]);
      std::vector<uint64_t> tokens;
      for (uint64_t token = 1; token <= 20; ++token)
        tokens.push_back(token);
      append(cache, layer, {id}, {20}, tokens);
      model.append(tokens);
      models.push_back(model);
    }
    cache.truncate(id, 18);
    for (int64_t layer : {0, 1}) {
      LayerModel &model = models[static_cast<size_t>(layer)];
      append(cache, layer, {id}, {1}, {99});
      model.truncate(18);
      model.append({99});
    }
    cache::saveSequence(cache, id, path);
  }

  void expectLoads(const cache::CacheConfig &config) {
    KVCache cache = makeCache(config);
    SequenceId id = cache::loadSequence(cache, path);
    for (int64_t layer : {0, 1}) {
      LayerModel model(config.layers[static_cast<size_t>(layer)]);
      model.tokens = models[static_cast<size_t>(layer)].tokens;
      model.expect(cache, layer, id);
    }
    append(cache, 1, {id}, {1}, {100}); // and goes on
    expectToken(cache, 1, id, 19, 100);
  }

  Failure catchLoad(KVCache &cache) {
    Failure failure = catchFailure([&] { cache::loadSequence(cache, path); });
    EXPECT_EQ(cache.getNumSequences(), 0);
    for (int64_t layer = 0; layer < cache.getNumLayers(); ++layer)
      EXPECT_EQ(cache.getLayer(layer).getPool().getNumFree(), cache.getLayer(layer).getPool().getNumBlocks());
    return failure;
  }

  std::string directory, path;
  std::vector<LayerModel> models;
};

TEST_F(SequenceFile, LoadsIntoAnyPageSizeAndStorage) {
  save();
  for (int64_t pageSize : {1, 4, 32})
    for (StorageKind storage : {StorageKind::Paged, StorageKind::Contiguous})
      expectLoads(makeConfig(pageSize, storage));
}

// Rows that were quantised with fixed scales are stored as they are, and go only to a cache with the same scales.
TEST_F(SequenceFile, ChannelScalesAndScaledRotationsMustBeTheSame) {
  cache::CacheConfig config = makeConfig(4, StorageKind::Paged);
  config.layers[1].keyChannelScales = {0.01f, 0.02f, 0.03f, 0.04f};
  config.layers[1].rotary.dim = 4;
  config.layers[1].rotary.scaling = cache::RotaryScaling::Linear;
  config.layers[1].rotary.factor = 8;
  KVCache cache = makeCache(config);
  SequenceId id = cache.add();
  for (int64_t layer : {0, 1})
    append(cache, layer, {id}, {9}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  cache::saveSequence(cache, id, path);
  KVCache other = makeCache(config);
  SequenceId loaded = cache::loadSequence(other, path);
  for (int64_t position : {0, 1, 3, 8}) { // the ring has dropped none of these
    float saved[4], read[4];
    for (auto [from, name, row] : {std::tuple(&cache, id, saved), std::tuple(&other, loaded, read)})
      from->getLayer(1).getKeys().decode(from->getLayer(1).locate(from->getState(name, 1), position, 0), row);
    EXPECT_EQ(std::vector<float>(saved, saved + 4), std::vector<float>(read, read + 4)) << "position " << position;
  }
  config.layers[1].keyChannelScales[2] = 0.05f;
  KVCache rescaled = makeCache(config);
  EXPECT_NE(catchLoad(rescaled).message.find("checksum of channel scales of layer 1"), std::string::npos);
  config.layers[1].keyChannelScales[2] = 0.03f;
  config.layers[1].rotary.factor = 4;
  KVCache turned = makeCache(config);
  EXPECT_NE(catchLoad(turned).message.find("checksum of rotary parameters of layer 1"), std::string::npos);
}

TEST_F(SequenceFile, AnEmptySequenceIsASequence) {
  KVCache cache = makeCache(makeConfig(4, StorageKind::Paged));
  cache::saveSequence(cache, cache.add(), path);
  EXPECT_EQ(cache.getState(cache::loadSequence(cache, path), 1).length, 0);
}

TEST_F(SequenceFile, NoDamageGoesUnnoticed) {
  save();
  std::string contents = readFile(path);
  KVCache cache = makeCache(makeConfig(4, StorageKind::Paged));
  for (size_t byte = 0; byte < contents.size(); ++byte) {
    std::string damaged = contents;
    damaged[byte] = static_cast<char>(damaged[byte] ^ 0x10);
    writeFile(path, damaged);
    ASSERT_EQ(catchLoad(cache).status, GQA_BAD_CACHE_FILE) << "byte " << byte << " of " << contents.size();
  }
  for (size_t size = 0; size < contents.size(); size += 3) {
    writeFile(path, contents.substr(0, size));
    ASSERT_EQ(catchLoad(cache).status, GQA_BAD_CACHE_FILE) << "size " << size;
  }
  writeFile(path, contents + "x");
  EXPECT_EQ(catchLoad(cache).message, "'" + path + "' is damaged: it has 1 bytes too many");
  writeFile(path, contents);
  expectLoads(makeConfig(4, StorageKind::Paged));
}

TEST_F(SequenceFile, OtherCachesAreNamed) {
  save();
  auto message = [&](auto change) {
    cache::CacheConfig config = makeConfig(4, StorageKind::Paged);
    change(config);
    KVCache cache = makeCache(config);
    Failure failure = catchLoad(cache);
    EXPECT_EQ(failure.status, GQA_BAD_CACHE_FILE);
    return failure.message;
  };
  std::string start = "'" + path + "' is for another cache: ";
  EXPECT_EQ(message([](auto &config) { config.layers.pop_back(); }), start + "it has 2 layers, but the cache has 1");
  EXPECT_EQ(message([](auto &config) { config.layers[0].numKvHeads = 3; }),
            start + "K/V heads of layer 0 is 2, but the cache has 3");
  EXPECT_EQ(message([](auto &config) { config.layers[1].keyType = ElementType::F16; }),
            start + "key type of layer 1 is 3, but the cache has 1");
  EXPECT_EQ(message([](auto &config) { config.layers[1].window = 7; }),
            start + "ring window of layer 1 is 6, but the cache has 7");
  EXPECT_NE(message([](auto &config) {
              config.layers[0].rotary.dim = 2;
            }).find("checksum of rotary parameters of layer 0 is 0, but the cache has"),
            std::string::npos);
  EXPECT_NE(message([](auto &config) {
              config.layers[1].keyChannelScales.assign(4, 1.0f);
            }).find("checksum of channel scales of layer 1 is 0, but the cache has"),
            std::string::npos);
}

TEST_F(SequenceFile, WithoutRoomNothingIsLoaded) {
  save();
  cache::CacheConfig config = makeConfig(4, StorageKind::Paged);
  config.maxTokens = 10;
  KVCache cache = makeCache(config);
  EXPECT_EQ(catchLoad(cache).status, GQA_OUT_OF_MEMORY);
}

TEST_F(SequenceFile, WhatCannotBeWrittenLeavesNoTrace) {
  KVCache cache = makeCache(makeConfig(4, StorageKind::Paged));
  SequenceId id = cache.add();
  Failure failure = catchFailure([&] { cache::saveSequence(cache, id, directory + "/none/sequence"); });
  EXPECT_EQ(failure.status, GQA_IO_ERROR);
  EXPECT_EQ(failure.message, "cannot write '" + directory + "/none/sequence': No such file or directory");
  // The name of a directory: only the last step, the renaming, fails.
  EXPECT_EQ(catchFailure([&] { cache::saveSequence(cache, id, directory); }).status, GQA_IO_ERROR);
  EXPECT_EQ(catchFailure([&] { cache::saveSequence(cache, id + 1, path); }).status, GQA_NOT_FOUND);
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(SequenceFile, MissingFilesAreNotFound) {
  KVCache cache = makeCache(makeConfig(4, StorageKind::Paged));
  Failure failure = catchLoad(cache);
  EXPECT_EQ(failure.status, GQA_NOT_FOUND);
  EXPECT_EQ(failure.message, "cannot open '" + path + "': No such file or directory");
}

} // namespace
} // namespace gqa::test
