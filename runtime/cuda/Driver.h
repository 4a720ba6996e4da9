#ifndef GQA_RUNTIME_CUDA_DRIVER_H
#define GQA_RUNTIME_CUDA_DRIVER_H

#include "runtime/cuda/DriverTypes.h"

#include <memory>
#include <string>

namespace gqa::cuda {

/// The functions of libcuda.so.1, found by dlopen when they are first needed.
class Driver {
public:
  /// Loads and initialises the driver. Throws gqa::Failure: GQA_NO_DEVICE if there is no driver, or no device that it
  /// can use.
  static std::shared_ptr<const Driver> open();

#define GQA_CUDA(name, ...) Result (*name)(__VA_ARGS__) = nullptr;
#include "runtime/cuda/DriverFunctions.def"

  /// Throws gqa::Failure if `result` is an error of `function`: out of memory as such, all else as GQA_DEVICE_ERROR.
  /// `what` says in which work, e.g. "'attention_0'"; may be empty.
  void check(Result result, const char *function, const std::string &what = "") const;

  /// "CUDA_ERROR_INVALID_VALUE (invalid argument)".
  std::string describe(Result result) const;

  int getVersion() const { return version; } ///< 1000 * major + 10 * minor, of the CUDA that it supports
  int getNumDevices() const { return numDevices; }

private:
  Driver() = default;
  void loadFunctions();

  struct Closer {
    void operator()(void *library) const;
  };
  std::unique_ptr<void, Closer> library;
  int version = 0, numDevices = 0;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_DRIVER_H
