#include "runtime/cuda/Driver.h"

#include "runtime/Failure.h"

#include <dlfcn.h>

namespace gqa::cuda {

void Driver::Closer::operator()(void *library) const { dlclose(library); }

void Driver::loadFunctions() {
#define GQA_CUDA_LATER(name, ...) name = reinterpret_cast<decltype(name)>(dlsym(library.get(), #name));
#define GQA_CUDA(name, ...)                                                                                            \
  GQA_CUDA_LATER(name, )                                                                                               \
  if (!name)                                                                                                           \
    fail(GQA_NO_DEVICE, "cuda: libcuda.so.1 is too old: it has no " #name);
#include "runtime/cuda/DriverFunctions.def"
}

std::shared_ptr<const Driver> Driver::open() {
  std::shared_ptr<Driver> driver(new Driver);
  driver->library.reset(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL));
  if (!driver->library) {
    std::string reason = dlerror();
    bool isMissing = reason.find("No such file") != std::string::npos;
    fail(GQA_NO_DEVICE, isMissing ? "cuda: libcuda.so.1 not found" : "cuda: libcuda.so.1 cannot be loaded: " + reason);
  }
  driver->loadFunctions();
  Result result = driver->cuInit(0);
  if (result == kSuccess)
    result = driver->cuDeviceGetCount(&driver->numDevices);
  if (result == kNoDevice || (result == kSuccess && driver->numDevices == 0))
    fail(GQA_NO_DEVICE, "cuda: no device");
  if (result != kSuccess)
    fail(GQA_NO_DEVICE, "cuda: the driver cannot be used: " + driver->describe(result));
  driver->check(driver->cuDriverGetVersion(&driver->version), "cuDriverGetVersion");
  return driver;
}

std::string Driver::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  std::string description = "error " + std::to_string(result);
  if (cuGetErrorName(result, &name) == kSuccess && name)
    description = name;
  if (cuGetErrorString(result, &text) == kSuccess && text)
    description += " (" + std::string(text) + ")";
  return description;
}

void Driver::check(Result result, const char *function, const std::string &what) const {
  if (result == kSuccess)
    return;
  fail(result == kOutOfMemory ? GQA_OUT_OF_MEMORY : GQA_DEVICE_ERROR,
       "cuda: " + std::string(function) + (what.empty() ? "" : " of " + what) + " failed: " + describe(result));
}

} // namespace gqa::cuda
