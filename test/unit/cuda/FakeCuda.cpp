// The state of the fake driver, the queue of work, and what tests ask of it.

#include "test/unit/cuda/FakeState.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace gqa::cuda;

namespace fakecuda {

State &state() {
  static State &instance = *new State; // outlives what programs give back when they end
  return instance;
}

std::recursive_mutex &getMutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

std::vector<ContextHandle> &getContexts() {
  std::lock_guard lock(getMutex());
  return state().contexts[std::this_thread::get_id()];
}

void trace(const std::string &line) {
  if (!state().tracePath.empty())
    std::ofstream(state().tracePath, std::ios::app) << line << "\n";
}

void readEnvironment() {
  const char *text = std::getenv("GQA_FAKE_CUDA");
  std::istringstream stream(text ? text : "");
  for (std::string word; stream >> word;) {
    size_t equals = word.find('=');
    std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "devices")
      state().options.devices = std::stoi(value);
    else if (name == "capability")
      state().options.capability = std::stoi(value);
    else if (name == "memory")
      state().options.memory = std::stoll(value);
    else if (name == "fail")
      failAt(std::stoi(value), invalidValue);
    else if (name == "kernels")
      state().options.kernels = value;
    else if (name == "trace")
      state().tracePath = value;
  }
}

Result enter(const char *name, bool needsContext, bool isCleanup) {
  State &s = state();
  s.calls.push_back(name);
  trace(name);
  if (!isCleanup && s.failIndex >= 0 && s.failIndex-- == 0) {
    s.hasFailed = true;
    return s.failError;
  }
  if (std::strcmp(name, "cuInit") != 0 && !s.isInitialised)
    return notInitialized;
  return needsContext && getContexts().empty() ? Result(invalidContext) : kSuccess;
}

Result enterUncaptured(const char *name, bool isCleanup) {
  Result result = enter(name, /*needsContext=*/true, isCleanup);
  if (result == kSuccess && !state().capturing.empty()) {
    state().isCaptureBroken = true;
    return captureUnsupported;
  }
  return result;
}

bool isStream(StreamHandle stream) { return reinterpret_cast<uintptr_t>(stream) <= 2 || state().streams.count(stream); }

Result enqueue(StreamHandle stream, std::function<void()> run) {
  State &s = state();
  if (!isStream(stream))
    return invalidHandle;
  if (s.capturing.count(stream)) {
    s.graph.push_back({std::move(run)});
    return kSuccess;
  }
  if (reinterpret_cast<uintptr_t>(stream) <= 1 && !s.capturing.empty()) {
    s.isCaptureBroken = true; // the default stream would wait for the captured one
    return captureUnsupported;
  }
  s.queue.push_back({std::move(run)});
  return kSuccess;
}

void runQueue() {
  State &s = state();
  while (!s.queue.empty()) {
    Work work = std::move(s.queue.front());
    s.queue.pop_front();
    FakeMemory::Access access(s.memory);
    work.run();
    s.clock += 0.001;
  }
}

void reset(const Options &options) {
  FAKE_LOCK;
  state() = State();
  state().options = options;
}

void failAt(int index, int error) {
  FAKE_LOCK;
  state().failIndex = index;
  state().failError = error;
  state().hasFailed = false;
}

bool hasFailed() { return state().hasFailed; }
const std::vector<std::string> &getCalls() { return state().calls; }
void clearCalls() { state().calls.clear(); }
const std::vector<Launch> &getLaunches() { return state().launches; }

std::string describeLeaks() {
  FAKE_LOCK;
  State &s = state();
  std::string text;
  auto add = [&](size_t count, const char *what) {
    if (count)
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  };
  size_t retained = 0;
  for (auto [device, count] : s.retained)
    retained += static_cast<size_t>(count);
  add(s.memory.countAllocations(), "allocations");
  add(s.modules.size(), "modules");
  add(s.streams.size(), "streams");
  add(s.events.size(), "events");
  add(s.graphs.size(), "graphs");
  add(retained, "contexts");
  return text;
}

int getContextDepth() { return static_cast<int>(getContexts().size()); }

void beginCapture(StreamHandle stream) {
  state().graph.clear();
  state().isCaptureBroken = false;
  state().capturing.insert(stream);
}

int endCapture(StreamHandle stream) {
  state().capturing.erase(stream);
  return state().isCaptureBroken ? -1 : static_cast<int>(state().graph.size());
}

void launchGraph() {
  for (const Work &work : state().graph)
    state().queue.push_back(work);
}

void finish() {
  FAKE_LOCK;
  runQueue();
}

} // namespace fakecuda
