// Many sequences of one cache, appended, attended, merged, truncated, forked, removed and saved in several threads,
// through the C interface. Each result has the bits that the same calls give on one thread, and is near a sum in
// double; ThreadSanitizer says whether sequences disturb each other.

#include "Inputs/attend-layers.h"
#include "test/unit/runtime/TestTensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using gqa::test::Tensor;

constexpr int64_t kHeads = KV_HEADS * GROUP, kPrefixTokens = 21;
constexpr int kNumThreads = 4, kNumRounds = 10;
constexpr int32_t kPages = 0, kRing = 1, kNumLayers = 2;
const char *const kEntries[] = {"pages", "ring"};

/// How tasks of a call run: by OpenMP, or by two threads of a caller that has its own.
void runOnTwoThreads(void *, int64_t numTasks, void (*task)(void *arg, int64_t index), void *arg) {
  auto runHalf = [=](int64_t first) {
    for (int64_t i = first; i < numTasks; i += 2)
      task(arg, i);
  };
  std::thread other(runHalf, 1);
  runHalf(0);
  other.join();
}

struct Setting {
  const char *name;
  const char *artifacts[kNumLayers];
  bool hasOwnThreads;
};

using Context = std::unique_ptr<gqa_context, void (*)(gqa_context *)>;

Context makeContext(const Setting &setting) {
  gqa_options options = {};
  options.num_threads = 2;
  if (setting.hasOwnThreads)
    options.parallel_for = runOnTwoThreads;
  return {gqa_context_create(&options), &gqa_context_destroy};
}

/// One cache, and a sequence that all threads read and fork.
class SharedCache {
public:
  explicit SharedCache(const Setting &setting) : context(makeContext(setting)) {
    gqa_cache_layer layers[kNumLayers] = {};
    for (gqa_cache_layer &layer : layers) {
      layer.num_kv_heads = KV_HEADS;
      layer.key_dim = KEY_DIM;
      layer.value_dim = VALUE_DIM;
      layer.storage = GQA_CACHE_PAGED;
    }
    layers[kRing].storage = GQA_CACHE_RING;
    layers[kRing].key_type = GQA_CACHE_I8;
    layers[kRing].window = WINDOW;
    layers[kRing].sinks = SINKS;
    layers[kRing].slack = SLACK;
    gqa_cache_config config = {kNumLayers, layers, /*max_sequences=*/1 + 3 * kNumThreads, /*max_tokens=*/700,
                               PAGE_SIZE};
    check(gqa_cache_create(context.get(), &config, &cache));
    for (int32_t layer = 0; layer < kNumLayers; ++layer)
      check(gqa_artifact_load(context.get(), setting.artifacts[layer], &artifacts[layer]));
  }
  ~SharedCache() {
    gqa_cache_destroy(cache);
    for (gqa_artifact *artifact : artifacts)
      gqa_artifact_destroy(artifact);
  }
  SharedCache(const SharedCache &) = delete;

  gqa_cache *cache = nullptr;
  gqa_artifact *artifacts[kNumLayers] = {};
  gqa_sequence prefix = 0;

private:
  void check(gqa_status status) { ASSERT_EQ(status, GQA_OK) << gqa_context_message(context.get()); }

  Context context;
};

/// What one thread does. All of its numbers come from its own seed.
class Worker {
public:
  Worker(SharedCache &shared, const Setting &setting, unsigned seed)
      : shared(shared), cache(shared.cache), context(makeContext(setting)), number(seed), seed(seed) {}

  void makePrefix() {
    shared.prefix = add();
    append({shared.prefix}, {kPrefixTokens});
  }

  void run() {
    for (int round = 0; round < kNumRounds && error.empty(); ++round) {
      // A ring can be forked near its end only.
      int64_t length = kPrefixTokens - round % (SLACK + 1);
      gqa_sequence a = fork(shared.prefix, length);
      append({a}, {1 + round % (SLACK + 1)});
      attend({shared.prefix, a}, {1 + round % 2, 1 + round % (SLACK + 1)});
      gqa_sequence b = fork(a, getLength(a));
      check(gqa_cache_reserve(context.get(), cache, &b, &kMore, 1));
      append({a, b}, {1, 3});
      attend({a, b, shared.prefix}, {1, 1, 1});
      check(gqa_cache_truncate(context.get(), cache, b, getLength(b) - 2));
      append({b, a}, {2, 1});
      attend({b, a}, {2, 1});
      attend({b, a}, {1, 1});
      remove(a);
      if (round % 4 == 0)
        saveAndLoad(b);
      remove(b);
    }
  }

  std::vector<float> log; ///< all outputs
  std::string error;      ///< the first one; assertions of GoogleTest are for one thread
  double worst = 0;       ///< the greatest difference to a sum in double

private:
  static constexpr int64_t kMore = 3;

  void check(gqa_status status) {
    if (status != GQA_OK && error.empty())
      error = gqa_context_message(context.get());
  }

  float draw() {
    seed = seed * 1664525u + 1013904223u;
    return static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
  }
  void fill(Tensor &tensor) {
    for (float &element : tensor.data)
      element = draw();
  }

  gqa_sequence add() {
    gqa_sequence sequence = 0;
    check(gqa_cache_add(context.get(), cache, &sequence));
    return sequence;
  }
  gqa_sequence fork(gqa_sequence source, int64_t length) {
    gqa_sequence sequence = 0;
    check(gqa_cache_fork(context.get(), cache, source, length, &sequence));
    return sequence;
  }
  void remove(gqa_sequence sequence) { check(gqa_cache_remove(context.get(), cache, sequence)); }
  int64_t getLength(gqa_sequence sequence) {
    int64_t length = 0;
    check(gqa_cache_length(context.get(), cache, sequence, kPages, &length));
    return length;
  }

  static int64_t sum(const std::vector<int64_t> &counts) {
    int64_t total = 0;
    for (int64_t count : counts)
      total += count;
    return total;
  }

  void append(const std::vector<gqa_sequence> &sequences, const std::vector<int64_t> &counts) {
    Tensor keys({sum(counts), KV_HEADS, KEY_DIM}), values({sum(counts), KV_HEADS, VALUE_DIM});
    fill(keys);
    fill(values);
    for (int32_t layer = 0; layer < kNumLayers; ++layer)
      check(gqa_cache_append(context.get(), cache, layer, sequences.data(), counts.data(),
                             static_cast<int32_t>(sequences.size()), &keys.dl, &values.dl));
  }

  /// Attends in both layers, and merges the two results.
  void attend(const std::vector<gqa_sequence> &sequences, const std::vector<int64_t> &counts) {
    int64_t tokens = sum(counts);
    Tensor queries({tokens, kHeads, KEY_DIM}), merged({tokens, kHeads, VALUE_DIM}), mergedLse({tokens, kHeads});
    fill(queries);
    std::vector<std::unique_ptr<Tensor>> outputs, lses;
    const DLTensor *outputParts[kNumLayers], *lseParts[kNumLayers];
    for (int32_t layer = 0; layer < kNumLayers; ++layer) {
      outputs.push_back(std::make_unique<Tensor>(std::vector<int64_t>{tokens, kHeads, VALUE_DIM}));
      lses.push_back(std::make_unique<Tensor>(std::vector<int64_t>{tokens, kHeads}));
      gqa_attend_arguments arguments = {};
      arguments.queries = &queries.dl;
      outputParts[layer] = arguments.output = &outputs.back()->dl;
      lseParts[layer] = arguments.lse = &lses.back()->dl;
      check(gqa_cache_attend(context.get(), cache, shared.artifacts[layer], kEntries[layer], layer, sequences.data(),
                             counts.data(), static_cast<int32_t>(sequences.size()), &arguments));
      compareLastQueries(layer, sequences, counts, queries, *outputs.back());
      keep(*outputs.back());
      keep(*lses.back());
    }
    check(gqa_merge(context.get(), outputParts, lseParts, kNumLayers, &merged.dl, &mergedLse.dl));
    keep(merged);
    keep(mergedLse);
  }

  void keep(const Tensor &tensor) { log.insert(log.end(), tensor.data.begin(), tensor.data.end()); }

  /// Compares the output of the last query of each sequence with a sum over what the cache says that it stores.
  void compareLastQueries(int32_t layer, const std::vector<gqa_sequence> &sequences, const std::vector<int64_t> &counts,
                          const Tensor &queries, const Tensor &output) {
    int64_t end = 0;
    for (size_t i = 0; i < sequences.size() && error.empty(); ++i) {
      end += counts[i];
      int64_t length = getLength(sequences[i]);
      int64_t begin = layer == kRing ? std::max<int64_t>(SINKS, length - WINDOW) : 0,
              sinks = std::min<int64_t>(begin, SINKS);
      Tensor keys({length - begin + sinks, KV_HEADS, KEY_DIM}), values({length - begin + sinks, KV_HEADS, VALUE_DIM});
      read(layer, sequences[i], 0, sinks, keys, values, 0);
      read(layer, sequences[i], begin, length - begin, keys, values, sinks);
      for (int64_t h = 0; h < kHeads; ++h)
        compare(&queries.data[static_cast<size_t>(((end - 1) * kHeads + h) * KEY_DIM)], keys, values, h / GROUP,
                &output.data[static_cast<size_t>(((end - 1) * kHeads + h) * VALUE_DIM)]);
    }
  }

  /// Reads `count` tokens to row `row` of `keys` and `values`.
  void read(int32_t layer, gqa_sequence sequence, int64_t begin, int64_t count, Tensor &keys, Tensor &values,
            int64_t row) {
    Tensor keyPart({count, KV_HEADS, KEY_DIM}), valuePart({count, KV_HEADS, VALUE_DIM});
    if (count > 0)
      check(gqa_cache_read(context.get(), cache, sequence, layer, begin, &keyPart.dl, &valuePart.dl));
    std::copy(keyPart.data.begin(), keyPart.data.end(), keys.data.begin() + row * KV_HEADS * KEY_DIM);
    std::copy(valuePart.data.begin(), valuePart.data.end(), values.data.begin() + row * KV_HEADS * VALUE_DIM);
  }

  void compare(const float *query, const Tensor &keys, const Tensor &values, int64_t head, const float *output) {
    double expected[VALUE_DIM] = {}, total = 0;
    for (int64_t n = 0; n < keys.shape[0]; ++n) {
      double score = 0;
      for (int64_t d = 0; d < KEY_DIM; ++d)
        score += double(query[d]) * keys.data[static_cast<size_t>((n * KV_HEADS + head) * KEY_DIM + d)];
      double weight = std::exp(score / std::sqrt(double(KEY_DIM)));
      total += weight;
      for (int64_t d = 0; d < VALUE_DIM; ++d)
        expected[d] += weight * values.data[static_cast<size_t>((n * KV_HEADS + head) * VALUE_DIM + d)];
    }
    for (int64_t d = 0; d < VALUE_DIM; ++d) {
      double difference = std::fabs(output[d] - expected[d] / total);
      worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    }
  }

  /// A sequence that went to a file and back gives the same bits.
  void saveAndLoad(gqa_sequence sequence) {
    std::string path =
        ::testing::TempDir() + "gqa-attend-thread-" + std::to_string(getpid()) + "-" + std::to_string(number);
    check(gqa_cache_save(context.get(), cache, sequence, path.c_str()));
    gqa_sequence loaded = 0;
    check(gqa_cache_load(context.get(), cache, path.c_str(), &loaded));
    unlink(path.c_str());
    size_t begin = log.size();
    unsigned before = seed;
    attend({sequence}, {1});
    size_t size = log.size() - begin;
    seed = before;
    attend({loaded}, {1});
    if (error.empty() && std::memcmp(&log[begin], &log[begin + size], size * sizeof(float)) != 0)
      error = "a loaded sequence gives other bits";
    remove(loaded);
  }

  SharedCache &shared;
  gqa_cache *cache;
  Context context;
  unsigned number, seed;
};

class AttendThreads : public ::testing::TestWithParam<Setting> {
protected:
  /// The logs of all workers, one after the other or at once.
  std::vector<std::vector<float>> runWorkers(bool isParallel) {
    SharedCache shared(GetParam());
    Worker first(shared, GetParam(), 99);
    first.makePrefix();
    std::vector<std::unique_ptr<Worker>> workers;
    for (unsigned i = 0; i < kNumThreads; ++i)
      workers.push_back(std::make_unique<Worker>(shared, GetParam(), i));
    std::vector<std::thread> threads;
    for (auto &worker : workers) {
      if (isParallel)
        threads.emplace_back([&worker] { worker->run(); });
      else
        worker->run();
    }
    for (std::thread &thread : threads)
      thread.join();
    std::vector<std::vector<float>> logs;
    for (auto &worker : workers) {
      EXPECT_EQ(worker->error, "");
      EXPECT_LT(worker->worst, 2e-6);
      logs.push_back(worker->log);
    }
    return logs;
  }
};

TEST_P(AttendThreads, GiveTheBitsOfOneThread) {
  auto alone = runWorkers(/*isParallel=*/false), together = runWorkers(/*isParallel=*/true);
  ASSERT_EQ(alone.size(), together.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    ASSERT_EQ(alone[i].size(), together[i].size());
    ASSERT_GT(alone[i].size(), 10000u);
    EXPECT_EQ(std::memcmp(alone[i].data(), together[i].data(), alone[i].size() * sizeof(float)), 0) << "worker " << i;
  }
}

std::vector<Setting> listSettings() {
  std::vector<Setting> settings;
  for (bool hasOwnThreads : {true, false}) {
    const char *plain = GQA_PLAIN_ARTIFACT;
    settings.push_back({hasOwnThreads ? "PlainLoopsOwnThreads" : "PlainLoopsOpenMP", {plain, plain}, hasOwnThreads});
#ifdef GQA_COMPILED_PAGES
    settings.push_back({hasOwnThreads ? "CompiledOwnThreads" : "CompiledOpenMP",
                        {GQA_COMPILED_PAGES, GQA_COMPILED_RING},
                        hasOwnThreads});
#endif
  }
  return settings;
}

INSTANTIATE_TEST_SUITE_P(Artifacts, AttendThreads, ::testing::ValuesIn(listSettings()),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
