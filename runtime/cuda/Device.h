#ifndef GQA_RUNTIME_CUDA_DEVICE_H
#define GQA_RUNTIME_CUDA_DEVICE_H

#include "runtime/cuda/Driver.h"

namespace gqa::cuda {

/// One device and its primary context, which is the one that PyTorch, JAX and the CUDA runtime use, too; so streams and
/// memory of theirs can be passed in.
class Device {
public:
  /// Throws gqa::Failure: GQA_NO_DEVICE without a driver or a device with this number.
  static std::shared_ptr<const Device> open(int ordinal);
  ~Device();
  Device(const Device &) = delete;

  const Driver &getDriver() const { return *driver; }
  int getOrdinal() const { return ordinal; }
  const std::string &getName() const { return name; }
  int getMultiprocessors() const { return multiprocessors; }
  int getComputeCapability() const { return capability; }    ///< 10 * major + minor, e.g. 90
  int getSharedBytesPerBlock() const { return sharedBytes; } ///< most that a kernel can ask for
  int getL2Bytes() const { return l2Bytes; }

  /// "'NVIDIA H100' (compute capability 9.0)".
  std::string describe() const;

  /// Makes the device's context the calling thread's current one, and in the end what was current before.
  class Scope {
  public:
    explicit Scope(const Device &device);
    ~Scope();
    Scope(const Scope &) = delete;

  private:
    const Driver &driver;
  };

private:
  Device(std::shared_ptr<const Driver> driver, int ordinal);
  int getAttribute(DeviceAttribute attribute) const;

  std::shared_ptr<const Driver> driver;
  int ordinal;
  DeviceHandle handle = 0;
  ContextHandle context = nullptr;
  std::string name;
  int multiprocessors = 0, capability = 0, sharedBytes = 0, l2Bytes = 0;
};

/// "9.0" for 90.
std::string printCapability(int capability);

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_DEVICE_H
