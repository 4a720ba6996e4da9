// The caller's threads and memory.

#include "TestArtifact.h"

#include <atomic>
#include <stdexcept>
#include <thread>

namespace gqa::test {
namespace {

std::vector<float> getExpected(const char *entry = "attention") {
  bool isDecode = std::string(entry) == "decode";
  TestArtifact artifact;
  Tensors tensors(isDecode ? 1 : 3, isDecode ? 1 : 70, isDecode ? 4096 : 90);
  EXPECT_EQ(tensors.call(artifact, entry), GQA_OK) << artifact.getMessage();
  return tensors.o.data;
}

/// Runs an entry with these callbacks and compares the bits.
void expectSame(const gqa_options &options, const char *entry = "attention") {
  bool isDecode = std::string(entry) == "decode";
  TestArtifact artifact(options);
  Tensors tensors(isDecode ? 1 : 3, isDecode ? 1 : 70, isDecode ? 4096 : 90);
  ASSERT_EQ(tensors.call(artifact, entry), GQA_OK) << artifact.getMessage();
  EXPECT_EQ(tensors.o.data, getExpected(entry));
}

using Task = void (*)(void *, int64_t);

TEST(ParallelFor, TasksMayRunInAnyOrder) {
  gqa_options options = {};
  int64_t most = 0;
  options.state = &most;
  options.parallel_for = [](void *state, int64_t numTasks, Task task, void *arg) {
    *static_cast<int64_t *>(state) = std::max(*static_cast<int64_t *>(state), numTasks);
    for (int64_t i = numTasks; i-- > 0;)
      task(arg, i);
  };
  for (const char *entry : {"attention", "decode"}) {
    most = 0;
    expectSame(options, entry);
    EXPECT_GT(most, 1) << "or there is no order";
  }
}

TEST(ParallelFor, TasksMayRunOnAnyThreads) {
  gqa_options options = {};
  options.parallel_for = [](void *, int64_t numTasks, Task task, void *arg) {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int64_t index; (index = next++) < numTasks;)
          task(arg, index);
      });
    for (std::thread &thread : threads)
      thread.join();
  };
  for (const char *entry : {"attention", "decode"})
    expectSame(options, entry);
}

// A task of the caller's pool calls another entry, with a context of its own, while the first call runs.
TEST(ParallelFor, CallsMayBeNested) {
  static TestArtifact *inner;
  TestArtifact innerArtifact;
  inner = &innerArtifact;
  gqa_options options = {};
  int64_t calls = 0;
  options.state = &calls;
  options.parallel_for = [](void *state, int64_t numTasks, Task task, void *arg) {
    for (int64_t i = 0; i < numTasks; ++i) {
      Tensors tensors(1, 5, 9);
      EXPECT_EQ(tensors.call(*inner), GQA_OK);
      ++*static_cast<int64_t *>(state);
      task(arg, i);
    }
  };
  expectSame(options);
  EXPECT_GT(calls, 1);
}

TEST(ParallelFor, ManyContextsShareAnArtifact) {
  TestArtifact shared;
  std::vector<float> expected = getExpected();
  std::atomic<int> mistakes{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      gqa_options options = {};
      options.num_threads = 1;
      gqa_context *context = gqa_context_create(&options);
      for (int round = 0; round < 5; ++round) {
        Tensors tensors(3, 70, 90);
        const DLTensor *inputs[] = {&tensors.q.dl, &tensors.k.dl, &tensors.v.dl};
        DLTensor *output = &tensors.o.dl;
        mistakes += gqa_call(context, shared.artifact, "attention", inputs, 3, &output, 1) != GQA_OK;
        mistakes += tensors.o.data != expected;
      }
      gqa_context_destroy(context);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(mistakes, 0);
}

TEST(ParallelFor, MayThrow) {
  gqa_options options = {};
  options.parallel_for = [](void *, int64_t, Task, void *) { throw std::runtime_error("no threads today"); };
  TestArtifact artifact(options);
  Tensors tensors(3, 70, 90);
  EXPECT_EQ(tensors.call(artifact), GQA_EXECUTION_FAILED);
  EXPECT_EQ(artifact.getMessage(), "'attention' failed: the caller's parallel_for has thrown an exception");
  EXPECT_EQ(tensors.call(artifact, "nothing"), GQA_NOT_FOUND);
}

/// Counts what is taken and given back; fails, or throws, at the nth allocation.
struct Memory {
  std::atomic<int64_t> count{0}, live{0};
  int64_t failAt = -1;
  bool isThrowing = false;

  gqa_options getOptions() {
    gqa_options options = {};
    options.state = this;
    options.allocate = [](void *state, int64_t bytes, int64_t alignment) -> void * {
      auto *memory = static_cast<Memory *>(state);
      if (memory->count++ == memory->failAt) {
        if (memory->isThrowing)
          throw std::bad_alloc();
        return nullptr;
      }
      ++memory->live;
      return std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
    };
    options.deallocate = [](void *state, void *pointer) {
      auto *memory = static_cast<Memory *>(state);
      --memory->live;
      std::free(pointer);
      if (memory->isThrowing)
        throw std::logic_error("deallocate throws as well");
    };
    return options;
  }
};

TEST(Allocator, EveryAllocationMayFailOrThrow) {
  int64_t failures = 0;
  for (bool isThrowing : {false, true})
    for (const char *entry : {"attention", "decode"})
      for (int64_t failAt = 0;; ++failAt) {
        Memory memory;
        memory.failAt = failAt;
        memory.isThrowing = isThrowing;
        TestArtifact artifact(memory.getOptions());
        bool isDecode = std::string(entry) == "decode";
        Tensors tensors(isDecode ? 1 : 3, isDecode ? 1 : 70, isDecode ? 4096 : 90);
        gqa_status status = tensors.call(artifact, entry);
        EXPECT_EQ(memory.live, 0);
        if (memory.count <= failAt) {
          EXPECT_EQ(status, GQA_OK);
          EXPECT_EQ(tensors.o.data, getExpected(entry));
          break;
        }
        ++failures;
        EXPECT_EQ(status, GQA_OUT_OF_MEMORY);
        EXPECT_EQ(artifact.getMessage(), std::string("'") + entry + "' ran out of memory");
      }
  EXPECT_GE(failures, 2) << "an entry that takes memory";
}

TEST(Allocator, CachesSurviveCallbacksThatThrow) {
  Memory memory;
  memory.isThrowing = true;
  gqa_options options = memory.getOptions();
  gqa_context *context = gqa_context_create(&options);
  gqa_cache_layer layer = {};
  layer.num_kv_heads = layer.key_dim = layer.value_dim = 2;
  layer.storage = GQA_CACHE_PAGED;
  gqa_cache_config config = {1, &layer, 1, 4, 4};
  for (int64_t failAt : {0, 1, -1}) {
    memory.count = 0;
    memory.failAt = failAt;
    gqa_cache *cache = nullptr;
    EXPECT_EQ(gqa_cache_create(context, &config, &cache), failAt < 0 ? GQA_OK : GQA_OUT_OF_MEMORY);
    EXPECT_EQ(cache != nullptr, failAt < 0);
    gqa_cache_destroy(cache);
    EXPECT_EQ(memory.live, 0);
  }
  gqa_context_destroy(context);
}

TEST(Context, OptionsMustBeConsistent) {
  gqa_options options = {};
  options.num_threads = -1;
  EXPECT_EQ(gqa_context_create(&options), nullptr);
  options = {};
  options.deallocate = [](void *, void *) {};
  EXPECT_EQ(gqa_context_create(&options), nullptr);
}

} // namespace
} // namespace gqa::test
