#include "runtime/cuda/Device.h"

#include "runtime/Failure.h"

namespace gqa::cuda {

std::string printCapability(int capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

std::shared_ptr<const Device> Device::open(int ordinal) {
  return std::shared_ptr<const Device>(new Device(Driver::open(), ordinal));
}

Device::Device(std::shared_ptr<const Driver> loaded, int ordinal) : driver(std::move(loaded)), ordinal(ordinal) {
  if (ordinal < 0 || ordinal >= driver->getNumDevices())
    fail(GQA_NO_DEVICE, "cuda: no device " + std::to_string(ordinal) + "; there " +
                            (driver->getNumDevices() == 1 ? "is 1" : "are " + std::to_string(driver->getNumDevices())));
  driver->check(driver->cuDeviceGet(&handle, ordinal), "cuDeviceGet");
  char text[256] = "";
  driver->check(driver->cuDeviceGetName(text, sizeof text, handle), "cuDeviceGetName");
  name = text;
  multiprocessors = getAttribute(kMultiprocessorCount);
  capability = 10 * getAttribute(kComputeCapabilityMajor) + getAttribute(kComputeCapabilityMinor);
  sharedBytes = getAttribute(kMaxSharedMemoryPerBlockOptin);
  l2Bytes = getAttribute(kL2CacheSize);
  // Last, so that nothing has to be given back when something above fails.
  driver->check(driver->cuDevicePrimaryCtxRetain(&context, handle), "cuDevicePrimaryCtxRetain");
}

Device::~Device() { driver->cuDevicePrimaryCtxRelease_v2(handle); }

int Device::getAttribute(DeviceAttribute attribute) const {
  int value = 0;
  driver->check(driver->cuDeviceGetAttribute(&value, attribute, handle), "cuDeviceGetAttribute");
  return value;
}

std::string Device::describe() const {
  return "'" + name + "' (compute capability " + printCapability(capability) + ")";
}

Device::Scope::Scope(const Device &device) : driver(device.getDriver()) {
  driver.check(driver.cuCtxPushCurrent_v2(device.context), "cuCtxPushCurrent");
}

Device::Scope::~Scope() {
  ContextHandle popped;
  driver.cuCtxPopCurrent_v2(&popped);
}

} // namespace gqa::cuda
