// Many sequences in several threads; ThreadSanitizer says whether they disturb each other.

#include "CacheModel.h"
#include "runtime/MergePartials.h"

#include <thread>

namespace gqa::test {
namespace {

constexpr int64_t kPrefixTokens = 21, kHeads = 2, kDim = 8;
constexpr int kNumThreads = 4, kNumRounds = 60;

cache::CacheConfig makeConfig() {
  cache::CacheConfig config;
  config.pageSize = 4;
  config.maxSequences = 1 + 3 * kNumThreads;
  config.maxTokens = 600;
  config.layers.push_back(makeLayer(StorageKind::Paged, ElementType::F32, ElementType::F32, kHeads, kDim, kDim));
  config.layers.push_back(makeLayer(StorageKind::Ring, ElementType::I8, ElementType::F16, kHeads, kDim, kDim));
  config.layers.back().window = 8;
  config.layers.back().slack = 3;
  return config;
}

/// Attention of the query (1, 1, ...) over one head of a sequence, read from the blocks as a kernel does.
std::vector<float> attend(const KVCache &cache, SequenceId id, int64_t head) {
  const cache::LayerStore &layer = cache.getLayer(0);
  const cache::LayerState &state = cache.getState(id, 0);
  const auto *keys = static_cast<const float *>(layer.getKeys().getRows());
  const auto *values = static_cast<const float *>(layer.getValues().getRows());
  int64_t page = layer.getSlots().blockTokens;
  std::vector<Partial> partials;
  for (int64_t n = 0; n < state.length; ++n) {
    int64_t row = (state.table[static_cast<size_t>(n / page)] * kHeads + head) * page + n % page;
    float score = 0;
    for (int64_t d = 0; d < kDim; ++d)
      score += keys[row * kDim + d];
    partials.push_back({values + row * kDim, score});
  }
  std::vector<double> weights(partials.size());
  std::vector<float> output(kDim);
  mergePartials(partials.data(), state.length, kDim, weights.data(), output.data());
  return output;
}

/// The same from the tokens.
std::vector<float> attend(const std::vector<uint64_t> &tokens, int64_t head) {
  std::vector<double> output(kDim, 0);
  double sum = 0;
  for (uint64_t token : tokens) {
    double score = 0;
    for (int64_t d = 0; d < kDim; ++d)
      score += makeElement(token, 0, head, /*isKey=*/true, d);
    sum += std::exp(score);
    for (int64_t d = 0; d < kDim; ++d)
      output[static_cast<size_t>(d)] += std::exp(score) * makeElement(token, 0, head, /*isKey=*/false, d);
  }
  std::vector<float> result;
  for (double x : output)
    result.push_back(static_cast<float>(x / sum));
  return result;
}

/// What one thread does: forks of the common prefix and of each other, appended, attended, truncated and removed.
/// Returns the number of mistakes.
int work(KVCache &cache, SequenceId prefix, const std::vector<uint64_t> &prefixTokens, uint64_t thread) {
  int mistakes = 0;
  uint64_t token = 1000000 * (thread + 1);
  auto expect = [&](SequenceId id, const std::vector<uint64_t> &tokens) {
    for (int64_t head = 0; head < kHeads; ++head) {
      std::vector<float> got = attend(cache, id, head), wanted = attend(tokens, head);
      for (size_t d = 0; d < got.size(); ++d)
        mistakes += !(std::fabs(got[d] - wanted[d]) < 1e-5f);
    }
  };
  for (int round = 0; round < kNumRounds; ++round) {
    // A ring can be forked near its end only.
    SequenceId id = cache.fork(prefix, kPrefixTokens - round % 3);
    std::vector<uint64_t> tokens(prefixTokens.begin(), prefixTokens.end() - round % 3);
    for (int step = 0; step < 3; ++step) {
      std::vector<uint64_t> more = {++token, ++token};
      for (int64_t layer : {0, 1})
        append(cache, layer, {id}, {2}, more);
      tokens.insert(tokens.end(), more.begin(), more.end());
      expect(id, tokens);
    }
    SequenceId other = cache.fork(id, static_cast<int64_t>(tokens.size()));
    cache.truncate(id, static_cast<int64_t>(tokens.size()) - 1);
    append(cache, 0, {id}, {1}, {++token});
    append(cache, 1, {id}, {1}, {token});
    expect(other, tokens);
    tokens.back() = token;
    expect(id, tokens);
    cache.remove(id);
    cache.remove(other);
  }
  return mistakes;
}

TEST(CacheThreads, SequencesDoNotDisturbEachOther) {
  KVCache cache(makeConfig(), cache::Allocator::getDefault());
  SequenceId prefix = cache.add();
  std::vector<uint64_t> tokens;
  for (uint64_t token = 1; token <= kPrefixTokens; ++token)
    tokens.push_back(token);
  for (int64_t layer : {0, 1})
    append(cache, layer, {prefix}, {kPrefixTokens}, tokens);
  std::vector<int> mistakes(kNumThreads, -1);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kNumThreads; ++thread)
    threads.emplace_back([&, thread] {
      mistakes[static_cast<size_t>(thread)] = work(cache, prefix, tokens, static_cast<uint64_t>(thread));
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(mistakes, std::vector<int>(kNumThreads, 0));
  EXPECT_EQ(cache.getNumSequences(), 1);
  cache.remove(prefix);
  for (int64_t layer : {0, 1})
    EXPECT_EQ(cache.getLayer(layer).getPool().getNumFree(), cache.getLayer(layer).getPool().getNumBlocks());
}

// Two sequences that share a page both write it: each waits for nobody and gets what it wrote.
TEST(CacheThreads, ForksWriteTheirCommonPageAtOnce) {
  for (int round = 0; round < 100; ++round) {
    KVCache cache(makeConfig(), cache::Allocator::getDefault());
    SequenceId a = cache.add();
    append(cache, 0, {a}, {2}, {1, 2});
    SequenceId b = cache.fork(a, 2);
    std::thread first([&] { append(cache, 0, {a}, {1}, {30}); });
    std::thread second([&] { append(cache, 0, {b}, {1}, {31}); });
    first.join();
    second.join();
    for (int64_t position : {0, 1}) {
      expectToken(cache, 0, a, position, static_cast<uint64_t>(position) + 1);
      expectToken(cache, 0, b, position, static_cast<uint64_t>(position) + 1);
    }
    expectToken(cache, 0, a, 2, 30);
    expectToken(cache, 0, b, 2, 31);
  }
}

} // namespace
} // namespace gqa::test
