#include "runtime/TensorChecker.h"

#include "runtime/DeviceType.h"
#include "runtime/Failure.h"
#include "runtime/TensorSize.h"

namespace gqa {

namespace {

/// DLPack's kBool, which older headers lack.
constexpr uint8_t kBool = 6;
/// DLPack's kDLFloat8_e4m3fn, which came with DLPack 1.1.
constexpr uint8_t kFloat8E4M3FN = 10;

/// The element types that cross the interface, by MLIR's names.
struct ElementType {
  const char *name;
  uint8_t code;
  uint8_t bits;
};

constexpr ElementType kElementTypes[] = {
    {"f32", kDLFloat, 32}, {"f64", kDLFloat, 64}, {"f16", kDLFloat, 16}, {"bf16", kDLBfloat, 16}, {"i64", kDLInt, 64},
    {"i32", kDLInt, 32},   {"i16", kDLInt, 16},   {"i8", kDLInt, 8},     {"index", kDLInt, 64},   {"i1", kBool, 8},
};

std::string printType(DLDataType type) {
  for (const ElementType &known : kElementTypes)
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1)
      return known.name;
  return "DLPack type (" + std::to_string(type.code) + ", " + std::to_string(type.bits) + ", " +
         std::to_string(type.lanes) + ")";
}

bool isSameType(DLDataType type, const std::string &name) {
  if (type.lanes != 1)
    return false;
  // Bytes of either sign, and booleans, all carry i1 and i8.
  bool isByte = type.bits == 8 && (type.code == kDLInt || type.code == kDLUInt || type.code == kBool);
  if (name == "i1" || name == "i8")
    return isByte;
  if (name == "f8E4M3FN")
    return isByte || (type.bits == 8 && type.code == kFloat8E4M3FN);
  for (const ElementType &known : kElementTypes)
    if (name == known.name)
      return type.code == known.code && type.bits == known.bits;
  return false;
}

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

DLDataType getElementType(const std::string &name) {
  if (name == "f8E4M3FN")
    return {kFloat8E4M3FN, 8, 1};
  for (const ElementType &known : kElementTypes)
    if (name == known.name)
      return {known.code, known.bits, 1};
  fail(GQA_INTERNAL_ERROR, "element type '" + name + "' has no equivalent in DLPack");
}

void TensorChecker::check(const DLTensor *tensor, const TensorDescription &expected, const std::string &what) {
  if (!tensor)
    fail(GQA_INVALID_ARGUMENT, what + " is null");
  checkDevice(*tensor, what);
  if (!isSameType(tensor->dtype, expected.type))
    fail(GQA_INVALID_ARGUMENT,
         what + " has element type " + printType(tensor->dtype) + ", expected " + print(expected));
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
