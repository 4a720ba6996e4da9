#include "runtime/cuda/Program.h"

#include "runtime/Failure.h"

#include <algorithm>
#include <cstring>

namespace gqa::cuda {

/// Dynamic shared memory that a kernel may use without being allowed more.
constexpr int kDefaultSharedBytes = 48 * 1024;

static bool canRun(const gqa_device_image &image, int capability) {
  int made = image.compute_capability;
  if (image.is_architecture_specific)
    return capability == made;
  return capability >= made && (image.kind == GQA_DEVICE_PTX || capability / 10 == made / 10);
}

int chooseImage(const gqa_device_image *images, int capability) {
  for (int index = 0; images[index].kind != 0; ++index)
    if (canRun(images[index], capability))
      return index;
  return -1;
}

/// Whether PTX among `images` runs wherever `image` does.
static bool isCovered(const gqa_device_image &image, const gqa_device_image *images) {
  for (const gqa_device_image *other = images; other->kind != 0; ++other)
    if (other != &image && other->kind == GQA_DEVICE_PTX && !other->is_architecture_specific &&
        other->compute_capability <= image.compute_capability)
      return true;
  return false;
}

std::string describeNeeds(const gqa_device_image *images) {
  std::vector<std::string> needs;
  for (const gqa_device_image *image = images; image->kind != 0; ++image) {
    if (isCovered(*image, images))
      continue;
    std::string need = printCapability(image->compute_capability);
    if (!image->is_architecture_specific)
      need += image->kind == GQA_DEVICE_PTX
                  ? " or later"
                  : " or later below " + printCapability(image->compute_capability / 10 * 10 + 10);
    if (std::find(needs.begin(), needs.end(), need) == needs.end())
      needs.push_back(need);
  }
  std::string text;
  for (const std::string &need : needs)
    text += (text.empty() ? "compute capability " : ", or ") + need;
  return text.empty() ? "code that it does not have" : text;
}

void checkCanRun(const gqa_device_image *images, const Device &device) {
  if (chooseImage(images, device.getComputeCapability()) < 0)
    fail(GQA_UNSUPPORTED_TARGET, "needs " + describeNeeds(images) + "; this device is " + device.describe());
}

Program::Program(std::shared_ptr<const Device> owner, const gqa_device_image *images,
                 const std::vector<KernelDescription> &known)
    : device(std::move(owner)), image(chooseImage(images, device->getComputeCapability())) {
  checkCanRun(images, *device);
  Device::Scope scope(*device);
  load(images[image]);
  try {
    for (const KernelDescription &kernel : known)
      if (kernel.image == image)
        getFunction(kernel.name, kernel.sharedBytes);
  } catch (...) {
    device->getDriver().cuModuleUnload(module);
    throw;
  }
}

Program::~Program() {
  try {
    Device::Scope scope(*device);
    device->getDriver().cuModuleUnload(module);
  } catch (...) { // the module goes with its context
  }
}

/// What the driver says about a module that it cannot load, on one line.
static std::string tidyLog(const char *log) {
  std::string text;
  for (const char *c = log; *c; ++c)
    text += *c == '\n' ? (text.empty() || !c[1] ? "" : "; ") : std::string(1, *c);
  return text;
}

void Program::load(const gqa_device_image &chosen) {
  const Driver &driver = device->getDriver();
  char log[4096] = "";
  int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferSizeBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
  Result result = driver.cuModuleLoadDataEx(&module, chosen.data, 2, options, values);
  log[sizeof log - 1] = '\0';
  std::string what = chosen.kind == GQA_DEVICE_PTX ? "PTX" : "a cubin";
  what += " for compute capability " + printCapability(chosen.compute_capability);
  if (result != kSuccess && log[0])
    fail(result == kOutOfMemory ? GQA_OUT_OF_MEMORY : GQA_DEVICE_ERROR,
         "cuda: cuModuleLoadDataEx of " + what + " failed: " + driver.describe(result) + ": " + tidyLog(log));
  driver.check(result, "cuModuleLoadDataEx", what);
}

FunctionHandle Program::getFunction(const std::string &name, int sharedBytes) const {
  const Driver &driver = device->getDriver();
  std::lock_guard<std::mutex> lock(mutex);
  auto it = kernels.find(name);
  if (it == kernels.end()) {
    FunctionHandle handle;
    driver.check(driver.cuModuleGetFunction(&handle, module, name.c_str()), "cuModuleGetFunction", "'" + name + "'");
    it = kernels.emplace(name, Kernel{handle, kDefaultSharedBytes}).first;
  }
  Kernel &kernel = it->second;
  if (sharedBytes > device->getSharedBytesPerBlock())
    fail(GQA_UNSUPPORTED_TARGET, "cuda: '" + name + "' needs " + std::to_string(sharedBytes) +
                                     " bytes of shared memory, but a block of " + device->describe() + " has " +
                                     std::to_string(device->getSharedBytesPerBlock()));
  if (sharedBytes > kernel.sharedBytes) {
    driver.check(driver.cuFuncSetAttribute(kernel.handle, kMaxDynamicSharedSizeBytes, sharedBytes),
                 "cuFuncSetAttribute", std::to_string(sharedBytes) + " bytes of shared memory for '" + name + "'");
    kernel.sharedBytes = sharedBytes;
  }
  return kernel.handle;
}

} // namespace gqa::cuda
