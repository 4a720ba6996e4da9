#ifndef GQA_TEST_UNIT_CUDA_FAKESTATE_H
#define GQA_TEST_UNIT_CUDA_FAKESTATE_H

#include "test/unit/cuda/FakeCuda.h"
#include "test/unit/cuda/FakeMemory.h"
#include "test/unit/cuda/FakeModule.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

/// What the parts of the fake driver share.
namespace fakecuda {

/// Results of the driver that only the fake gives.
enum : gqa::cuda::Result {
  invalidValue = 1,
  notInitialized = 3,
  invalidImage = 200,
  invalidContext = 201,
  invalidHandle = 400,
  notFound = 500,
  launchOutOfResources = 701,
  launchFailed = 719,
  captureUnsupported = 900,
  captureInvalidated = 901,
};

struct Work {
  std::function<void()> run;
};

struct State {
  Options options;
  bool isInitialised = false;
  int failIndex = -1, failError = 0;
  bool hasFailed = false;
  gqa::cuda::Result sticky = gqa::cuda::kSuccess; // of a kernel; every later wait gives it
  std::vector<std::string> calls;
  std::vector<Launch> launches;
  FakeMemory memory;
  std::map<gqa::cuda::ModuleHandle, std::unique_ptr<FakeModule>> modules;
  std::set<gqa::cuda::StreamHandle> streams;
  std::map<gqa::cuda::EventHandle, double> events; // the time of the record that has run, ms
  std::map<gqa::cuda::DeviceHandle, int> retained;
  std::map<std::thread::id, std::vector<gqa::cuda::ContextHandle>> contexts; // a stack for each thread
  std::deque<Work> queue;
  std::set<gqa::cuda::StreamHandle> capturing;
  bool isCaptureBroken = false;
  std::vector<Work> graph;
  std::map<uintptr_t, std::vector<Work>> graphs; // graphs and what they became, by handle
  double clock = 0;
  uintptr_t nextHandle = 0x1000;
  std::string tracePath;
};

State &state();
std::recursive_mutex &getMutex();

/// The calling thread's stack of contexts.
std::vector<gqa::cuda::ContextHandle> &getContexts();

template <typename Handle> Handle makeHandle() { return reinterpret_cast<Handle>(state().nextHandle += 16); }

void trace(const std::string &line);

/// Takes options from GQA_FAKE_CUDA.
void readEnvironment();

/// What every call begins with: it is recorded, and may fail on request. `isCleanup`: gives something back.
gqa::cuda::Result enter(const char *name, bool needsContext = true, bool isCleanup = false);

/// Calls that may not be made while any stream is captured (in the strict mode that engines use).
gqa::cuda::Result enterUncaptured(const char *name, bool isCleanup = false);

bool isStream(gqa::cuda::StreamHandle stream);

/// Puts work on a stream, or into the graph that is being captured.
gqa::cuda::Result enqueue(gqa::cuda::StreamHandle stream, std::function<void()> run);

/// Does all work that waits on streams.
void runQueue();

#define FAKE_LOCK std::lock_guard<std::recursive_mutex> lock(fakecuda::getMutex())
#define FAKE_ENTER(enter)                                                                                              \
  FAKE_LOCK;                                                                                                           \
  if (Result result = enter; result != kSuccess)                                                                       \
  return result

} // namespace fakecuda

#endif // GQA_TEST_UNIT_CUDA_FAKESTATE_H
