// Random histories of operations against the list of tokens that a cache stands for, with failing allocations.

#include "CacheModel.h"
#include "FailingMemory.h"
#include "runtime/cache/SequenceFile.h"

#include <cstdlib>
#include <map>
#include <random>
#include <unistd.h>

namespace gqa::test {
namespace {

/// GQA_CACHE_OPERATIONS sets how long the histories are.
int64_t getNumOperations() {
  const char *text = std::getenv("GQA_CACHE_OPERATIONS");
  return text ? std::atoll(text) : 5000;
}

cache::CacheConfig makeConfig(int64_t pageSize) {
  cache::CacheConfig config;
  config.pageSize = pageSize;
  config.maxSequences = 7;
  config.maxTokens = 100;
  config.layers.push_back(makeLayer(StorageKind::Paged, ElementType::F32, ElementType::F32, 2, 6, 3));
  config.layers.push_back(makeLayer(StorageKind::Paged, ElementType::I8, ElementType::F16, 3, 4, 8));
  config.layers.push_back(makeLayer(StorageKind::Contiguous, ElementType::BF16, ElementType::I4, 1, 5, 4));
  config.layers.back().capacity = 45;
  config.layers.push_back(makeLayer(StorageKind::Ring, ElementType::F32, ElementType::F8E4M3, 2, 4, 4));
  config.layers.back().window = 9;
  config.layers.back().sinks = 2;
  config.layers.back().slack = 3;
  config.layers.push_back(makeLayer(StorageKind::Ring, ElementType::I4, ElementType::F32, 1, 8, 2));
  config.layers.back().window = 16;
  return config;
}

class History {
public:
  explicit History(int64_t pageSize)
      : cache(makeConfig(pageSize), getFailingAllocator()), random(static_cast<uint32_t>(pageSize)),
        path(::testing::TempDir() + "gqa-history-" + std::to_string(getpid())) {}
  ~History() { unlink(path.c_str()); }

  void step() {
    switch (draw(16)) {
    case 0:
      add();
      break;
    case 1:
    case 2:
      fork();
      break;
    case 3:
      remove();
      break;
    case 4:
    case 5:
      truncate();
      break;
    case 6:
      reserve();
      break;
    case 7:
      draw(20) == 0 ? saveAndLoad() : expectAll();
      break;
    default:
      append();
    }
  }

  void expectAll() {
    for (const auto &[id, layers] : model)
      for (size_t layer = 0; layer < layers.size(); ++layer)
        ASSERT_NO_FATAL_FAILURE(layers[layer].expect(cache, static_cast<int64_t>(layer), id));
  }

  /// Without sequences nothing is in use.
  void expectNoLeak() {
    while (!model.empty())
      remove();
    for (int64_t layer = 0; layer < cache.getNumLayers(); ++layer)
      EXPECT_EQ(cache.getLayer(layer).getPool().getNumFree(), cache.getLayer(layer).getPool().getNumBlocks());
  }

  int64_t numDone = 0, numOutOfMemory = 0, numRefused = 0;

private:
  using Sequence = std::vector<LayerModel>;

  int64_t draw(int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); }

  std::map<SequenceId, Sequence>::iterator pick() {
    return model.empty() ? model.end() : std::next(model.begin(), draw(static_cast<int64_t>(model.size())));
  }

  /// Runs an operation, sometimes with a failing allocation; whether it has succeeded. If not, nothing may have
  /// changed.
  template <typename Body> bool attempt(Body body, bool mayRefuse = false) {
    if (draw(4) == 0)
      failAllocationAfter(draw(6));
    Failure failure = catchFailure(body);
    stopFailing();
    numDone += failure.status == GQA_OK;
    numOutOfMemory += failure.status == GQA_OUT_OF_MEMORY;
    numRefused += failure.status == GQA_INVALID_ARGUMENT;
    if (failure.status == GQA_OK)
      return true;
    EXPECT_TRUE(failure.status == GQA_OUT_OF_MEMORY || (mayRefuse && failure.status == GQA_INVALID_ARGUMENT))
        << failure.message;
    expectAll();
    return false;
  }

  Sequence makeEmpty() const {
    Sequence sequence;
    for (const LayerConfig &layer : cache.getConfig().layers)
      sequence.emplace_back(layer);
    return sequence;
  }

  void add() {
    SequenceId id = 0;
    if (attempt([&] { id = cache.add(); }))
      model.emplace(id, makeEmpty());
  }

  static int64_t getLongest(const Sequence &sequence) {
    int64_t longest = 0;
    for (const LayerModel &layer : sequence)
      longest = std::max(longest, layer.getLength());
    return longest;
  }

  static bool canTruncate(const Sequence &sequence, int64_t length) {
    return std::all_of(sequence.begin(), sequence.end(),
                       [&](const LayerModel &layer) { return layer.canTruncate(std::min(length, layer.getLength())); });
  }

  static void truncate(Sequence &sequence, int64_t length) {
    for (LayerModel &layer : sequence)
      layer.truncate(std::min(length, layer.getLength()));
  }

  /// Mostly a little less than all, so that rings can follow.
  int64_t drawLength(int64_t longest) {
    return draw(3) == 0 ? draw(longest + 1) : longest - std::min(longest, draw(4));
  }

  void fork() {
    auto source = pick();
    if (source == model.end())
      return;
    int64_t length = drawLength(getLongest(source->second));
    bool isPossible = canTruncate(source->second, length);
    SequenceId id = 0;
    if (!attempt([&] { id = cache.fork(source->first, length); }, !isPossible))
      return;
    EXPECT_TRUE(isPossible);
    model.emplace(id, source->second);
    truncate(model.at(id), length);
  }

  void remove() {
    auto sequence = pick();
    if (sequence == model.end())
      return;
    cache.remove(sequence->first);
    EXPECT_EQ(catchFailure([&] { cache.getState(sequence->first, 0); }).status, GQA_NOT_FOUND);
    model.erase(sequence);
  }

  void truncate() {
    auto sequence = pick();
    if (sequence == model.end())
      return;
    int64_t length = drawLength(getLongest(sequence->second));
    bool isPossible = canTruncate(sequence->second, length);
    if (!attempt([&] { cache.truncate(sequence->first, length); }, !isPossible))
      return;
    EXPECT_TRUE(isPossible);
    truncate(sequence->second, length);
  }

  /// Some sequences and numbers of tokens.
  void drawBatch(std::vector<SequenceId> &ids, std::vector<int64_t> &counts) {
    for (const auto &entry : model) {
      if (draw(2) == 0)
        continue;
      ids.push_back(entry.first);
      counts.push_back(draw(8) == 0 ? draw(20) : draw(3));
    }
  }

  void reserve() {
    std::vector<SequenceId> ids;
    std::vector<int64_t> counts;
    drawBatch(ids, counts);
    int64_t size = static_cast<int64_t>(ids.size());
    if (!attempt([&] { cache.reserve(ids.data(), counts.data(), size); }))
      return;
    if (draw(2) == 0) // what is reserved does not run out
      for (int64_t layer = 0; layer < cache.getNumLayers(); ++layer)
        EXPECT_TRUE(appendTo(layer, ids, counts, /*isReserved=*/true));
  }

  void append() {
    std::vector<SequenceId> ids;
    std::vector<int64_t> counts;
    drawBatch(ids, counts);
    int64_t only = draw(2) == 0 ? draw(cache.getNumLayers()) : -1;
    for (int64_t layer = 0; layer < cache.getNumLayers(); ++layer)
      if (only < 0 || layer == only)
        appendTo(layer, ids, counts, /*isReserved=*/false);
  }

  bool appendTo(int64_t layer, const std::vector<SequenceId> &ids, const std::vector<int64_t> &counts,
                bool isReserved) {
    std::vector<uint64_t> tokens;
    std::vector<std::vector<uint64_t>> perSequence;
    for (int64_t count : counts) {
      perSequence.emplace_back();
      for (int64_t i = 0; i < count; ++i)
        perSequence.back().push_back(++lastToken);
      tokens.insert(tokens.end(), perSequence.back().begin(), perSequence.back().end());
    }
    auto body = [&] { test::append(cache, layer, ids, counts, tokens); };
    if (isReserved)
      body();
    else if (!attempt(body))
      return false;
    for (size_t i = 0; i < ids.size(); ++i)
      model.at(ids[i])[static_cast<size_t>(layer)].append(perSequence[i]);
    return true;
  }

  void saveAndLoad() {
    auto source = pick();
    if (source == model.end())
      return;
    if (!attempt([&] { cache::saveSequence(cache, source->first, path); }))
      return;
    SequenceId id = 0;
    if (attempt([&] { id = cache::loadSequence(cache, path); }))
      model.emplace(id, source->second);
  }

  KVCache cache;
  std::map<SequenceId, Sequence> model;
  std::mt19937 random;
  std::string path;
  uint64_t lastToken = 0;
};

class CacheHistory : public ::testing::TestWithParam<int64_t> {};

TEST_P(CacheHistory, HoldsWhatTheModelHolds) {
  History history(GetParam());
  for (int64_t i = 0; i < getNumOperations() && !HasFailure(); ++i)
    history.step();
  history.expectAll();
  // The history is worth something only if all three have happened.
  EXPECT_GT(history.numDone, getNumOperations() / 4);
  EXPECT_GT(history.numOutOfMemory, getNumOperations() / 50);
  EXPECT_GT(history.numRefused, getNumOperations() / 500);
  history.expectNoLeak();
}

INSTANTIATE_TEST_SUITE_P(PageSizes, CacheHistory, ::testing::Values(1, 4, 16));

} // namespace
} // namespace gqa::test
