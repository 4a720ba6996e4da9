#ifndef GQA_RUNTIME_CUDA_PROGRAM_H
#define GQA_RUNTIME_CUDA_PROGRAM_H

#include "runtime/cuda/Device.h"
#include "runtime/gqa_device.h"

#include <map>
#include <mutex>
#include <vector>

namespace gqa::cuda {

/// A kernel that is known before it is launched.
struct KernelDescription {
  std::string name;
  int image;       ///< index of the image that has it
  int sharedBytes; ///< most dynamic shared memory that it is launched with
};

/// The index of the first image that a device of this compute capability can run; -1 if there is none.
int chooseImage(const gqa_device_image *images, int capability);

/// What the images need, for messages: "compute capability 9.0, or 8.0 or later".
std::string describeNeeds(const gqa_device_image *images);

/// Throws gqa::Failure (GQA_UNSUPPORTED_TARGET) if the device can run none of the images.
void checkCanRun(const gqa_device_image *images, const Device &device);

/// The kernels of an artifact, loaded on one device. May be used by any threads.
class Program {
public:
  /// Loads an image of `images`, which end with one of kind 0, and those of `kernels` that are in it. Throws
  /// gqa::Failure: GQA_UNSUPPORTED_TARGET if the device can run none of them.
  Program(std::shared_ptr<const Device> device, const gqa_device_image *images,
          const std::vector<KernelDescription> &kernels);
  ~Program();
  Program(const Program &) = delete;

  /// The kernel called `name`, allowed to use that much dynamic shared memory. The context is current.
  FunctionHandle getFunction(const std::string &name, int sharedBytes) const;

  const Device &getDevice() const { return *device; }
  int getImage() const { return image; }

private:
  struct Kernel {
    FunctionHandle handle;
    int sharedBytes;
  };
  void load(const gqa_device_image &image);

  std::shared_ptr<const Device> device;
  int image;
  ModuleHandle module = nullptr;
  mutable std::mutex mutex;
  mutable std::map<std::string, Kernel> kernels;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_PROGRAM_H
