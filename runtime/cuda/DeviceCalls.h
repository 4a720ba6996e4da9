#ifndef GQA_RUNTIME_CUDA_DEVICECALLS_H
#define GQA_RUNTIME_CUDA_DEVICECALLS_H

#include "runtime/Failure.h"
#include "runtime/cuda/Program.h"

#include <optional>

namespace gqa::cuda {

/// Where a call runs, beside its arguments.
struct DeviceCallSite {
  StreamHandle stream;
  void *workspace;
  int64_t workspaceBytes;
};

/// Throws gqa::Failure if the launch cannot be, in numbers.
void launch(const Program &program, StreamHandle stream, const gqa_device_launch &launch);

/// x times y blocks of threads, with so much dynamic shared memory each.
struct TaskGrid {
  int64_t x, y;
  int32_t threads;
  int64_t sharedBytes;
};

/// The same for a kernel whose one parameter is what `task` points to.
void launchTask(const Program &program, StreamHandle stream, const char *kernel, const TaskGrid &grid,
                const void *task);

/// Throws gqa::Failure if the driver would not encode the map.
void encodeTensorMap(const Driver &driver, const gqa_device_tensor_map &map, void *encoded);

/// The callbacks of compiled code during one call of an entry. The device's context is current as long as it lives.
class DeviceCalls {
public:
  DeviceCalls(const Program &program, const DeviceCallSite &site);

  const gqa_device_host *getTable() const { return &table; }

  /// What went wrong in a callback.
  const std::optional<Failure> &getFailure() const { return failure; }

private:
  template <typename Body> int32_t guard(Body body) noexcept;
  static int32_t launchKernel(void *state, const gqa_device_launch *launch);
  static int32_t encode(void *state, const gqa_device_tensor_map *map, void *encoded);
  static int32_t fillMemory(void *state, void *address, int32_t value, int64_t bytes);

  const Program &program;
  Device::Scope scope;
  StreamHandle stream;
  gqa_device_host table = {};
  std::optional<Failure> failure;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_DEVICECALLS_H
