#include "test/fuzz/GuardedTensor.h"

#include "runtime/cache/NarrowFloat.h"
#include "tools/HalfFloat.h"

#include <cstring>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

namespace gqa {
namespace {

constexpr unsigned char kPoison = 0xFF;

DLDataType getDLType(ElementType type) {
  auto bits = static_cast<uint8_t>(8 * getByteSize(type));
  switch (type) {
  case ElementType::f32:
  case ElementType::f16:
    return {kDLFloat, bits, 1};
  case ElementType::bf16:
    return {kDLBfloat, bits, 1};
  case ElementType::i1:
    return {kDLUInt, bits, 1};
  default:
    return {kDLInt, bits, 1};
  }
}

} // namespace

GuardedTensor::GuardedTensor(const AttentionProblem &problem, const Operand &operand,
                             const std::vector<int64_t> &padded)
    : operand(operand), shape(gqa::getShape(problem, operand)), dlStrides(shape.size()) {
  int64_t stride = 1, last = 0;
  bool isEmpty = false;
  for (size_t i = shape.size(); i-- > 0;) {
    dlStrides[i] = stride;
    last += (shape[i] - 1) * stride;
    stride *= padded[i];
    isEmpty |= shape[i] == 0;
  }
  strides = getStrides(operand, dlStrides);

  auto bytes = static_cast<size_t>((isEmpty ? 0 : last + 1) * getByteSize(operand.type));
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  usableSize = (bytes + page) / page * page; // at least one byte before the elements
  mappingSize = usableSize + page;
  mapping = mmap(nullptr, mappingSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    throw std::bad_alloc();
  std::memset(mapping, kPoison, usableSize);
  mprotect(static_cast<char *>(mapping) + usableSize, page, PROT_NONE);
  data = static_cast<char *>(mapping) + usableSize - bytes;
}

GuardedTensor::GuardedTensor(GuardedTensor &&other) noexcept
    : operand(std::move(other.operand)), shape(std::move(other.shape)), dlStrides(std::move(other.dlStrides)),
      strides(other.strides), mapping(other.mapping), mappingSize(other.mappingSize), usableSize(other.usableSize),
      data(other.data) {
  other.mapping = nullptr;
}

GuardedTensor::~GuardedTensor() {
  if (mapping)
    munmap(mapping, mappingSize);
}

DLTensor GuardedTensor::getDLTensor() {
  DLTensor tensor = {};
  tensor.data = data;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = static_cast<int>(shape.size());
  tensor.dtype = getDLType(operand.type);
  tensor.shape = shape.data();
  tensor.strides = dlStrides.data();
  return tensor;
}

DLTensor GuardedTensor::getBatchEntry(int64_t entry) {
  DLTensor tensor = getDLTensor();
  entryShape = shape;
  for (size_t i = 0; i < shape.size(); ++i)
    if (operand.dims[i] == Dim::b)
      entryShape[i] = 1;
  tensor.shape = entryShape.data();
  tensor.byte_offset = static_cast<uint64_t>(entry * at(strides, Dim::b) * getByteSize(operand.type));
  return tensor;
}

int64_t GuardedTensor::getOffset(const PerDim &index) const {
  int64_t offset = 0;
  for (int dim = 0; dim < kNumDims; ++dim)
    offset += index[static_cast<size_t>(dim)] * strides[static_cast<size_t>(dim)];
  return offset;
}

void GuardedTensor::set(const PerDim &index, double value) {
  char *element = data + getOffset(index) * getByteSize(operand.type);
  auto store = [&](auto typed) { std::memcpy(element, &typed, sizeof typed); };
  switch (operand.type) {
  case ElementType::f32:
    return store(static_cast<float>(value));
  case ElementType::f16:
    return store(toF16(static_cast<float>(value)));
  case ElementType::bf16:
    return store(toBF16(static_cast<float>(value)));
  case ElementType::i1:
  case ElementType::i8:
    return store(static_cast<int8_t>(value));
  case ElementType::f8E4M3FN:
    return store(cache::toF8E4M3(static_cast<float>(value)));
  case ElementType::i32:
    return store(static_cast<int32_t>(value));
  case ElementType::i64:
    return store(static_cast<int64_t>(value));
  }
}

std::string GuardedTensor::getBits(const PerDim &index) const {
  int64_t size = getByteSize(operand.type);
  return std::string(data + getOffset(index) * size, static_cast<size_t>(size));
}

bool GuardedTensor::isPaddingIntact() const {
  std::vector<bool> isElement(usableSize, false);
  int64_t size = getByteSize(operand.type);
  auto begin = data - static_cast<char *>(mapping);
  forEach([&](const PerDim &index) {
    for (int64_t byte = 0; byte < size; ++byte)
      isElement[static_cast<size_t>(begin + getOffset(index) * size + byte)] = true;
  });
  for (size_t i = 0; i < usableSize; ++i)
    if (!isElement[i] && static_cast<unsigned char *>(mapping)[i] != kPoison)
      return false;
  return true;
}

} // namespace gqa
