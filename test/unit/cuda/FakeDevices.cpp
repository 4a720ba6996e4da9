// Devices and contexts of the fake driver.

#include "test/unit/cuda/FakeState.h"

#include <cstdio>

using namespace gqa::cuda;
using namespace fakecuda;

static ContextHandle contextOf(DeviceHandle device) {
  return reinterpret_cast<ContextHandle>(uintptr_t(0x100 + device));
}

#pragma GCC visibility push(default)
extern "C" {

Result cuInit(unsigned) {
  FAKE_LOCK;
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
  FAKE_ENTER(enter("cuDriverGetVersion", false));
  *version = 12080;
  return kSuccess;
}

Result cuDeviceGetCount(int *count) {
  FAKE_ENTER(enter("cuDeviceGetCount", false));
  *count = state().options.devices;
  return kSuccess;
}

Result cuDeviceGet(DeviceHandle *device, int ordinal) {
  FAKE_ENTER(enter("cuDeviceGet", false));
  if (ordinal < 0 || ordinal >= state().options.devices)
    return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

Result cuDeviceGetName(char *name, int capacity, DeviceHandle) {
  FAKE_ENTER(enter("cuDeviceGetName", false));
  std::snprintf(name, static_cast<size_t>(capacity), "Fake GPU");
  return kSuccess;
}

Result cuDeviceGetAttribute(int *value, int attribute, DeviceHandle) {
  FAKE_ENTER(enter("cuDeviceGetAttribute", false));
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
  FAKE_ENTER(enter("cuDevicePrimaryCtxRetain", false));
  ++state().retained[device];
  *context = contextOf(device);
  return kSuccess;
}

Result cuDevicePrimaryCtxRelease_v2(DeviceHandle device) {
  FAKE_ENTER(enter("cuDevicePrimaryCtxRelease", false, /*isCleanup=*/true));
  if (state().retained[device] == 0)
    return invalidContext;
  --state().retained[device];
  return kSuccess;
}

Result cuCtxPushCurrent_v2(ContextHandle context) {
  FAKE_ENTER(enter("cuCtxPushCurrent", false));
  getContexts().push_back(context);
  return kSuccess;
}

Result cuCtxPopCurrent_v2(ContextHandle *context) {
  FAKE_ENTER(enter("cuCtxPopCurrent", true, /*isCleanup=*/true));
  *context = getContexts().back();
  getContexts().pop_back();
  return kSuccess;
}

} // extern "C"
#pragma GCC visibility pop
