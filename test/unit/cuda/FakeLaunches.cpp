// Modules, launches and tensor maps of the fake driver.

#include "runtime/emulator/Emulator.h"
#include "runtime/gqa_device.h"
#include "test/unit/cuda/FakeState.h"

#include <cstdio>
#include <cstring>

using namespace gqa::cuda;

namespace fakecuda {
namespace {

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
  auto run = [launch, code = *function]() mutable {
    std::vector<void *> values;
    for (std::vector<uint8_t> &value : launch.parameters)
      values.push_back(value.data());
    if (code.body)
      code.body(launch.grid, launch.block, values.data());
    if (code.emulated && state().sticky == kSuccess) {
      int64_t grid[3] = {launch.grid[0], launch.grid[1], launch.grid[2]};
      if (code.emulate(code.emulated, grid, static_cast<int32_t>(launch.block[0]),
                       static_cast<int32_t>(launch.sharedBytes), values.data()) != 0)
        state().sticky = launchFailed;
    }
    trace(print(launch));
    state().launches.push_back(launch);
  };
  return enqueue(static_cast<StreamHandle>(launch.stream), run);
}

} // namespace
} // namespace fakecuda

using namespace fakecuda;

#pragma GCC visibility push(default)
extern "C" {

Result cuModuleLoadDataEx(ModuleHandle *module, const void *image, unsigned numOptions, int *options, void **values) {
  FAKE_ENTER(enterUncaptured("cuModuleLoadDataEx"));
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
  FAKE_ENTER(enter("cuModuleUnload", true, /*isCleanup=*/true));
  runQueue();
  return state().modules.erase(module) ? kSuccess : Result(invalidHandle);
}

Result cuModuleGetFunction(FunctionHandle *function, ModuleHandle module, const char *name) {
  FAKE_ENTER(enter("cuModuleGetFunction"));
  auto it = state().modules.find(module);
  if (it == state().modules.end())
    return invalidHandle;
  *function = it->second->get(name);
  return *function ? kSuccess : Result(notFound);
}

Result cuFuncSetAttribute(FunctionHandle handle, int attribute, int value) {
  FAKE_ENTER(enter("cuFuncSetAttribute"));
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
  FAKE_ENTER(enter("cuLaunchKernel"));
  Launch request = {
      "", {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, {0, 0, 0}, sharedBytes, /*isProgrammatic=*/false, stream,
      {}};
  return launch(request, function, parameters);
}

Result cuLaunchKernelEx(const LaunchConfig *config, FunctionHandle function, void **parameters, void **) {
  FAKE_ENTER(enter("cuLaunchKernelEx"));
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

Result cuTensorMapEncodeTiled(TensorMap *map, int elementType, unsigned rank, void *address, const uint64_t *extents,
                              const uint64_t *strides, const uint32_t *box, const uint32_t *elementStrides,
                              int interleave, int swizzle, int l2Promotion, int fill) {
  FAKE_ENTER(enter("cuTensorMapEncodeTiled", false));
  constexpr uint32_t elementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  if (elementType < 0 || elementType > 12 || rank < 1 || rank > 5 || reinterpret_cast<uintptr_t>(map) % 64 != 0 ||
      !address || reinterpret_cast<uintptr_t>(address) % 16 != 0 || interleave != 0 || swizzle < 0 || swizzle > 6)
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
  // Emulated kernels have maps of their own, which begin with the address, too; other kernels want no more than that.
  gqa_device_tensor_map description = {};
  description.address = address;
  description.element_type = elementType;
  description.rank = static_cast<int32_t>(rank);
  for (unsigned dim = 0; dim < rank; ++dim) {
    description.extents[dim] = static_cast<int64_t>(extents[dim]);
    description.strides[dim] = dim == 0 ? 0 : static_cast<int64_t>(strides[dim - 1]);
    description.box[dim] = static_cast<int32_t>(box[dim]);
    description.element_strides[dim] = static_cast<int32_t>(elementStrides[dim]);
  }
  description.interleave = interleave;
  description.swizzle = swizzle;
  description.l2_promotion = l2Promotion;
  description.fill = fill;
  gqa_emulate_encode_tensor_map(&description, map);
  return kSuccess;
}

} // extern "C"
#pragma GCC visibility pop
