#include "runtime/TensorChecker.h"

#include "runtime/DeviceType.h"
#include "runtime/ElementNames.h"
#include "runtime/Failure.h"
#include "runtime/TensorLayout.h"

namespace gqa {

namespace {

void checkMemory(const DLTensor &tensor, bool isEmpty, const std::string &what) {
  if (!tensor.data && !isEmpty)
    fail(GQA_INVALID_ARGUMENT, what + " has no data");
  int last = tensor.ndim - 1;
  if (tensor.strides && tensor.ndim > 0 && tensor.shape[last] > 1 && tensor.strides[last] != 1)
    fail(GQA_INVALID_ARGUMENT,
         what + ": the innermost stride is " + std::to_string(tensor.strides[last]) + ", expected 1");
  size_t bytes = tensor.dtype.bits / 8;
  if ((reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset) % bytes != 0)
    fail(GQA_INVALID_ARGUMENT, what + " is not aligned to its elements of " + std::to_string(bytes) + " bytes");
}

/// "in CPU memory", "on CUDA device 1".
std::string printDevice(DLDevice device) {
  if (getDeviceType(device) == kDLCPU)
    return "in CPU memory";
  if (getDeviceType(device) == kDLCUDA)
    return "on CUDA device " + std::to_string(device.device_id);
  return "on device type " + std::to_string(getDeviceType(device));
}

} // namespace

void TensorChecker::check(const DLTensor *tensor, const TensorDescription &expected, const std::string &what) {
  if (!tensor)
    fail(GQA_INVALID_ARGUMENT, what + " is null");
  checkDevice(*tensor, what);
  if (!isElementType(tensor->dtype, expected.type))
    fail(GQA_INVALID_ARGUMENT,
         what + " has element type " + printElementType(tensor->dtype) + ", expected " + print(expected));
  if (tensor->ndim != static_cast<int>(expected.shape.size()))
    fail(GQA_INVALID_ARGUMENT, what + " has rank " + std::to_string(tensor->ndim) + ", expected rank " +
                                   std::to_string(expected.shape.size()) + " as " + print(expected));
  if (tensor->ndim > 0 && !tensor->shape)
    fail(GQA_INVALID_ARGUMENT, what + " has no shape");
  bool isEmpty = checkShape(*tensor, expected, what);
  if (!isAddressable(*tensor))
    fail(GQA_INVALID_ARGUMENT, what + " is larger than any memory");
  checkMemory(*tensor, isEmpty, what);
}

void TensorChecker::checkDevice(const DLTensor &tensor, const std::string &what) {
  if (place == Place::Anywhere)
    return;
  bool isForDevice = place == Place::Cuda;
  DLDeviceType type = isForDevice ? kDLCUDA : kDLCPU;
  if (getDeviceType(tensor.device) != type)
    fail(GQA_INVALID_ARGUMENT, what + " is " + printDevice(tensor.device) + ", but the entry takes " +
                                   (isForDevice ? "memory of a CUDA device (" : "CPU memory (") + std::to_string(type) +
                                   ")");
  if (!isForDevice)
    return;
  if (device.extent < 0)
    device = {tensor.device.device_id, what};
  if (device.extent != tensor.device.device_id)
    fail(GQA_INVALID_ARGUMENT, what + " is " + printDevice(tensor.device) + ", but " + device.what + " is on device " +
                                   std::to_string(device.extent));
}

bool TensorChecker::checkShape(const DLTensor &tensor, const TensorDescription &expected, const std::string &what) {
  bool isEmpty = false;
  for (int dim = 0; dim < tensor.ndim; ++dim) {
    int64_t extent = tensor.shape[dim];
    const DimDescription &description = expected.shape[static_cast<size_t>(dim)];
    std::string where = what + ": dimension " + std::to_string(dim) + " is " + std::to_string(extent);
    if (extent < 0)
      fail(GQA_INVALID_ARGUMENT, where + ", which is negative");
    if (description.extent && extent != *description.extent)
      fail(GQA_INVALID_ARGUMENT, where + ", expected " + std::to_string(*description.extent));
    if (!description.extent && description.symbol != "?") {
      auto [it, isNew] = symbols.try_emplace(description.symbol, Binding{extent, what});
      if (!isNew && it->second.extent != extent)
        fail(GQA_INVALID_ARGUMENT, where + ", but '" + description.symbol + "' is " +
                                       std::to_string(it->second.extent) + " in " + it->second.what);
    }
    isEmpty |= extent == 0;
  }
  return isEmpty;
}

} // namespace gqa
