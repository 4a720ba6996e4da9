// See ../out-of-memory.mlir. Usage: out-of-memory ARTIFACT ENTRY
#include "runtime/gqa.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace {

std::atomic<bool> isCounting;
std::atomic<int64_t> numAllocations, numInCompiledCode, failingAllocation, numLive;

/// Counts an allocation; false if it is the one that is to fail.
bool countAllocation() { return !isCounting || ++numAllocations != failingAllocation; }

void *allocate(void *, int64_t bytes, int64_t alignment) {
  ++numInCompiledCode;
  if (!countAllocation())
    return nullptr;
  ++numLive;
  return std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
}

void deallocate(void *, void *pointer) {
  --numLive;
  std::free(pointer);
}

[[noreturn]] void die(const char *text, int64_t allocation, const char *detail) {
  std::fprintf(stderr, "allocation %lld: %s: %s\n", static_cast<long long>(allocation), text, detail);
  std::exit(1);
}

struct Tensor {
  std::vector<float> data;
  std::vector<int64_t> shape;
  DLTensor view = {};

  explicit Tensor(std::vector<int64_t> extents) : shape(std::move(extents)) {
    int64_t count = 1;
    for (int64_t extent : shape)
      count *= extent;
    for (int64_t i = 0; i < count; ++i)
      data.push_back(static_cast<float>(i * 7919 % 1000) / 1000 - 0.5f);
    view.data = data.data();
    view.device.device_type = kDLCPU;
    view.ndim = static_cast<int32_t>(shape.size());
    view.dtype = {kDLFloat, 32, 1};
    view.shape = shape.data();
  }
};

void run(gqa_context *context, const gqa_artifact *artifact, const char *entry, int threads) {
  gqa_context_set_num_threads(context, threads);
  Tensor query({2, 3, 1, 16}), key({2, 2000, 16}), value({2, 2000, 16}), output({2, 3, 1, 16});
  const DLTensor *inputs[] = {&query.view, &key.view, &value.view};
  DLTensor *outputs[] = {&output.view};
  auto call = [&](int64_t failing) {
    numAllocations = numInCompiledCode = 0;
    failingAllocation = failing;
    isCounting = true;
    gqa_status status = gqa_call(context, artifact, entry, inputs, 3, outputs, 1);
    isCounting = false;
    return status;
  };

  if (call(0) != GQA_OK)
    die("the first call failed", 0, gqa_context_message(context));
  call(0); // the first call made room that the context keeps
  const int64_t total = numAllocations, inCompiledCode = numInCompiledCode;
  const std::vector<float> expected = output.data;
  // So does the longest message.
  for (int64_t failing = 1; failing <= total; ++failing)
    call(failing);
  call(0);
  const int64_t live = numLive;
  for (int64_t failing = 1; failing <= total; ++failing) {
    gqa_status status = call(failing);
    if (status != GQA_OUT_OF_MEMORY)
      die("the call did not say that memory is out", failing, gqa_status_name(status));
    if (!std::strstr(gqa_context_message(context), "memory"))
      die("the message does not say that memory is out", failing, gqa_context_message(context));
    std::fill(output.data.begin(), output.data.end(), 0.0f);
    if (call(0) != GQA_OK)
      die("the next call failed", failing, gqa_context_message(context));
    if (output.data != expected)
      die("the next call gave another result", failing, "");
    if (numLive != live)
      die("memory leaked", failing, "");
  }
  std::printf("%d thread%s: each of %lld allocations failed once, %lld of them in compiled code\n", threads,
              threads == 1 ? "" : "s", static_cast<long long>(total), static_cast<long long>(inCompiledCode));
}

} // namespace

void *operator new(size_t bytes) {
  void *pointer = countAllocation() ? std::malloc(bytes ? bytes : 1) : nullptr;
  if (!pointer)
    throw std::bad_alloc();
  ++numLive;
  return pointer;
}

void operator delete(void *pointer) noexcept {
  if (pointer)
    --numLive;
  std::free(pointer);
}

void operator delete(void *pointer, size_t) noexcept { operator delete(pointer); }

int main(int, char **argv) {
  gqa_options options = {};
  options.allocate = allocate;
  options.deallocate = deallocate;
  gqa_context *context = gqa_context_create(&options);
  gqa_artifact *artifact = nullptr;
  if (gqa_artifact_load(context, argv[1], &artifact) != GQA_OK)
    die("cannot load", 0, gqa_context_message(context));
  for (int threads : {1, 2})
    run(context, artifact, argv[2], threads);
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  return 0;
}
