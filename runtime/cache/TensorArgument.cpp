#include "runtime/cache/TensorArgument.h"

#include "runtime/Context.h"
#include "runtime/DeviceType.h"
#include "runtime/ElementNames.h"
#include "runtime/TensorLayout.h"

namespace gqa::cache {

[[noreturn]] static void refuse(const std::string &message) { fail(GQA_INVALID_ARGUMENT, message); }

std::vector<int64_t> getShape(const DLTensor *tensor, const std::string &what) {
  if (!tensor)
    refuse(what + " must not be null");
  if (tensor->ndim < 0 || tensor->ndim > GQA_MAX_RANK)
    refuse(what + " must have a rank from 0 to " + std::to_string(GQA_MAX_RANK) + ", got " +
           std::to_string(tensor->ndim));
  if (tensor->ndim > 0 && !tensor->shape)
    refuse(what + " has rank " + std::to_string(tensor->ndim) + " but no shape");
  for (int32_t dim = 0; dim < tensor->ndim; ++dim)
    if (tensor->shape[dim] < 0)
      refuse(what + ": dimension " + std::to_string(dim) + " must not be negative, got " +
             std::to_string(tensor->shape[dim]));
  return {tensor->shape, tensor->shape + tensor->ndim};
}

static std::string print(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t dim = 0; dim < shape.size(); ++dim)
    text += (dim ? ", " : "") + (shape[dim] < 0 ? "?" : std::to_string(shape[dim]));
  return text + "]";
}

static bool fits(const std::vector<int64_t> &shape, const std::vector<int64_t> &wanted) {
  if (shape.size() != wanted.size())
    return false;
  for (size_t dim = 0; dim < shape.size(); ++dim)
    if (wanted[dim] >= 0 && shape[dim] != wanted[dim])
      return false;
  return true;
}

static ElementType getType(DLDataType type, const std::string &what, bool allowsHalf) {
  bool isScalar = type.lanes == 1;
  if (isScalar && type.code == kDLFloat && type.bits == 32)
    return ElementType::F32;
  if (allowsHalf && isScalar && type.code == kDLFloat && type.bits == 16)
    return ElementType::F16;
  if (allowsHalf && isScalar && type.code == kDLBfloat && type.bits == 16)
    return ElementType::BF16;
  refuse(what + " must be f32" + (allowsHalf ? ", f16 or bf16" : "") + ", got " + printElementType(type));
}

void checkDevice(const DLTensor &tensor, const std::string &what, DLDevice device) {
  bool isOnDevice = device.device_type != kDLCPU;
  if (getDeviceType(tensor.device) != device.device_type)
    refuse(what + " must be in " + (isOnDevice ? "memory of a CUDA device" : "CPU memory") + " (device type " +
           std::to_string(device.device_type) + "), got device type " + std::to_string(getDeviceType(tensor.device)));
  if (isOnDevice && tensor.device.device_id != device.device_id)
    refuse(what + " must be on the cache's device " + std::to_string(device.device_id) + ", got device " +
           std::to_string(tensor.device.device_id));
}

TensorArgument::TensorArgument(const DLTensor *tensor, const std::string &what, const std::vector<int64_t> &wanted,
                               bool allowsHalf, DLDevice device)
    : shape(getShape(tensor, what)), strides(shape.size(), 1) {
  checkDevice(*tensor, what, device);
  type = getType(tensor->dtype, what, allowsHalf);
  if (!fits(shape, wanted))
    refuse(what + " must have shape " + print(wanted) + ", got " + print(shape));
  bool isEmpty = false;
  if (!isAddressable(*tensor))
    refuse(what + " is larger than any memory: " + print(shape));
  int64_t bytes = getBits(type) / 8;
  for (size_t dim = shape.size(); dim > 0; --dim) {
    isEmpty |= shape[dim - 1] == 0;
    if (dim < shape.size())
      strides[dim - 1] = strides[dim] * std::max<int64_t>(shape[dim], 1);
  }
  if (tensor->strides)
    strides.assign(tensor->strides, tensor->strides + tensor->ndim);
  if (!shape.empty() && shape.back() > 1 && strides.back() != 1)
    refuse(what + ": the innermost stride must be 1, got " + std::to_string(strides.back()));
  if (!tensor->data && !isEmpty)
    refuse(what + " has no data");
  data = static_cast<char *>(tensor->data) + (tensor->data ? tensor->byte_offset : 0);
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) != 0)
    refuse(what + " must be aligned to its elements of " + std::to_string(bytes) + " bytes");
}

} // namespace gqa::cache
