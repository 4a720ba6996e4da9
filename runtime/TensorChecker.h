#ifndef GQA_RUNTIME_TENSORCHECKER_H
#define GQA_RUNTIME_TENSORCHECKER_H

#include "runtime/Artifact.h"

#include <map>

namespace gqa {

/// Checks the tensors of one call; what the symbols of dimensions stand for, and which device it is, are learnt on the
/// way.
class TensorChecker {
public:
  /// Where the tensors must be; `Cuda`: all on the same device.
  enum class Place { Cpu, Cuda, Anywhere };

  explicit TensorChecker(Place place) : place(place) {}

  /// `what` begins messages. Throws gqa::Failure.
  void check(const DLTensor *tensor, const TensorDescription &expected, const std::string &what);

  /// The number of the device; 0 if there was no tensor.
  int getDeviceOrdinal() const { return device.extent < 0 ? 0 : static_cast<int>(device.extent); }

private:
  void checkDevice(const DLTensor &tensor, const std::string &what);
  bool checkShape(const DLTensor &tensor, const TensorDescription &expected, const std::string &what);

  /// A number, and the tensor that it was learnt from.
  struct Binding {
    int64_t extent;
    std::string what;
  };
  Place place;
  Binding device = {-1, ""};
  std::map<std::string, Binding> symbols;
};

} // namespace gqa

#endif // GQA_RUNTIME_TENSORCHECKER_H
