#ifndef GQA_RUNTIME_CONTEXT_H
#define GQA_RUNTIME_CONTEXT_H

#include "runtime/Failure.h"
#include "runtime/cuda/AttendProgram.h"
#include "runtime/gqa_host.h"

#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <unordered_set>

/// The state behind a gqa_context: callbacks, and the memory that the running call holds.
struct gqa_context {
  explicit gqa_context(const gqa_options &options) : options(options) {}

  /// Callbacks for compiled code, which lead back here.
  gqa_host getHost();

  /// The CUDA device with this number, opened when it is first needed. Throws gqa::Failure.
  const std::shared_ptr<const gqa::cuda::Device> &getDevice(int ordinal);

  /// The kernels beside attention on that device, loaded when they are first needed. Throws gqa::Failure.
  const gqa::cuda::AttendProgram &getAttendProgram(int ordinal);

  /// Whether a callback of the caller has thrown since this was last asked.
  bool takeCallbackFailure() { return hasFailedCallback.exchange(false); }

  /// Frees what a failed call left behind.
  void releaseLeftovers();

  /// Runs `body`, which may throw, and turns what it throws into a status and a message.
  template <typename Body> gqa_status guard(Body body) noexcept {
    try {
      message.clear();
      body();
      return GQA_OK;
    } catch (const gqa::Failure &failure) {
      return setMessage(failure.status, failure.message.c_str());
    } catch (const std::bad_alloc &) {
      return setMessage(GQA_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception &exception) {
      return setMessage(GQA_INTERNAL_ERROR, exception.what());
    } catch (...) {
      return setMessage(GQA_INTERNAL_ERROR, "unknown error");
    }
  }

  gqa_options options;
  std::string message;

  void *stream = nullptr; ///< of the calls on devices; null: the default one
  void *workspace = nullptr;
  int64_t workspaceBytes = 0;

private:
  gqa_status setMessage(gqa_status status, const char *text) noexcept {
    try {
      message = text;
    } catch (...) {
      message.clear();
    }
    return status;
  }

  void *takeMemory(int64_t bytes, int64_t alignment) const noexcept;
  void returnMemory(void *pointer) const noexcept;

  static void parallelFor(void *state, int64_t numTasks, void (*task)(void *, int64_t), void *arg);
  static void *allocate(void *state, int64_t bytes, int64_t alignment);
  static void deallocate(void *state, void *pointer);
  static void reportError(void *state, const char *text);

  std::mutex mutex; // tasks of one call allocate from several threads
  std::unordered_set<void *> live;
  std::atomic<bool> hasFailedCallback{false};
  std::map<int, std::shared_ptr<const gqa::cuda::Device>> devices;
  std::map<int, std::unique_ptr<const gqa::cuda::AttendProgram>> attendPrograms;
};

#endif // GQA_RUNTIME_CONTEXT_H
