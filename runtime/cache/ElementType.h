#ifndef GQA_RUNTIME_CACHE_ELEMENTTYPE_H
#define GQA_RUNTIME_CACHE_ELEMENTTYPE_H

#include <stdint.h> // device code has no C++ library

namespace gqa::cache {

/// What a stored key or value element is. The numbers are those of gqa_cache_type and of saved files.
enum class ElementType : int32_t { F32 = 0, F16 = 1, BF16 = 2, I8 = 3, F8E4M3 = 4, I4 = 5 };

constexpr int32_t kNumElementTypes = 6;

/// "f32", "f16", "bf16", "i8", "f8e4m3", "i4".
const char *getName(ElementType type);

constexpr int64_t getBits(ElementType type) {
  switch (type) {
  case ElementType::F32:
    return 32;
  case ElementType::F16:
  case ElementType::BF16:
    return 16;
  case ElementType::I8:
  case ElementType::F8E4M3:
    return 8;
  case ElementType::I4:
    return 4;
  }
  return 0;
}

/// Quantised types mean nothing without a scale.
constexpr bool isQuantised(ElementType type) { return getBits(type) <= 8; }

/// The largest magnitude of a quantised type. The integers are symmetric: -128 and -8 are not used.
constexpr float getLargest(ElementType type) {
  return type == ElementType::I8 ? 127.0f : type == ElementType::F8E4M3 ? 448.0f : 7.0f;
}

/// Bytes of a row of `dim` elements; two i4 share a byte, so their rows are even.
constexpr int64_t getRowBytes(ElementType type, int64_t dim) { return dim * getBits(type) / 8; }

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ELEMENTTYPE_H
