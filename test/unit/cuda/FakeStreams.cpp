// Streams, events, and the memory that work on streams copies and fills.

#include "test/unit/cuda/FakeState.h"

#include <cstring>

using namespace gqa::cuda;
using namespace fakecuda;

#pragma GCC visibility push(default)
extern "C" {

Result cuStreamCreate(StreamHandle *stream, unsigned) {
  FAKE_ENTER(enter("cuStreamCreate"));
  *stream = makeHandle<StreamHandle>();
  state().streams.insert(*stream);
  return kSuccess;
}

Result cuStreamDestroy_v2(StreamHandle stream) {
  FAKE_ENTER(enter("cuStreamDestroy", true, /*isCleanup=*/true));
  return state().streams.erase(stream) ? kSuccess : Result(invalidHandle);
}

Result cuStreamSynchronize(StreamHandle stream) {
  FAKE_ENTER(enterUncaptured("cuStreamSynchronize"));
  if (!isStream(stream))
    return invalidHandle;
  runQueue();
  return state().sticky;
}

Result cuStreamBeginCapture_v2(StreamHandle stream, int) {
  FAKE_ENTER(enter("cuStreamBeginCapture"));
  if (!isStream(stream) || reinterpret_cast<uintptr_t>(stream) <= 1)
    return captureUnsupported;
  beginCapture(stream);
  return kSuccess;
}

Result cuStreamEndCapture(StreamHandle stream, GraphHandle *graph) {
  FAKE_ENTER(enter("cuStreamEndCapture", true, /*isCleanup=*/true));
  *graph = nullptr;
  if (endCapture(stream) < 0)
    return captureInvalidated;
  *graph = makeHandle<GraphHandle>();
  state().graphs[reinterpret_cast<uintptr_t>(*graph)] = std::move(state().graph);
  return kSuccess;
}

Result cuGraphInstantiateWithFlags(GraphExecHandle *executable, GraphHandle graph, unsigned long long) {
  FAKE_ENTER(enterUncaptured("cuGraphInstantiateWithFlags"));
  auto it = state().graphs.find(reinterpret_cast<uintptr_t>(graph));
  if (it == state().graphs.end())
    return invalidHandle;
  *executable = makeHandle<GraphExecHandle>();
  state().graphs[reinterpret_cast<uintptr_t>(*executable)] = it->second;
  return kSuccess;
}

Result cuGraphLaunch(GraphExecHandle executable, StreamHandle stream) {
  FAKE_ENTER(enter("cuGraphLaunch"));
  auto it = state().graphs.find(reinterpret_cast<uintptr_t>(executable));
  if (it == state().graphs.end())
    return invalidHandle;
  for (const Work &work : it->second)
    if (Result result = enqueue(stream, work.run); result != kSuccess)
      return result;
  return kSuccess;
}

Result cuGraphExecDestroy(GraphExecHandle executable) {
  FAKE_ENTER(enter("cuGraphExecDestroy", true, /*isCleanup=*/true));
  return state().graphs.erase(reinterpret_cast<uintptr_t>(executable)) ? kSuccess : Result(invalidHandle);
}

Result cuGraphDestroy(GraphHandle graph) {
  FAKE_ENTER(enter("cuGraphDestroy", true, /*isCleanup=*/true));
  return state().graphs.erase(reinterpret_cast<uintptr_t>(graph)) ? kSuccess : Result(invalidHandle);
}

Result cuEventCreate(EventHandle *event, unsigned) {
  FAKE_ENTER(enter("cuEventCreate"));
  *event = makeHandle<EventHandle>();
  state().events[*event] = -1;
  return kSuccess;
}

Result cuEventDestroy_v2(EventHandle event) {
  FAKE_ENTER(enter("cuEventDestroy", true, /*isCleanup=*/true));
  return state().events.erase(event) ? kSuccess : Result(invalidHandle);
}

Result cuEventRecord(EventHandle event, StreamHandle stream) {
  FAKE_ENTER(enter("cuEventRecord"));
  if (!state().events.count(event))
    return invalidHandle;
  return enqueue(stream, [event] {
    if (auto it = state().events.find(event); it != state().events.end())
      it->second = state().clock;
  });
}

Result cuEventSynchronize(EventHandle event) {
  FAKE_ENTER(enterUncaptured("cuEventSynchronize"));
  if (!state().events.count(event))
    return invalidHandle;
  runQueue();
  return state().sticky;
}

Result cuEventElapsedTime(float *milliseconds, EventHandle start, EventHandle end) {
  FAKE_ENTER(enter("cuEventElapsedTime"));
  auto first = state().events.find(start), second = state().events.find(end);
  if (first == state().events.end() || second == state().events.end() || first->second < 0 || second->second < 0)
    return invalidHandle;
  *milliseconds = static_cast<float>(second->second - first->second);
  return kSuccess;
}

Result cuMemGetInfo_v2(size_t *available, size_t *total) {
  FAKE_ENTER(enter("cuMemGetInfo"));
  *total = static_cast<size_t>(state().options.memory);
  *available = *total - state().memory.getBytes();
  return kSuccess;
}

Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) {
  FAKE_ENTER(enterUncaptured("cuMemAlloc"));
  if (bytes == 0)
    return invalidValue;
  if (state().memory.getBytes() + bytes > static_cast<size_t>(state().options.memory))
    return kOutOfMemory;
  *pointer = state().memory.allocate(bytes);
  return *pointer ? kSuccess : kOutOfMemory;
}

Result cuMemFree_v2(Pointer pointer) {
  FAKE_ENTER(enterUncaptured("cuMemFree", /*isCleanup=*/true));
  runQueue();
  return state().memory.free(pointer) ? kSuccess : Result(invalidValue);
}

Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, StreamHandle stream) {
  FAKE_ENTER(enter("cuMemcpyHtoDAsync"));
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
  FAKE_ENTER(enter("cuMemcpyDtoHAsync"));
  if (!state().memory.contains(from, bytes))
    return invalidValue;
  Result result = enqueue(stream, [=] { std::memcpy(to, reinterpret_cast<const void *>(from), bytes); });
  if (!state().capturing.count(stream))
    runQueue(); // copies to pageable memory are over when the call returns
  return result;
}

Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, StreamHandle stream) {
  FAKE_ENTER(enter("cuMemcpyDtoDAsync"));
  if (!state().memory.contains(from, bytes) || !state().memory.contains(to, bytes))
    return invalidValue;
  return enqueue(stream,
                 [=] { std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes); });
}

Result cuMemsetD8Async(Pointer pointer, unsigned char value, size_t bytes, StreamHandle stream) {
  FAKE_ENTER(enter("cuMemsetD8Async"));
  if (!state().memory.contains(pointer, bytes))
    return invalidValue;
  return enqueue(stream, [=] { std::memset(reinterpret_cast<void *>(pointer), value, bytes); });
}

} // extern "C"
#pragma GCC visibility pop
