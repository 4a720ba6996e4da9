#ifndef GQA_RUNTIME_CUDA_DEVICECODE_H
#define GQA_RUNTIME_CUDA_DEVICECODE_H

#include "runtime/cuda/Program.h"

namespace gqa::cuda {

/// The kernels of an artifact, loaded on each device when they are first needed there. May be used by any threads.
class DeviceCode {
public:
  /// `images` end with one of kind 0, and outlive this.
  DeviceCode(const gqa_device_image *images, std::vector<KernelDescription> kernels)
      : images(images), kernels(std::move(kernels)) {}

  /// Throws gqa::Failure (GQA_UNSUPPORTED_TARGET) if the device cannot run any image.
  void checkCanRun(const Device &device) const { cuda::checkCanRun(images, device); }

  /// The kernels on `device`. Throws gqa::Failure.
  const Program &getProgram(const std::shared_ptr<const Device> &device) const;

private:
  const gqa_device_image *images;
  std::vector<KernelDescription> kernels;
  mutable std::mutex mutex;
  mutable std::map<int, std::unique_ptr<Program>> programs; // by the device's number
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_DEVICECODE_H
