#include "runtime/cuda/DeviceCalls.h"

#include <algorithm>
#include <new>

namespace gqa::cuda {

namespace {

constexpr int64_t kMaxGrid[3] = {2147483647, 65535, 65535};

std::string print(int64_t x, int64_t y, int64_t z) {
  return std::to_string(x) + " x " + std::to_string(y) + " x " + std::to_string(z);
}

LaunchConfig makeConfig(const gqa_device_launch &launch, StreamHandle stream) {
  LaunchConfig config = {};
  for (int dim = 0; dim < 3; ++dim) {
    if (launch.grid[dim] < 0 || launch.grid[dim] > kMaxGrid[dim])
      fail(GQA_INVALID_ARGUMENT, "cuda: '" + std::string(launch.kernel) + "' would be launched on a grid of " +
                                     print(launch.grid[0], launch.grid[1], launch.grid[2]) + " blocks, at most " +
                                     print(kMaxGrid[0], kMaxGrid[1], kMaxGrid[2]) + " are possible");
    config.grid[dim] = static_cast<unsigned>(launch.grid[dim]);
    config.block[dim] = static_cast<unsigned>(launch.block[dim]);
  }
  config.sharedBytes = static_cast<unsigned>(launch.shared_bytes);
  config.stream = stream;
  return config;
}

} // namespace

void launch(const Program &program, StreamHandle stream, const gqa_device_launch &launch) {
  const Driver &driver = program.getDevice().getDriver();
  LaunchConfig config = makeConfig(launch, stream);
  if (config.grid[0] == 0 || config.grid[1] == 0 || config.grid[2] == 0)
    return;
  FunctionHandle function = program.getFunction(launch.kernel, launch.shared_bytes);
  std::string what = "'" + std::string(launch.kernel) + "'";
  auto **parameters = const_cast<void **>(launch.parameters);
  LaunchAttribute attributes[2] = {};
  config.attributes = attributes;
  if (launch.cluster[0] > 0) {
    LaunchAttribute &attribute = attributes[config.numAttributes++];
    attribute.id = kClusterDimension;
    attribute.value.cluster = {static_cast<unsigned>(launch.cluster[0]), static_cast<unsigned>(launch.cluster[1]),
                               static_cast<unsigned>(launch.cluster[2])};
  }
  if (launch.flags & GQA_DEVICE_LAUNCH_PROGRAMMATIC) {
    LaunchAttribute &attribute = attributes[config.numAttributes++];
    attribute.id = kProgrammaticStreamSerialization;
    attribute.value.flag = 1;
  }
  if (config.numAttributes == 0) {
    driver.check(driver.cuLaunchKernel(function, config.grid[0], config.grid[1], config.grid[2], config.block[0],
                                       config.block[1], config.block[2], config.sharedBytes, stream, parameters,
                                       /*extra=*/nullptr),
                 "cuLaunchKernel", what);
    return;
  }
  if (!driver.cuLaunchKernelEx)
    fail(GQA_DEVICE_ERROR, "cuda: libcuda.so.1 is too old: it has no cuLaunchKernelEx, which " + what + " needs");
  driver.check(driver.cuLaunchKernelEx(&config, function, parameters, /*extra=*/nullptr), "cuLaunchKernelEx", what);
}

void launchTask(const Program &program, StreamHandle stream, const char *kernel, const TaskGrid &grid,
                const void *task) {
  void *parameters[] = {const_cast<void *>(task)};
  gqa_device_launch request = {};
  request.kernel = kernel;
  request.grid[0] = grid.x;
  request.grid[1] = grid.y;
  request.grid[2] = 1;
  request.block[0] = grid.threads;
  request.block[1] = request.block[2] = 1;
  request.shared_bytes = static_cast<int32_t>(grid.sharedBytes);
  request.parameters = parameters;
  launch(program, stream, request);
}

void encodeTensorMap(const Driver &driver, const gqa_device_tensor_map &map, void *encoded) {
  if (!driver.cuTensorMapEncodeTiled)
    fail(GQA_DEVICE_ERROR, "cuda: libcuda.so.1 is too old: it has no cuTensorMapEncodeTiled");
  if (map.rank < 1 || map.rank > 5)
    fail(GQA_INVALID_ARGUMENT, "cuda: a tensor map must have rank 1 to 5, got " + std::to_string(map.rank));
  if (reinterpret_cast<uintptr_t>(map.address) % 16 != 0)
    fail(GQA_INVALID_ARGUMENT, "cuda: a tensor that the device copies in tiles must begin at a multiple of 16 bytes");
  // The driver refuses maps of nothing: they become maps of one element, of which kernels copy nothing.
  bool isEmpty = std::any_of(map.extents, map.extents + map.rank, [](int64_t extent) { return extent == 0; });
  void *address = isEmpty ? encoded : map.address;
  uint64_t extents[5], strides[5];
  uint32_t box[5], elementStrides[5];
  for (int dim = 0; dim < map.rank; ++dim) {
    if (dim > 0 && (map.strides[dim] < 0 || map.strides[dim] % 16 != 0))
      fail(GQA_INVALID_ARGUMENT,
           "cuda: the strides of a tensor that the device copies in tiles must be multiples of 16 "
           "bytes, got " +
               std::to_string(map.strides[dim]) + " bytes");
    extents[dim] = isEmpty ? 1 : static_cast<uint64_t>(map.extents[dim]);
    strides[dim] = isEmpty ? 16 : static_cast<uint64_t>(map.strides[dim]);
    box[dim] = static_cast<uint32_t>(map.box[dim]);
    elementStrides[dim] = static_cast<uint32_t>(map.element_strides[dim]);
  }
  driver.check(driver.cuTensorMapEncodeTiled(static_cast<TensorMap *>(encoded), map.element_type,
                                             static_cast<unsigned>(map.rank), address, extents, strides + 1, box,
                                             elementStrides, map.interleave, map.swizzle, map.l2_promotion, map.fill),
               "cuTensorMapEncodeTiled");
}

DeviceCalls::DeviceCalls(const Program &program, const DeviceCallSite &site)
    : program(program), scope(program.getDevice()), stream(site.stream) {
  table.state = this;
  table.launch = launchKernel;
  table.encode_tensor_map = encode;
  table.fill = fillMemory;
  table.workspace = site.workspace;
  table.workspace_bytes = site.workspaceBytes;
  table.multiprocessors = program.getDevice().getMultiprocessors();
  table.compute_capability = program.getDevice().getComputeCapability();
  table.image = program.getImage();
}

/// Nothing is thrown through compiled code: the failure waits until the entry has returned.
template <typename Body> int32_t DeviceCalls::guard(Body body) noexcept {
  try {
    body();
    return GQA_OK;
  } catch (const Failure &thrown) {
    try {
      failure = thrown;
    } catch (...) {
      return GQA_OUT_OF_MEMORY;
    }
    return thrown.status;
  } catch (const std::bad_alloc &) {
    return GQA_OUT_OF_MEMORY;
  } catch (...) {
    return GQA_INTERNAL_ERROR;
  }
}

int32_t DeviceCalls::launchKernel(void *state, const gqa_device_launch *request) {
  auto *calls = static_cast<DeviceCalls *>(state);
  return calls->guard([&] { launch(calls->program, calls->stream, *request); });
}

int32_t DeviceCalls::encode(void *state, const gqa_device_tensor_map *map, void *encoded) {
  auto *calls = static_cast<DeviceCalls *>(state);
  return calls->guard([&] { encodeTensorMap(calls->program.getDevice().getDriver(), *map, encoded); });
}

int32_t DeviceCalls::fillMemory(void *state, void *address, int32_t value, int64_t bytes) {
  auto *calls = static_cast<DeviceCalls *>(state);
  return calls->guard([&] {
    const Driver &driver = calls->program.getDevice().getDriver();
    if (bytes > 0)
      driver.check(driver.cuMemsetD8Async(reinterpret_cast<Pointer>(address), static_cast<unsigned char>(value),
                                          static_cast<size_t>(bytes), calls->stream),
                   "cuMemsetD8Async");
  });
}

} // namespace gqa::cuda
