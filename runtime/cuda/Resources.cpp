#include "runtime/cuda/Resources.h"

#include "runtime/Failure.h"

#include <exception>

namespace gqa::cuda {

// Destructors end what was begun whatever the driver says: nothing is left to be done about an error then. The context
// must be current for that, or it is not: a failing push leaves the resource to the end of the context.
template <typename Body> static void endQuietly(const std::shared_ptr<const Device> &device, Body body) {
  if (!device)
    return;
  try {
    Device::Scope scope(*device);
    body(device->getDriver());
  } catch (...) {
  }
}

Memory::Memory(std::shared_ptr<const Device> owner, size_t size) : bytes(size) {
  if (size == 0)
    return;
  const Driver &driver = owner->getDriver();
  Device::Scope scope(*owner);
  driver.check(driver.cuMemAlloc_v2(&pointer, size), "cuMemAlloc", std::to_string(size) + " bytes");
  device = std::move(owner);
}

Memory::~Memory() {
  endQuietly(device, [&](const Driver &driver) { driver.cuMemFree_v2(pointer); });
}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(device, other.device);
  std::swap(pointer, other.pointer);
  std::swap(bytes, other.bytes);
  return *this;
}

Stream::Stream(std::shared_ptr<const Device> owner) {
  const Driver &driver = owner->getDriver();
  Device::Scope scope(*owner);
  driver.check(driver.cuStreamCreate(&handle, kStreamNonBlocking), "cuStreamCreate");
  device = std::move(owner);
}

Stream::~Stream() {
  endQuietly(device, [&](const Driver &driver) { driver.cuStreamDestroy_v2(handle); });
}

void Stream::upload(Pointer to, const void *from, size_t bytes) const {
  if (bytes == 0)
    return;
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuMemcpyHtoDAsync_v2(to, from, bytes, handle), "cuMemcpyHtoDAsync");
}

void Stream::download(void *to, Pointer from, size_t bytes) const {
  if (bytes == 0)
    return;
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuMemcpyDtoHAsync_v2(to, from, bytes, handle), "cuMemcpyDtoHAsync");
}

void Stream::copy(Pointer to, Pointer from, size_t bytes) const {
  if (bytes == 0)
    return;
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuMemcpyDtoDAsync_v2(to, from, bytes, handle), "cuMemcpyDtoDAsync");
}

void Stream::fill(Pointer to, uint8_t value, size_t bytes) const {
  if (bytes == 0)
    return;
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuMemsetD8Async(to, value, bytes, handle), "cuMemsetD8Async");
}

void Stream::synchronize() const {
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuStreamSynchronize(handle), "cuStreamSynchronize");
}

Graph::Graph(const Stream &stream, const std::function<void()> &work) {
  const std::shared_ptr<const Device> &owner = stream.getSharedDevice();
  const Driver &driver = owner->getDriver();
  if (!driver.cuStreamBeginCapture_v2 || !driver.cuStreamEndCapture || !driver.cuGraphInstantiateWithFlags ||
      !driver.cuGraphLaunch || !driver.cuGraphExecDestroy || !driver.cuGraphDestroy)
    fail(GQA_DEVICE_ERROR, "cuda: libcuda.so.1 is too old: it has no graphs");
  Device::Scope scope(*owner);
  driver.check(driver.cuStreamBeginCapture_v2(stream.get(), kCaptureThreadLocal), "cuStreamBeginCapture");
  std::exception_ptr thrown;
  try {
    work();
  } catch (...) {
    thrown = std::current_exception();
  }
  GraphHandle graph = nullptr;
  Result captured = driver.cuStreamEndCapture(stream.get(), &graph);
  Result made = kSuccess;
  if (captured == kSuccess && !thrown)
    made = driver.cuGraphInstantiateWithFlags(&executable, graph, /*flags=*/0);
  if (graph)
    driver.cuGraphDestroy(graph);
  if (thrown)
    std::rethrow_exception(thrown);
  driver.check(captured, "cuStreamEndCapture");
  driver.check(made, "cuGraphInstantiateWithFlags");
  device = owner;
}

Graph::~Graph() {
  endQuietly(device, [&](const Driver &driver) { driver.cuGraphExecDestroy(executable); });
}

void Graph::launch(const Stream &stream) const {
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuGraphLaunch(executable, stream.get()), "cuGraphLaunch");
}

Event::Event(std::shared_ptr<const Device> owner) {
  const Driver &driver = owner->getDriver();
  Device::Scope scope(*owner);
  driver.check(driver.cuEventCreate(&handle, kEventDefault), "cuEventCreate");
  device = std::move(owner);
}

Event::~Event() {
  endQuietly(device, [&](const Driver &driver) { driver.cuEventDestroy_v2(handle); });
}

void Event::record(const Stream &stream) const {
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuEventRecord(handle, stream.get()), "cuEventRecord");
}

void Event::synchronize() const {
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  driver.check(driver.cuEventSynchronize(handle), "cuEventSynchronize");
}

double Event::getSecondsSince(const Event &start) const {
  const Driver &driver = device->getDriver();
  Device::Scope scope(*device);
  float milliseconds = 0;
  driver.check(driver.cuEventElapsedTime(&milliseconds, start.handle, handle), "cuEventElapsedTime");
  return milliseconds * 1e-3;
}

} // namespace gqa::cuda
