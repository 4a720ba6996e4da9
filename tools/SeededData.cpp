#include "tools/SeededData.h"

#include "tools/HalfFloat.h"

#include <stdexcept>

namespace gqa {
namespace {

/// Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators": the state after `index` steps, mixed.
uint64_t splitMix64(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/// Uniform in [-1, 1), a multiple of 2^-23.
float uniform(uint64_t seed, int64_t index) {
  return static_cast<float>(splitMix64(seed, static_cast<uint64_t>(index)) >> 40) * 0x1p-23f - 1;
}

} // namespace

ElementBuffer::ElementBuffer(ElementType type, int64_t count) : type(type), count(count), memory(nullptr, &std::free) {
  size_t bytes = (static_cast<size_t>(count) * getByteSize(type) + 63) / 64 * 64;
  memory.reset(std::aligned_alloc(64, bytes));
  if (!memory)
    throw std::runtime_error("no memory for " + std::to_string(bytes) + " bytes of data");
}

void ElementBuffer::fillRandom(uint64_t seed, float amplitude) {
  uint64_t mixed = splitMix64(seed, 0);
  auto *singles = static_cast<float *>(data());
  auto *halves = static_cast<uint16_t *>(data());
#pragma omp parallel for
  for (int64_t i = 0; i < count; ++i) {
    float value = amplitude * uniform(mixed, i);
    if (type == ElementType::f32)
      singles[i] = value;
    else
      halves[i] = type == ElementType::f16 ? toF16(value) : toBF16(value);
  }
}

} // namespace gqa
