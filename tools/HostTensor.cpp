#include "tools/HostTensor.h"

#include "tools/HalfFloat.h"

#include <cstring>
#include <stdexcept>

namespace gqa {

namespace {

struct TypeInfo {
  const char *name;
  uint8_t code, bits;
};

constexpr TypeInfo kTypes[] = {
    {"f32", kDLFloat, 32}, {"f64", kDLFloat, 64}, {"f16", kDLFloat, 16}, {"bf16", kDLBfloat, 16}, {"i64", kDLInt, 64},
    {"i32", kDLInt, 32},   {"i16", kDLInt, 16},   {"i8", kDLInt, 8},     {"index", kDLInt, 64},   {"i1", kDLUInt, 8},
};

const TypeInfo &getInfo(const std::string &type) {
  for (const TypeInfo &info : kTypes)
    if (type == info.name)
      return info;
  throw std::runtime_error("unknown element type '" + type + "'");
}

template <typename T> double load(const char *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return static_cast<double>(value);
}

template <typename T> void store(char *bytes, double value) {
  T converted = static_cast<T>(value);
  std::memcpy(bytes, &converted, sizeof converted);
}

} // namespace

int64_t HostTensor::countBytes(const std::string &type, const std::vector<int64_t> &shape) {
  int64_t bytes = getInfo(type).bits / 8;
  for (int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes))
      throw std::runtime_error("a tensor of " + type + " with an extent of " + std::to_string(extent) +
                               " is impossible");
  return bytes;
}

HostTensor::HostTensor(const std::string &type, std::vector<int64_t> shape) : type(type), shape(std::move(shape)) {
  int64_t count = countBytes(type, this->shape);
  try {
    bytes.resize(static_cast<size_t>(count));
  } catch (const std::exception &) { // bad_alloc, or length_error
    throw std::runtime_error("out of memory: " + print() + " takes " + std::to_string(count) + " bytes");
  }
}

int64_t HostTensor::getElementSize() const { return getInfo(type).bits / 8; }
int64_t HostTensor::getNumElements() const { return static_cast<int64_t>(bytes.size()) / getElementSize(); }

double HostTensor::get(int64_t index) const {
  const char *element = bytes.data() + index * getElementSize();
  if (type == "f32")
    return load<float>(element);
  if (type == "f64")
    return load<double>(element);
  if (type == "f16" || type == "bf16") {
    uint16_t bits;
    std::memcpy(&bits, element, sizeof bits);
    return type == "f16" ? fromF16(bits) : fromBF16(bits);
  }
  switch (getElementSize()) {
  case 8:
    return load<int64_t>(element);
  case 4:
    return load<int32_t>(element);
  case 2:
    return load<int16_t>(element);
  default:
    return load<int8_t>(element);
  }
}

void HostTensor::set(int64_t index, double value) {
  char *element = bytes.data() + index * getElementSize();
  if (type == "f32")
    return store<float>(element, value);
  if (type == "f64")
    return store<double>(element, value);
  if (type == "f16" || type == "bf16") {
    uint16_t bits = type == "f16" ? toF16(static_cast<float>(value)) : toBF16(static_cast<float>(value));
    std::memcpy(element, &bits, sizeof bits);
    return;
  }
  switch (getElementSize()) {
  case 8:
    return store<int64_t>(element, value);
  case 4:
    return store<int32_t>(element, value);
  case 2:
    return store<int16_t>(element, value);
  default:
    return store<int8_t>(element, value);
  }
}

DLTensor HostTensor::view() {
  const TypeInfo &info = getInfo(type);
  DLTensor tensor = {};
  tensor.data = bytes.data();
  tensor.device = {kDLCPU, 0};
  tensor.ndim = static_cast<int>(shape.size());
  tensor.dtype = {info.code, info.bits, 1};
  tensor.shape = shape.data();
  return tensor;
}

std::string HostTensor::print(const std::string &type, const std::vector<int64_t> &shape) {
  std::string text = type + "[";
  for (size_t dim = 0; dim < shape.size(); ++dim)
    text += (dim ? ", " : "") + std::to_string(shape[dim]);
  return text + "]";
}

bool isIntegerType(const std::string &type) { return getInfo(type).code == kDLInt || getInfo(type).code == kDLUInt; }

} // namespace gqa
