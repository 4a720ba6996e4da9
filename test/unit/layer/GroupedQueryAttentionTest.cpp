// A layer, whose attention is compiled here, against plain loops in double precision.

#include "runtime/layer/GroupedQueryAttention.h"

#include "ThrowsMessage.h"
#include "test/unit/cuda/FakeCuda.h"
#include "tools/LayerModule.h"
#include "tools/LayerReference.h"
#include "tools/LoadedArtifact.h"
#include "tools/OutputFile.h"
#include "tools/Process.h"
#include "tools/SeededData.h"
#include "tools/TemporaryDirectory.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

using namespace gqa;
using namespace gqa::layer;

namespace {

/// How keys and values are cached: contiguous, in pages of `pageSize` tokens, or in pages of a ring.
struct Storage {
  int64_t pageSize = 0, window = 0, sinks = 0, slack = 0;
  const char *type = ""; // "": as queries
  bool isQuantised() const { return *type != 0; }
};

struct Case {
  int64_t dModel, heads, kvHeads, headDim;
  ElementType type = ElementType::f32;
  WeightType weightType = WeightType::F32;
  bool hasBiases = false, hasNorms = false;
  int64_t rotaryDim = 0;
  gqa_rotary_pairs pairs = GQA_ROTARY_HALF_SPLIT;
  Storage storage = {};
  bool isOnDevice = false; ///< attention and caches are on the driver that pretends, with emulated kernels
  gqa_rotary_scaling scaling = GQA_ROTARY_UNSCALED;
  LayerScores scores = {};
};

std::ostream &operator<<(std::ostream &stream, const Case &test) {
  return stream << test.heads << "_" << test.kvHeads << "_" << test.headDim << "_" << getName(test.type) << "_"
                << getName(test.weightType) << (test.storage.pageSize ? "_pages" : "")
                << (test.storage.window ? "_ring" : "") << test.storage.type << (test.isOnDevice ? "_device" : "")
                << (test.scores.softcap > 0 ? "_softcap" : "") << (test.scores.hasSinks ? "_sinks" : "");
}

/// Compiles each module once.
std::shared_ptr<LoadedArtifact> compile(const std::string &module, bool isForDevice) {
  static std::map<std::string, std::shared_ptr<LoadedArtifact>> artifacts;
  std::shared_ptr<LoadedArtifact> &artifact = artifacts[(isForDevice ? "device" : "") + module];
  if (artifact)
    return artifact;
  TemporaryDirectory directory;
  writeOutput(directory.file("layer.mlir"), module);
  std::vector<std::string> command = {GQA_COMPILE, directory.file("layer.mlir"), "-o", directory.file("layer.so")};
  if (isForDevice)
    command.insert(command.end(), {"--gpu=sm_80", "--with-emulated-kernels"});
  ProcessResult result = runProcess(command);
  EXPECT_EQ(result.exitCode, 0) << result.errors;
  artifact = std::make_shared<LoadedArtifact>(directory.file("layer.so"), 2);
  return artifact;
}

/// Once: artifacts stay loaded.
void useKernelsOfCaches() {
  static const bool isDone = [] {
    fakecuda::Options options;
    options.kernels = GQA_CACHE_KERNELS;
    fakecuda::reset(options);
    return true;
  }();
  (void)isDone;
}

struct CacheCloser {
  void operator()(gqa_cache *cache) const { gqa_cache_destroy(cache); }
};

class Layer : public ::testing::TestWithParam<Case> {
protected:
  static constexpr int64_t kTokens = 37;

  void SetUp() override {
    const Case &test = GetParam();
    if (test.isOnDevice)
      useKernelsOfCaches();
    config.dModel = test.dModel;
    config.numHeads = test.heads;
    config.numKvHeads = test.kvHeads;
    config.headDim = test.headDim;
    config.rotary.dim = test.rotaryDim;
    config.rotary.pairs = test.pairs;
    config.rotary.theta = 100; // so that short sequences turn far
    config.rotary.scaling = test.scaling;
    config.rotary.factor = 4;
    config.rotary.original_context = 24;
    config.rotary.low_frequency_factor = config.rotary.beta_slow = 1;
    config.rotary.high_frequency_factor = config.rotary.beta_fast = 4;
    config.rotary.no_ramp_rounding = test.rotaryDim == 10;
    config.threads = 2;
    RandomWeights random;
    random.type = test.weightType;
    random.hasBiases = random.hasOutputBias = test.hasBiases;
    random.hasNorms = test.hasNorms;
    random.hasSinks = test.scores.hasSinks;
    weights = makeRandomWeights(config, random);
    names.type = test.type;
    names.hasMasks = names.hasCachedMasks = !test.storage.window && !test.storage.isQuantised();
    names.scores = test.scores;
    names.cacheType = test.storage.type;
    if (test.storage.pageSize)
      names.storage = "page-size=" + std::to_string(test.storage.pageSize);
    if (test.storage.window)
      names.storage += ",window=" + std::to_string(test.storage.window) +
                       ",sinks=" + std::to_string(test.storage.sinks) + ",slack=" + std::to_string(test.storage.slack);
    artifact = compile(printLayerEntries(config, names), test.isOnDevice);
    layer = std::make_unique<GroupedQueryAttention>(config, weights, getEntries());
    ElementBuffer buffer(ElementType::f32, kTokens * config.dModel);
    buffer.fillRandom(/*seed=*/99, /*amplitude=*/1.7f);
    x.assign(static_cast<float *>(buffer.data()), static_cast<float *>(buffer.data()) + kTokens * config.dModel);
    rows.resize(kTokens);
    std::iota(rows.begin(), rows.end(), 0);
  }

  AttentionEntries getEntries() const {
    AttentionEntries entries = nameLayerEntries(names);
    entries.context = artifact->getContext();
    entries.artifact = artifact->getArtifact();
    entries.device = getDevice();
    return entries;
  }

  static DLDevice getDevice() { return {GetParam().isOnDevice ? kDLCUDA : kDLCPU, 0}; }

  LayerInput getInput(const uint8_t *mask = nullptr) const {
    return {config, weights, x.data(), kTokens, mask, GetParam().scores};
  }

  std::unique_ptr<gqa_cache, CacheCloser> makeCache(int64_t sequences, int64_t capacity = kTokens) const {
    const Storage &storage = GetParam().storage;
    gqa_cache_type type = storage.isQuantised() ? (storage.type == std::string("i8") ? GQA_CACHE_I8 : GQA_CACHE_I4)
                          : GetParam().type == ElementType::f32  ? GQA_CACHE_F32
                          : GetParam().type == ElementType::bf16 ? GQA_CACHE_BF16
                                                                 : GQA_CACHE_F16;
    gqa_cache_layer description = config.describeCacheLayer(type, capacity);
    description.storage = storage.window ? GQA_CACHE_RING : storage.pageSize ? GQA_CACHE_PAGED : GQA_CACHE_CONTIGUOUS;
    description.window = storage.window;
    description.sinks = storage.sinks;
    description.slack = storage.slack;
    gqa_cache_config cacheConfig = {};
    cacheConfig.num_layers = 1;
    cacheConfig.layers = &description;
    cacheConfig.max_sequences = sequences;
    cacheConfig.page_size = storage.pageSize ? static_cast<int32_t>(storage.pageSize) : 16;
    cacheConfig.max_tokens =
        sequences * (capacity + cacheConfig.page_size - 1) / cacheConfig.page_size * cacheConfig.page_size;
    gqa_cache *cache = nullptr;
    EXPECT_EQ(gqa_cache_create_on(artifact->getContext(), &cacheConfig, getDevice(), &cache), GQA_OK)
        << gqa_context_message(artifact->getContext());
    return std::unique_ptr<gqa_cache, CacheCloser>(cache);
  }

  gqa_sequence add(gqa_cache *cache) const {
    gqa_sequence sequence = 0;
    EXPECT_EQ(gqa_cache_add(artifact->getContext(), cache, &sequence), GQA_OK);
    return sequence;
  }

  /// The outputs of `count` tokens from `begin` on, with what is in the cache before.
  std::vector<float> forward(int64_t begin, int64_t count, const PastKeyValues *past,
                             const std::vector<const uint8_t *> &masks = {}) {
    std::vector<float> y(static_cast<size_t>(count * config.dModel), NAN);
    layer->forward({&x[static_cast<size_t>(begin * config.dModel)], {count}}, y.data(), past, masks);
    return y;
  }

  LayerRows asRows(const std::vector<float> &y) const {
    LayerRows result;
    for (size_t i = 0; i < y.size(); i += static_cast<size_t>(config.dModel))
      result.emplace_back(&y[i], &y[i] + config.dModel);
    return result;
  }

  /// Compares the outputs of all tokens with the reference.
  void expectRight(const std::string &what, const std::vector<float> &y, const uint8_t *mask = nullptr) {
    EXPECT_NO_THROW({
      double error = checkLayerRows(what, asRows(y), computeLayerReference(getInput(mask), rows),
                                    computeNaiveLayer(getInput(mask), rows, GetParam().type), GetParam().type);
      std::printf("%s: greatest error %.2g\n", what.c_str(), error);
    }) << what;
  }

  /// The tokens in these chunks, through a cache.
  std::vector<float> forwardInChunks(const std::vector<int64_t> &chunks) {
    auto cache = makeCache(1);
    PastKeyValues past{cache.get(), 0, {add(cache.get())}};
    std::vector<float> y;
    int64_t begin = 0;
    for (int64_t chunk : chunks) {
      std::vector<float> part = forward(begin, chunk, &past);
      y.insert(y.end(), part.begin(), part.end());
      begin += chunk;
    }
    return y;
  }

  LayerEntries names;
  LayerConfig config;
  LayerWeights weights;
  std::shared_ptr<LoadedArtifact> artifact;
  std::unique_ptr<GroupedQueryAttention> layer;
  std::vector<float> x;
  std::vector<int64_t> rows;
};

/// Batches of ragged sequences, alone and together, without and with a cache.
std::vector<int64_t> countOf(const std::vector<std::vector<int64_t>> &steps, size_t sequence) {
  std::vector<int64_t> counts;
  for (const std::vector<int64_t> &step : steps)
    counts.push_back(step[sequence]);
  return counts;
}

TEST_P(Layer, IsRightInOnePassInChunksAndTokenByToken) {
  EXPECT_EQ(layer->countParameters(), weights.countParameters());
  expectRight("one pass", forward(0, kTokens, nullptr));
  expectRight("prefill and 16 tokens one by one", [&] {
    std::vector<int64_t> chunks(17, 1);
    chunks[0] = kTokens - 16;
    return forwardInChunks(chunks);
  }());
  expectRight("chunks", forwardInChunks({20, 1, 9, 7}));
  expectRight("all one by one", forwardInChunks(std::vector<int64_t>(kTokens, 1)));
}

// Three sequences are parts of the tokens: what a sequence gives is what it gives alone.
TEST_P(Layer, BatchesGiveWhatSequencesGiveAlone) {
  auto runAlone = [&](int64_t begin, const std::vector<int64_t> &chunks) {
    auto cache = makeCache(1);
    PastKeyValues past{cache.get(), 0, {add(cache.get())}};
    std::vector<std::vector<float>> outputs;
    for (int64_t chunk : chunks) {
      outputs.push_back(forward(begin, chunk, &past));
      begin += chunk;
    }
    return outputs;
  };
  auto expectClose = [&](const float *y, const std::vector<float> &alone) {
    float tolerance = GetParam().type == ElementType::f32 && GetParam().weightType == WeightType::F32 ? 1e-4f : 0.05f;
    for (size_t i = 0; i < alone.size(); ++i)
      ASSERT_NEAR(y[i], alone[i], tolerance) << "element " << i;
  };
  const std::vector<int64_t> begins = {0, 12, 24};
  // Prefill, decoding, and a mix of both with a sequence that rests.
  const std::vector<std::vector<int64_t>> steps = {{4, 4, 4}, {1, 1, 1}, {3, 0, 1}};
  auto cache = makeCache(3);
  PastKeyValues past{cache.get(), 0, {add(cache.get()), add(cache.get()), add(cache.get())}};
  std::vector<std::vector<std::vector<float>>> alone;
  for (size_t i = 0; i < 3; ++i)
    alone.push_back(runAlone(begins[i], countOf(steps, i)));
  std::vector<int64_t> next = begins;
  for (size_t step = 0; step < steps.size(); ++step) {
    std::vector<float> input;
    for (size_t i = 0; i < 3; ++i) {
      auto begin = x.begin() + next[i] * config.dModel;
      input.insert(input.end(), begin, begin + steps[step][i] * config.dModel);
      next[i] += steps[step][i];
    }
    std::vector<float> y(input.size(), NAN);
    layer->forward({input.data(), steps[step]}, y.data(), &past);
    const float *part = y.data();
    for (size_t i = 0; i < 3; ++i) {
      expectClose(part, alone[i][step]);
      part += steps[step][i] * config.dModel;
    }
  }
  // Without a cache: two of one length, which share a call, and one of another.
  std::vector<float> y(static_cast<size_t>(kTokens * config.dModel), NAN);
  layer->forward({x.data(), {10, 10, 17}}, y.data());
  int64_t begin = 0;
  for (int64_t count : {10, 10, 17}) {
    expectClose(&y[static_cast<size_t>(begin * config.dModel)], forward(begin, count, nullptr));
    begin += count;
  }
}

TEST_P(Layer, MasksHideTokens) {
  // Token i does not see the tokens before it that are i modulo 3; token 6 sees none.
  std::vector<uint8_t> mask(kTokens * kTokens, 1);
  for (int64_t i = 0; i < kTokens; ++i)
    for (int64_t n = 0; n < kTokens; ++n)
      mask[static_cast<size_t>(i * kTokens + n)] = i != 6 && (n == i || (i - n) % 3 != 0);
  expectRight("mask, one pass", forward(0, kTokens, nullptr, {mask.data()}), mask.data());
  auto cache = makeCache(1);
  PastKeyValues past{cache.get(), 0, {add(cache.get())}};
  std::vector<float> y;
  int64_t begin = 0;
  for (int64_t chunk : {30, 7}) {
    std::vector<uint8_t> part;
    for (int64_t i = begin; i < begin + chunk; ++i)
      part.insert(part.end(), &mask[static_cast<size_t>(i * kTokens)],
                  &mask[static_cast<size_t>(i * kTokens + begin + chunk)]);
    std::vector<float> output = forward(begin, chunk, &past, {part.data()});
    y.insert(y.end(), output.begin(), output.end());
    begin += chunk;
  }
  expectRight("mask, chunks", y, mask.data());
}

TEST_P(Layer, RefusesWhatDoesNotFitAndChangesNothing) {
  auto cache = makeCache(1, /*capacity=*/20);
  gqa_sequence sequence = add(cache.get());
  PastKeyValues past{cache.get(), 0, {sequence}};
  forward(0, 15, &past);
  std::vector<float> y(x.size());
  std::string tooLong = messageOf([&] { layer->forward({x.data(), {6}}, y.data(), &past); });
  EXPECT_EQ(tooLong.find("out of memory: layer 0: a sequence of 15 tokens and 6 more exceed the "), 0U) << tooLong;
  EXPECT_EQ(messageOf([&] { layer->forward({x.data(), {1, 1}}, y.data(), &past); }),
            "sequences (1) must be as many as counts of tokens (2)");
  EXPECT_EQ(messageOf([&] { layer->forward({x.data(), {-1}}, y.data()); }),
            "counts of tokens must not be negative, got -1");
  EXPECT_EQ(messageOf([&] { layer->forward({nullptr, {1}}, y.data()); }), "hidden states and outputs must not be null");
  int64_t length = 0;
  ASSERT_EQ(gqa_cache_length(artifact->getContext(), cache.get(), sequence, 0, &length), GQA_OK);
  EXPECT_EQ(length, 15);
  forward(15, 5, &past);

  LayerConfig other = config;
  other.numKvHeads = config.numHeads + 1;
  EXPECT_EQ(messageOf([&] { GroupedQueryAttention(other, weights, getEntries()); }),
            "query heads (" + std::to_string(config.numHeads) + ") must be a multiple of K/V heads (" +
                std::to_string(other.numKvHeads) + ")");
  AttentionEntries entries = getEntries();
  entries.any = "none";
  EXPECT_EQ(messageOf([&] { GroupedQueryAttention(config, weights, entries); }),
            "the artifact has no entry 'none'; it has: any, cached, cached_decode, masked, cached_masked, "
            "cached_masked_decode");
  LayerWeights otherWeights = weights;
  otherWeights.sinks.resize(weights.sinks.empty() ? static_cast<size_t>(config.numHeads) : 0);
  EXPECT_NE(
      messageOf([&] { GroupedQueryAttention(config, otherWeights, getEntries()); }).find("entry 'any' must take "),
      std::string::npos);
  entries.any = "masked";
  EXPECT_NE(messageOf([&] { GroupedQueryAttention(config, weights, entries); }).find("entry 'masked' must take "),
            std::string::npos);
}

/// Layers on caches that change what attention sees: quantised keys and values, or a ring.
class StoredLayer : public Layer {
protected:
  /// What a ring of sinks and a window hides.
  std::vector<uint8_t> makeMask() const {
    const Storage &storage = GetParam().storage;
    std::vector<uint8_t> mask(kTokens * kTokens, 1);
    for (int64_t i = 0; storage.window && i < kTokens; ++i)
      for (int64_t n = 0; n < kTokens; ++n)
        mask[static_cast<size_t>(i * kTokens + n)] = n < storage.sinks || n > i - storage.window;
    return mask;
  }

  /// Quantised: what one pass through the cache gives, which is near the reference.
  void expectLikeOnePass(const std::string &what, const std::vector<float> &y, const std::vector<float> &onePass) {
    double largest = 0, difference = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(onePass[i])));
      difference = std::max(difference, std::fabs(static_cast<double>(y[i] - onePass[i])));
    }
    // On a device a prompt and single queries go through kernels that round in other places.
    EXPECT_LE(difference, (GetParam().isOnDevice ? 1e-3 : 1e-5) * largest) << what;
  }
};

TEST_P(StoredLayer, IsRightInOnePassInChunksAndTokenByToken) {
  std::vector<uint8_t> mask = makeMask();
  std::vector<float> onePass = forwardInChunks({kTokens});
  std::vector<int64_t> decoding(17, 1);
  decoding[0] = kTokens - 16;
  for (const std::vector<int64_t> &chunks :
       {std::vector<int64_t>{kTokens}, decoding, {20, 1, 9, 7}, std::vector<int64_t>(kTokens, 1)}) {
    std::vector<float> y = forwardInChunks(chunks);
    std::string what = "chunks of " + std::to_string(chunks[0]) + ", ...";
    if (!GetParam().storage.isQuantised()) {
      expectRight(what, y, mask.data());
      continue;
    }
    expectLikeOnePass(what, y, onePass);
  }
  if (!GetParam().storage.isQuantised())
    return;
  // Elements of i8 and i4 are off by half a step of 1/127 and 1/7 of the largest of their row.
  LayerRows reference = computeLayerReference(getInput(), rows), actual = asRows(onePass);
  double tolerance = GetParam().storage.type == std::string("i8") ? 0.02 : 0.4, error = 0;
  for (size_t row = 0; row < rows.size(); ++row)
    for (size_t d = 0; d < reference[row].size(); ++d)
      error = std::max(error, std::fabs(actual[row][d] - reference[row][d]));
  std::printf("greatest error of quantised keys and values: %.2g\n", error);
  EXPECT_LE(error, tolerance);
  EXPECT_GT(error, tolerance / 100) << "nothing is quantised";
}

TEST_P(StoredLayer, RefusesACacheThatItsEntryDoesNotRead) {
  gqa_cache_layer description = config.describeCacheLayer(GQA_CACHE_F32, kTokens);
  gqa_cache_config cacheConfig = {1, &description, 1, kTokens, 8};
  gqa_cache *made = nullptr;
  ASSERT_EQ(gqa_cache_create_on(artifact->getContext(), &cacheConfig, getDevice(), &made), GQA_OK);
  std::unique_ptr<gqa_cache, CacheCloser> cache(made);
  PastKeyValues past{made, 0, {add(made)}};
  std::vector<float> y(x.size());
  EXPECT_NE(messageOf([&] { layer->forward({x.data(), {3}}, y.data(), &past); }).find("but entry 'cached' takes"),
            std::string::npos);
  int64_t length = -1;
  ASSERT_EQ(gqa_cache_length(artifact->getContext(), made, past.sequences[0], 0, &length), GQA_OK);
  EXPECT_EQ(length, 0);
}

constexpr Storage kPages = {4};
constexpr Storage kRing = {4, /*window=*/11, /*sinks=*/2, /*slack=*/3};
constexpr Storage kRingOfOne = {8, /*window=*/16};
constexpr Storage kI8 = {4, 0, 0, 0, "i8"};
constexpr Storage kI4 = {16, 0, 0, 0, "i4"};

/// The same with a softcap that bends scores, another scale and sinks.
Case adjust(Case test) {
  test.scores = {0.4, 3, /*hasSinks=*/true};
  return test;
}

/// The same with rotary frequencies that are scaled.
Case scale(Case test, gqa_rotary_scaling scaling) {
  test.scaling = scaling;
  return test;
}

INSTANTIATE_TEST_SUITE_P(
    Storages, StoredLayer,
    ::testing::Values(
        scale(Case{32, 4, 4, 8, ElementType::f32, WeightType::F32, false, false, 8, GQA_ROTARY_HALF_SPLIT, kRing},
              GQA_ROTARY_LINEAR),
        adjust({40, 5, 1, 24, ElementType::f32, WeightType::F32, false, true, 10, GQA_ROTARY_INTERLEAVED, kRingOfOne}),
        scale(Case{96, 6, 3, 16, ElementType::f32, WeightType::F32, true, true, 16, GQA_ROTARY_HALF_SPLIT, kI4},
              GQA_ROTARY_YARN),
        Case{40, 5, 1, 24, ElementType::f32, WeightType::F32, false, false, 24, GQA_ROTARY_HALF_SPLIT, kI8},
        adjust({32, 4, 4, 8, ElementType::f16, WeightType::F32, false, false, 8, GQA_ROTARY_HALF_SPLIT, kRing, true}),
        Case{64, 8, 2, 32, ElementType::f16, WeightType::F32, true, false, 32, GQA_ROTARY_HALF_SPLIT, kI8, true}),
    [](const ::testing::TestParamInfo<Case> &info) {
      std::ostringstream name;
      name << info.param;
      return name.str();
    });

INSTANTIATE_TEST_SUITE_P(
    Variants, Layer,
    ::testing::Values(
        Case{32, 4, 4, 8}, // MHA
        scale(Case{96, 6, 3, 16, ElementType::f32, WeightType::F32, /*hasBiases=*/true, /*hasNorms=*/true, 16},
              GQA_ROTARY_LLAMA3),
        scale(Case{40, 5, 1, 24, ElementType::f32, WeightType::BF16, false, true, 10, GQA_ROTARY_INTERLEAVED},
              GQA_ROTARY_YARN),
        Case{64, 8, 2, 32, ElementType::f16, WeightType::F32, true, false, 32},
        Case{72, 3, 1, 20, ElementType::bf16, WeightType::BF16, false, false, 20},
        Case{32, 4, 4, 8, ElementType::f32, WeightType::F32, false, false, 8, GQA_ROTARY_HALF_SPLIT, kPages},
        Case{96, 6, 3, 16, ElementType::f16, WeightType::F32, true, true, 16, GQA_ROTARY_HALF_SPLIT, kPages},
        Case{40, 5, 1, 24, ElementType::f32, WeightType::F32, false, true, 10, GQA_ROTARY_INTERLEAVED, kPages},
        adjust({96, 6, 3, 16, ElementType::f32, WeightType::F32, true, false, 16, GQA_ROTARY_HALF_SPLIT, kPages}),
        Case{64, 8, 2, 32, ElementType::bf16, WeightType::F32, true, false, 32, GQA_ROTARY_HALF_SPLIT, kPages, true}),
    [](const ::testing::TestParamInfo<Case> &info) {
      std::ostringstream name;
      name << info.param;
      return name.str();
    });

} // namespace
