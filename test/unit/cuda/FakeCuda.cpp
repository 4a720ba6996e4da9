#include "test/unit/cuda/FakeCuda.h"

#include "test/unit/cuda/FakeMemory.h"
#include "test/unit/cuda/FakeModule.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>

using namespace gqa::cuda;

namespace fakecuda {
namespace {

/// Results of the driver that only the fake gives.
enum : Result {
  invalidValue = 1,
  notInitialized = 3,
  invalidImage = 200,
  invalidContext = 201,
  invalidHandle = 400,
  notFound = 500,
  launchOutOfResources = 701,
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
  std::vector<std::string> calls;
  std::vector<Launch> launches;
  FakeMemory memory;
  std::map<ModuleHandle, std::unique_ptr<FakeModule>> modules;
  std::set<StreamHandle> streams;
  std::map<EventHandle, double> events; // the time of the record that has run, ms
  std::map<DeviceHandle, int> retained;
  std::deque<Work> queue;
  std::set<StreamHandle> capturing;
  bool isCaptureBroken = false;
  std::vector<Work> graph;
  double clock = 0;
  uintptr_t nextHandle = 0x1000;
  std::string tracePath;
};

std::recursive_mutex mutex;
State &state() {
  static State instance;
  return instance;
}
thread_local std::vector<ContextHandle> contexts;

template <typename Handle> Handle makeHandle() { return reinterpret_cast<Handle>(state().nextHandle += 16); }

ContextHandle contextOf(DeviceHandle device) { return reinterpret_cast<ContextHandle>(uintptr_t(0x100 + device)); }

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

/// What every call begins with: it is recorded, and may fail on request. `isCleanup`: gives something back.
Result enter(const char *name, bool needsContext = true, bool isCleanup = false) {
  State &s = state();
  s.calls.push_back(name);
  trace(name);
  if (!isCleanup && s.failIndex >= 0 && s.failIndex-- == 0) {
    s.hasFailed = true;
    return s.failError;
  }
  if (std::strcmp(name, "cuInit") != 0 && !s.isInitialised)
    return notInitialized;
  return needsContext && contexts.empty() ? Result(invalidContext) : kSuccess;
}

/// Calls that may not be made while any stream is captured (in the strict mode that engines use).
Result enterUncaptured(const char *name, bool isCleanup = false) {
  Result result = enter(name, /*needsContext=*/true, isCleanup);
  if (result == kSuccess && !state().capturing.empty()) {
    state().isCaptureBroken = true;
    return captureUnsupported;
  }
  return result;
}

bool isStream(StreamHandle stream) { return reinterpret_cast<uintptr_t>(stream) <= 2 || state().streams.count(stream); }

/// Puts work on a stream, or into the graph that is being captured.
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

FakeModule::Function *findFunction(FunctionHandle handle) {
  for (auto &[module, code] : state().modules)
    if (FakeModule::Function *function = code->find(handle))
      return function;
  return nullptr;
}

std::string print(const Launch &launch) {
  char text[256];
  std::snprintf(text, sizeof text, "launch %s grid %u,%u,%u block %u,%u,%u cluster %u,%u,%u shared %u%s",
                launch.kernel.c_str(), launch.grid[0], launch.grid[1], launch.grid[2], launch.block[0], launch.block[1],
                launch.block[2], launch.cluster[0], launch.cluster[1], launch.cluster[2], launch.sharedBytes,
                launch.isProgrammatic ? " programmatic" : "");
  return text;
}

Result launch(Launch launch, FunctionHandle handle, void **parameters) {
  FakeModule::Function *function = findFunction(handle);
  if (!function)
    return invalidHandle;
  launch.kernel = function->name;
  unsigned threads = launch.block[0] * launch.block[1] * launch.block[2];
  for (int dim = 0; dim < 3; ++dim) {
    unsigned most = dim == 0 ? 2147483647u : 65535u;
    if (launch.grid[dim] == 0 || launch.grid[dim] > most || launch.block[dim] == 0)
      return invalidValue;
    if (launch.cluster[dim] && launch.grid[dim] % launch.cluster[dim] != 0)
      return invalidValue;
  }
  if (threads > 1024)
    return invalidValue;
  if (launch.sharedBytes > static_cast<unsigned>(function->sharedBytes))
    return invalidValue;
  for (size_t i = 0; i < function->parameterBytes.size(); ++i) {
    auto *bytes = static_cast<const uint8_t *>(parameters[i]);
    launch.parameters.emplace_back(bytes, bytes + function->parameterBytes[i]);
  }
  auto run = [launch, body = function->body]() mutable {
    std::vector<void *> values;
    for (std::vector<uint8_t> &value : launch.parameters)
      values.push_back(value.data());
    if (body)
      body(launch.grid, launch.block, values.data());
    trace(print(launch));
    state().launches.push_back(launch);
  };
  return enqueue(static_cast<StreamHandle>(launch.stream), run);
}

} // namespace

void reset(const Options &options) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  state() = State();
  state().options = options;
  contexts.clear();
}

void failAt(int index, int error) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  state().failIndex = index;
  state().failError = error;
  state().hasFailed = false;
}

bool hasFailed() { return state().hasFailed; }
const std::vector<std::string> &getCalls() { return state().calls; }
void clearCalls() { state().calls.clear(); }
const std::vector<Launch> &getLaunches() { return state().launches; }

std::string describeLeaks() {
  std::lock_guard<std::recursive_mutex> lock(mutex);
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
  add(retained, "contexts");
  return text;
}

int getContextDepth() { return static_cast<int>(contexts.size()); }

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
  std::lock_guard<std::recursive_mutex> lock(mutex);
  runQueue();
}

} // namespace fakecuda

using namespace fakecuda;

#define LOCK std::lock_guard<std::recursive_mutex> lock(fakecuda::mutex)
#define ENTER(enter)                                                                                                   \
  LOCK;                                                                                                                \
  if (Result result = enter; result != kSuccess)                                                                       \
  return result

#pragma GCC visibility push(default)
extern "C" {

Result cuInit(unsigned) {
  LOCK;
  if (!state().isInitialised)
    readEnvironment();
  if (Result result = enter("cuInit", /*needsContext=*/false); result != kSuccess)
    return result;
  if (state().options.initResult != kSuccess)
    return state().options.initResult;
  state().isInitialised = true;
  return state().options.devices == 0 ? kNoDevice : kSuccess;
}

Result cuDriverGetVersion(int *version) {
  ENTER(enter("cuDriverGetVersion", false));
  *version = 12080;
  return kSuccess;
}

Result cuGetErrorName(Result error, const char **name) {
  switch (error) {
  case kSuccess:
    *name = "CUDA_SUCCESS";
    break;
  case invalidValue:
    *name = "CUDA_ERROR_INVALID_VALUE";
    break;
  case kOutOfMemory:
    *name = "CUDA_ERROR_OUT_OF_MEMORY";
    break;
  case notInitialized:
    *name = "CUDA_ERROR_NOT_INITIALIZED";
    break;
  case kNoDevice:
    *name = "CUDA_ERROR_NO_DEVICE";
    break;
  case invalidImage:
    *name = "CUDA_ERROR_INVALID_IMAGE";
    break;
  case invalidContext:
    *name = "CUDA_ERROR_INVALID_CONTEXT";
    break;
  case kNoBinaryForGpu:
    *name = "CUDA_ERROR_NO_BINARY_FOR_GPU";
    break;
  case kInvalidPtx:
    *name = "CUDA_ERROR_INVALID_PTX";
    break;
  case invalidHandle:
    *name = "CUDA_ERROR_INVALID_HANDLE";
    break;
  case notFound:
    *name = "CUDA_ERROR_NOT_FOUND";
    break;
  case launchOutOfResources:
    *name = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES";
    break;
  case captureUnsupported:
    *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED";
    break;
  default:
    *name = nullptr;
    return invalidValue;
  }
  return kSuccess;
}

Result cuGetErrorString(Result error, const char **text) {
  *text = error == invalidValue ? "invalid argument" : nullptr;
  return *text ? kSuccess : Result(invalidValue);
}

Result cuDeviceGetCount(int *count) {
  ENTER(enter("cuDeviceGetCount", false));
  *count = state().options.devices;
  return kSuccess;
}

Result cuDeviceGet(DeviceHandle *device, int ordinal) {
  ENTER(enter("cuDeviceGet", false));
  if (ordinal < 0 || ordinal >= state().options.devices)
    return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

Result cuDeviceGetName(char *name, int capacity, DeviceHandle) {
  ENTER(enter("cuDeviceGetName", false));
  std::snprintf(name, static_cast<size_t>(capacity), "Fake GPU");
  return kSuccess;
}

Result cuDeviceGetAttribute(int *value, int attribute, DeviceHandle) {
  ENTER(enter("cuDeviceGetAttribute", false));
  switch (attribute) {
  case kMultiprocessorCount:
    *value = 132;
    return kSuccess;
  case kComputeCapabilityMajor:
    *value = state().options.capability / 10;
    return kSuccess;
  case kComputeCapabilityMinor:
    *value = state().options.capability % 10;
    return kSuccess;
  case kMaxSharedMemoryPerBlockOptin:
    *value = state().options.capability >= 90 ? 232448 : 166912;
    return kSuccess;
  case kL2CacheSize:
    *value = 1 << 20; // small: benchmarks empty it
    return kSuccess;
  }
  return invalidValue;
}

Result cuDevicePrimaryCtxRetain(ContextHandle *context, DeviceHandle device) {
  ENTER(enter("cuDevicePrimaryCtxRetain", false));
  ++state().retained[device];
  *context = contextOf(device);
  return kSuccess;
}

Result cuDevicePrimaryCtxRelease_v2(DeviceHandle device) {
  ENTER(enter("cuDevicePrimaryCtxRelease", false, /*isCleanup=*/true));
  if (state().retained[device] == 0)
    return invalidContext;
  --state().retained[device];
  return kSuccess;
}

Result cuCtxPushCurrent_v2(ContextHandle context) {
  ENTER(enter("cuCtxPushCurrent", false));
  contexts.push_back(context);
  return kSuccess;
}

Result cuCtxPopCurrent_v2(ContextHandle *context) {
  ENTER(enter("cuCtxPopCurrent", true, /*isCleanup=*/true));
  *context = contexts.back();
  contexts.pop_back();
  return kSuccess;
}

Result cuModuleLoadDataEx(ModuleHandle *module, const void *image, unsigned numOptions, int *options, void **values) {
  ENTER(enterUncaptured("cuModuleLoadDataEx"));
  std::string log;
  auto code = std::make_unique<FakeModule>();
  Result result = code->load(image, state().options.capability, state().options.kernels, log);
  for (unsigned i = 0; i + 1 < numOptions; ++i)
    if (options[i] == kJitErrorLogBuffer && !log.empty())
      std::snprintf(static_cast<char *>(values[i]), reinterpret_cast<size_t>(values[i + 1]), "%s", log.c_str());
  if (result != kSuccess)
    return result;
  *module = makeHandle<ModuleHandle>();
  state().modules[*module] = std::move(code);
  return kSuccess;
}

Result cuModuleUnload(ModuleHandle module) {
  ENTER(enter("cuModuleUnload", true, /*isCleanup=*/true));
  runQueue();
  return state().modules.erase(module) ? kSuccess : Result(invalidHandle);
}

Result cuModuleGetFunction(FunctionHandle *function, ModuleHandle module, const char *name) {
  ENTER(enter("cuModuleGetFunction"));
  auto it = state().modules.find(module);
  if (it == state().modules.end())
    return invalidHandle;
  *function = it->second->get(name);
  return *function ? kSuccess : Result(notFound);
}

Result cuFuncSetAttribute(FunctionHandle handle, int attribute, int value) {
  ENTER(enter("cuFuncSetAttribute"));
  FakeModule::Function *function = findFunction(handle);
  if (!function)
    return invalidHandle;
  if (attribute != kMaxDynamicSharedSizeBytes || value > (state().options.capability >= 90 ? 232448 : 166912))
    return invalidValue;
  function->sharedBytes = value;
  return kSuccess;
}

Result cuLaunchKernel(FunctionHandle function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                      unsigned blockY, unsigned blockZ, unsigned sharedBytes, StreamHandle stream, void **parameters,
                      void **) {
  ENTER(enter("cuLaunchKernel"));
  Launch request = {
      "", {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, {0, 0, 0}, sharedBytes, /*isProgrammatic=*/false, stream,
      {}};
  return launch(request, function, parameters);
}

Result cuLaunchKernelEx(const LaunchConfig *config, FunctionHandle function, void **parameters, void **) {
  ENTER(enter("cuLaunchKernelEx"));
  Launch request = {};
  for (int dim = 0; dim < 3; ++dim) {
    request.grid[dim] = config->grid[dim];
    request.block[dim] = config->block[dim];
  }
  request.sharedBytes = config->sharedBytes;
  request.stream = config->stream;
  for (unsigned i = 0; i < config->numAttributes; ++i) {
    const LaunchAttribute &attribute = config->attributes[i];
    if (attribute.id == kClusterDimension) {
      request.cluster[0] = attribute.value.cluster.x;
      request.cluster[1] = attribute.value.cluster.y;
      request.cluster[2] = attribute.value.cluster.z;
    } else if (attribute.id == kProgrammaticStreamSerialization) {
      request.isProgrammatic = attribute.value.flag == 1;
    } else {
      return invalidValue;
    }
  }
  if (state().options.capability < 90 && config->numAttributes > 0)
    return invalidValue;
  return launch(request, function, parameters);
}

Result cuStreamCreate(StreamHandle *stream, unsigned) {
  ENTER(enter("cuStreamCreate"));
  *stream = makeHandle<StreamHandle>();
  state().streams.insert(*stream);
  return kSuccess;
}

Result cuStreamDestroy_v2(StreamHandle stream) {
  ENTER(enter("cuStreamDestroy", true, /*isCleanup=*/true));
  return state().streams.erase(stream) ? kSuccess : Result(invalidHandle);
}

Result cuStreamSynchronize(StreamHandle stream) {
  ENTER(enterUncaptured("cuStreamSynchronize"));
  if (!isStream(stream))
    return invalidHandle;
  runQueue();
  return kSuccess;
}

Result cuEventCreate(EventHandle *event, unsigned) {
  ENTER(enter("cuEventCreate"));
  *event = makeHandle<EventHandle>();
  state().events[*event] = -1;
  return kSuccess;
}

Result cuEventDestroy_v2(EventHandle event) {
  ENTER(enter("cuEventDestroy", true, /*isCleanup=*/true));
  return state().events.erase(event) ? kSuccess : Result(invalidHandle);
}

Result cuEventRecord(EventHandle event, StreamHandle stream) {
  ENTER(enter("cuEventRecord"));
  if (!state().events.count(event))
    return invalidHandle;
  return enqueue(stream, [event] {
    if (auto it = state().events.find(event); it != state().events.end())
      it->second = state().clock;
  });
}

Result cuEventSynchronize(EventHandle event) {
  ENTER(enterUncaptured("cuEventSynchronize"));
  if (!state().events.count(event))
    return invalidHandle;
  runQueue();
  return kSuccess;
}

Result cuEventElapsedTime(float *milliseconds, EventHandle start, EventHandle end) {
  ENTER(enter("cuEventElapsedTime"));
  auto first = state().events.find(start), second = state().events.find(end);
  if (first == state().events.end() || second == state().events.end() || first->second < 0 || second->second < 0)
    return invalidHandle;
  *milliseconds = static_cast<float>(second->second - first->second);
  return kSuccess;
}

Result cuMemGetInfo_v2(size_t *available, size_t *total) {
  ENTER(enter("cuMemGetInfo"));
  *total = static_cast<size_t>(state().options.memory);
  *available = *total - state().memory.getBytes();
  return kSuccess;
}

Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) {
  ENTER(enterUncaptured("cuMemAlloc"));
  if (bytes == 0)
    return invalidValue;
  if (state().memory.getBytes() + bytes > static_cast<size_t>(state().options.memory))
    return kOutOfMemory;
  *pointer = state().memory.allocate(bytes);
  return *pointer ? kSuccess : kOutOfMemory;
}

Result cuMemFree_v2(Pointer pointer) {
  ENTER(enterUncaptured("cuMemFree", /*isCleanup=*/true));
  runQueue();
  return state().memory.free(pointer) ? kSuccess : Result(invalidValue);
}

Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, StreamHandle stream) {
  ENTER(enter("cuMemcpyHtoDAsync"));
  if (!state().memory.contains(to, bytes))
    return invalidValue;
  // Pageable memory is read before the call returns, unless the copy is captured.
  auto *source = static_cast<const uint8_t *>(from);
  if (state().capturing.count(stream))
    return enqueue(stream, [=] { std::memcpy(reinterpret_cast<void *>(to), source, bytes); });
  std::vector<uint8_t> staged(source, source + bytes);
  return enqueue(stream, [to, staged] { std::memcpy(reinterpret_cast<void *>(to), staged.data(), staged.size()); });
}

Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, StreamHandle stream) {
  ENTER(enter("cuMemcpyDtoHAsync"));
  if (!state().memory.contains(from, bytes))
    return invalidValue;
  Result result = enqueue(stream, [=] { std::memcpy(to, reinterpret_cast<const void *>(from), bytes); });
  if (!state().capturing.count(stream))
    runQueue(); // copies to pageable memory are over when the call returns
  return result;
}

Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, StreamHandle stream) {
  ENTER(enter("cuMemcpyDtoDAsync"));
  if (!state().memory.contains(from, bytes) || !state().memory.contains(to, bytes))
    return invalidValue;
  return enqueue(stream,
                 [=] { std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes); });
}

Result cuMemsetD8Async(Pointer pointer, unsigned char value, size_t bytes, StreamHandle stream) {
  ENTER(enter("cuMemsetD8Async"));
  if (!state().memory.contains(pointer, bytes))
    return invalidValue;
  return enqueue(stream, [=] { std::memset(reinterpret_cast<void *>(pointer), value, bytes); });
}

Result cuTensorMapEncodeTiled(TensorMap *map, int elementType, unsigned rank, void *address, const uint64_t *extents,
                              const uint64_t *strides, const uint32_t *box, const uint32_t *elementStrides,
                              int interleave, int swizzle, int l2Promotion, int fill) {
  ENTER(enter("cuTensorMapEncodeTiled", false));
  constexpr uint32_t elementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  if (elementType < 0 || elementType > 12 || rank < 1 || rank > 5 || reinterpret_cast<uintptr_t>(map) % 64 != 0 ||
      reinterpret_cast<uintptr_t>(address) % 16 != 0 || interleave != 0 || swizzle < 0 || swizzle > 6)
    return invalidValue;
  for (unsigned dim = 0; dim < rank; ++dim) {
    if (extents[dim] == 0 || extents[dim] > (uint64_t(1) << 32) || box[dim] == 0 || box[dim] > 256 ||
        elementStrides[dim] == 0 || elementStrides[dim] > 8)
      return invalidValue;
    if (dim + 1 < rank && (strides[dim] % 16 != 0 || strides[dim] >= (uint64_t(1) << 40)))
      return invalidValue;
  }
  uint32_t innerBytes = box[0] * elementBytes[elementType];
  constexpr uint32_t swizzleSpan[] = {1u << 30, 32, 64, 128, 128, 128, 128};
  if (innerBytes % 16 != 0 || innerBytes > swizzleSpan[swizzle])
    return invalidValue;
  std::memset(map, 0, sizeof *map);
  std::memcpy(map->opaque, &address, sizeof address);
  map->opaque[1] =
      rank | uint64_t(elementType) << 8 | uint64_t(swizzle) << 16 | uint64_t(l2Promotion) << 24 | uint64_t(fill) << 32;
  return kSuccess;
}

} // extern "C"
#pragma GCC visibility pop
