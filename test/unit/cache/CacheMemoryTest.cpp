// A cache takes 2 x layers x batch x K/V heads x tokens x head dim x bytes, and little more; read from the allocator,
// `operator new` included.

#include "CacheModel.h"
#include "FailingMemory.h"

namespace gqa::test {
namespace {

/// Bytes of an element: quantised ones carry their part of the row's scale.
double getElementBytes(ElementType type, int64_t dim) {
  return static_cast<double>(cache::getBits(type)) / 8 +
         (cache::isQuantised(type) ? 4.0 / static_cast<double>(dim) : 0);
}

double getTokenBytes(const LayerConfig &layer) {
  auto heads = static_cast<double>(layer.numKvHeads);
  return heads * static_cast<double>(layer.keyDim) * getElementBytes(layer.keyType, layer.keyDim) +
         heads * static_cast<double>(layer.valueDim) * getElementBytes(layer.valueType, layer.valueDim);
}

/// Fills a cache with sequences of these lengths and compares what is allocated with the formula.
void expectFormula(cache::CacheConfig config, const std::vector<int64_t> &lengths) {
  config.maxSequences = static_cast<int64_t>(lengths.size());
  config.maxTokens = 0;
  for (int64_t length : lengths)
    config.maxTokens += length;
  double exact = 0, pages = 0;
  for (const LayerConfig &layer : config.layers) {
    for (int64_t length : lengths) {
      int64_t stored = length;
      if (layer.storage == StorageKind::Ring)
        stored = std::min(length, layer.window + layer.sinks + layer.slack);
      if (layer.storage == StorageKind::Contiguous)
        stored = layer.capacity;
      exact += static_cast<double>(stored) * getTokenBytes(layer);
      pages +=
          layer.storage == StorageKind::Contiguous ? 0 : static_cast<double>(config.pageSize) * getTokenBytes(layer);
    }
  }

  int64_t before = getLiveBytes();
  KVCache cache(config, getFailingAllocator());
  std::vector<SequenceId> ids;
  for (size_t i = 0; i < lengths.size(); ++i)
    ids.push_back(cache.add());
  for (int64_t layer = 0; layer < cache.getNumLayers(); ++layer)
    for (size_t i = 0; i < lengths.size(); ++i)
      for (int64_t done = 0; done < lengths[i]; done += 100) {
        int64_t count = std::min<int64_t>(100, lengths[i] - done);
        append(cache, layer, {ids[i]}, {count}, std::vector<uint64_t>(static_cast<size_t>(count), 1));
      }
  auto taken = static_cast<double>(getLiveBytes() - before);
  EXPECT_LE(taken, exact * 1.02 + pages);
  EXPECT_GE(taken, exact);
  EXPECT_LE(cache.getBytes(), taken);
  std::printf("formula %.0f bytes, a page per sequence and layer %.0f, taken %.0f: %+.2f %% beside the pages\n", exact,
              pages, taken, (taken - pages) / exact * 100 - 100);
}

cache::CacheConfig makeUniform(ElementType type, int64_t pageSize, int64_t layers, int64_t heads, int64_t dim) {
  cache::CacheConfig config;
  config.pageSize = pageSize;
  config.layers.assign(static_cast<size_t>(layers), makeLayer(StorageKind::Paged, type, type, heads, dim, dim));
  return config;
}

const std::vector<int64_t> kLengths = {700, 333, 16, 1};

TEST(CacheMemory, EveryTypeTakesWhatTheFormulaSays) {
  for (int32_t type = 0; type < cache::kNumElementTypes; ++type)
    expectFormula(makeUniform(static_cast<ElementType>(type), 16, 3, 4, 128), kLengths);
}

TEST(CacheMemory, EveryPageSizeTakesWhatTheFormulaSays) {
  for (int64_t pageSize = 1; pageSize <= 256; pageSize *= 2)
    expectFormula(makeUniform(ElementType::F16, pageSize, 2, 8, 64), kLengths);
}

TEST(CacheMemory, KeysAndValuesMayDiffer) {
  cache::CacheConfig config = makeUniform(ElementType::F16, 16, 2, 2, 192);
  config.layers[0].valueDim = 128;
  config.layers[0].valueType = ElementType::I4;
  expectFormula(config, kLengths);
}

TEST(CacheMemory, ContiguousLayersTakeTheirCapacity) {
  cache::CacheConfig config = makeUniform(ElementType::BF16, 16, 2, 2, 64);
  for (LayerConfig &layer : config.layers) {
    layer.storage = StorageKind::Contiguous;
    layer.capacity = 700;
  }
  expectFormula(config, kLengths);
}

// Gemma 3: five layers with a window of 1024 to each without; gpt-oss: 128 every second layer, and sinks for good
// measure. Fewer layers and heads than the models have, longer sequences than the windows.
TEST(CacheMemory, WindowsBoundTheMemoryOfTheirLayers) {
  cache::CacheConfig gemma = makeUniform(ElementType::F16, 16, 6, 1, 256);
  for (size_t layer = 0; layer < 5; ++layer) {
    gemma.layers[layer].storage = StorageKind::Ring;
    gemma.layers[layer].window = 1024;
  }
  expectFormula(gemma, {3000, 1100});
  cache::CacheConfig gptOss = makeUniform(ElementType::F16, 16, 4, 2, 64);
  for (size_t layer = 0; layer < 4; layer += 2) {
    gptOss.layers[layer].storage = StorageKind::Ring;
    gptOss.layers[layer].window = 128;
    gptOss.layers[layer].sinks = 4;
    gptOss.layers[layer].slack = 8;
  }
  expectFormula(gptOss, {3000, 1100, 50});
}

TEST(CacheMemory, CreationFailsCleanlyAtEveryAllocation) {
  cache::CacheConfig config = makeUniform(ElementType::I8, 16, 2, 2, 8);
  config.maxSequences = 2;
  config.maxTokens = 100;
  int64_t before = getLiveBytes(), failures = 0;
  for (int64_t after = 0;; ++after, ++failures) {
    // Beside the test's own copy of the config.
    gqa_status status = catchFailure([&] {
                          cache::CacheConfig copy = config;
                          failAllocationAfter(after);
                          KVCache cache(std::move(copy), getFailingAllocator());
                        }).status;
    stopFailing();
    ASSERT_EQ(getLiveBytes(), before) << "nothing leaks when allocation " << after << " fails";
    if (status == GQA_OK)
      break;
    ASSERT_EQ(status, GQA_OUT_OF_MEMORY);
  }
  EXPECT_GT(failures, 10);
}

} // namespace
} // namespace gqa::test
