#include "runtime/cuda/DeviceCode.h"

namespace gqa::cuda {

const Program &DeviceCode::getProgram(const std::shared_ptr<const Device> &device) const {
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<Program> &program = programs[device->getOrdinal()];
  if (!program)
    program = std::make_unique<Program>(device, images, kernels);
  return *program;
}

} // namespace gqa::cuda
