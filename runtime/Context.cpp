#include "runtime/Context.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <omp.h>

/// More threads than this per processor only wait for each other.
static constexpr int64_t kMaxThreadsPerProcessor = 8;

gqa_host gqa_context::getHost() { return {parallelFor, allocate, deallocate, reportError, this, /*device=*/nullptr}; }

const std::shared_ptr<const gqa::cuda::Device> &gqa_context::getDevice(int ordinal) {
  auto it = devices.find(ordinal);
  if (it == devices.end())
    it = devices.emplace(ordinal, gqa::cuda::Device::open(ordinal)).first;
  return it->second;
}

const gqa::cuda::AttendProgram &gqa_context::getAttendProgram(int ordinal) {
  std::unique_ptr<const gqa::cuda::AttendProgram> &program = attendPrograms[ordinal];
  if (!program)
    program = std::make_unique<gqa::cuda::AttendProgram>(getDevice(ordinal));
  return *program;
}

// Callbacks are C functions, but callers write them in C++, too. What they throw ends here: compiled code has no way to
// pass it on.

void *gqa_context::takeMemory(int64_t bytes, int64_t alignment) const noexcept {
  try {
    return options.allocate ? options.allocate(options.state, bytes, alignment)
                            : std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
  } catch (...) {
    return nullptr;
  }
}

void gqa_context::returnMemory(void *pointer) const noexcept {
  try {
    if (options.deallocate)
      options.deallocate(options.state, pointer);
    else
      std::free(pointer);
  } catch (...) {
    // There is nobody left to be told.
  }
}

void gqa_context::releaseLeftovers() {
  for (void *pointer : live)
    returnMemory(pointer);
  live.clear();
}

void gqa_context::parallelFor(void *state, int64_t numTasks, void (*task)(void *, int64_t), void *arg) {
  auto *context = static_cast<gqa_context *>(state);
  const gqa_options &options = context->options;
  if (options.parallel_for) {
    try {
      options.parallel_for(options.state, numTasks, task, arg);
    } catch (...) {
      context->hasFailedCallback = true;
    }
    return;
  }
  int wanted = options.num_threads > 0 ? options.num_threads : omp_get_max_threads();
  // OpenMP ends the program where it cannot have its threads, so only those are asked for that can have work.
  int useful = static_cast<int>(std::min<int64_t>(numTasks, kMaxThreadsPerProcessor * omp_get_num_procs()));
  int threads = std::max(1, std::min(wanted, useful));
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t index = 0; index < numTasks; ++index)
    task(arg, index);
}

void *gqa_context::allocate(void *state, int64_t bytes, int64_t alignment) {
  auto *context = static_cast<gqa_context *>(state);
  if (bytes < 0 || bytes > INT64_MAX - alignment)
    return nullptr;
  // aligned_alloc wants a multiple of the alignment, and an empty buffer an address.
  int64_t rounded = (bytes + alignment) / alignment * alignment;
  void *pointer = context->takeMemory(rounded, alignment);
  if (!pointer)
    return nullptr;
  try {
    std::lock_guard<std::mutex> lock(context->mutex);
    context->live.insert(pointer);
  } catch (...) {
    context->returnMemory(pointer);
    return nullptr;
  }
  return pointer;
}

void gqa_context::deallocate(void *state, void *pointer) {
  auto *context = static_cast<gqa_context *>(state);
  {
    std::lock_guard<std::mutex> lock(context->mutex);
    context->live.erase(pointer);
  }
  context->returnMemory(pointer);
}

void gqa_context::reportError(void *state, const char *text) {
  auto *context = static_cast<gqa_context *>(state);
  try {
    std::lock_guard<std::mutex> lock(context->mutex);
    context->message = text;
  } catch (...) {
    // The status still says that the call failed.
  }
}

extern "C" {

GQA_API const char *gqa_status_name(gqa_status status) {
  // C callers may pass any number; an enumeration of C++ need not hold it.
  int value;
  std::memcpy(&value, &status, sizeof value);
  switch (value) {
  case GQA_OK:
    return "ok";
  case GQA_INVALID_ARGUMENT:
    return "invalid argument";
  case GQA_NOT_FOUND:
    return "not found";
  case GQA_IO_ERROR:
    return "input/output error";
  case GQA_BAD_ARTIFACT:
    return "bad artifact";
  case GQA_UNSUPPORTED_TARGET:
    return "unsupported target";
  case GQA_OUT_OF_MEMORY:
    return "out of memory";
  case GQA_EXECUTION_FAILED:
    return "execution failed";
  case GQA_INTERNAL_ERROR:
    return "internal error";
  case GQA_BAD_CACHE_FILE:
    return "bad cache file";
  case GQA_NO_DEVICE:
    return "no device";
  case GQA_DEVICE_ERROR:
    return "device error";
  }
  return "unknown status";
}

GQA_API int32_t gqa_version(void) { return GQA_API_VERSION_MAJOR * 1000 + GQA_API_VERSION_MINOR; }

GQA_API gqa_context *gqa_context_create(const gqa_options *options) {
  gqa_options chosen = options ? *options : gqa_options{};
  if (!chosen.allocate != !chosen.deallocate || chosen.num_threads < 0)
    return nullptr;
  return new (std::nothrow) gqa_context(chosen);
}

GQA_API void gqa_context_destroy(gqa_context *context) { delete context; }

GQA_API gqa_status gqa_context_set_num_threads(gqa_context *context, int32_t num_threads) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (num_threads < 0)
      gqa::fail(GQA_INVALID_ARGUMENT, "number of threads must not be negative, got " + std::to_string(num_threads));
    context->options.num_threads = num_threads;
  });
}

GQA_API gqa_status gqa_context_set_stream(gqa_context *context, void *stream) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] { context->stream = stream; });
}

GQA_API gqa_status gqa_context_set_workspace(gqa_context *context, void *workspace, int64_t bytes) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    constexpr uintptr_t kAlignment = 256;
    if (bytes < 0 || (bytes > 0 && !workspace))
      gqa::fail(GQA_INVALID_ARGUMENT, "a workspace of " + std::to_string(bytes) + " bytes at " +
                                          (workspace ? "an address" : "null") + " is impossible");
    if (reinterpret_cast<uintptr_t>(workspace) % kAlignment != 0)
      gqa::fail(GQA_INVALID_ARGUMENT, "the workspace must begin at a multiple of 256 bytes");
    context->workspace = workspace;
    context->workspaceBytes = bytes;
  });
}

GQA_API const char *gqa_context_message(const gqa_context *context) { return context ? context->message.c_str() : ""; }

} // extern "C"
