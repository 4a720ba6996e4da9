#ifndef GQA_TOOLS_HALFFLOAT_H
#define GQA_TOOLS_HALFFLOAT_H

#include <cstdint>
#include <cstring>

/// The two half-precision types as bit patterns: f16 (IEEE binary16) and bf16. Conversions to them round to the nearest
/// value, ties to even; a NaN stays a (quiet) NaN.
namespace gqa {

inline uint32_t getBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float fromBF16(uint16_t bits) { return fromBits(static_cast<uint32_t>(bits) << 16); }

inline uint16_t toBF16(float value) {
  uint32_t bits = getBits(value);
  if (value != value)
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float fromF16(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 0x1F;
  uint32_t mantissa = bits & 0x3FF;
  if (exponent == 0x1F) // infinity and NaN
    return fromBits(sign | 0x7F800000 | mantissa << 13);
  if (exponent == 0) { // zero and subnormals: mantissa * 2^-24
    float magnitude = static_cast<float>(mantissa) * fromBits(0x33800000);
    return fromBits(sign | getBits(magnitude));
  }
  return fromBits(sign | (exponent + 112) << 23 | mantissa << 13);
}

inline uint16_t toF16(float value) {
  uint32_t bits = getBits(value);
  auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) // NaN
    return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude >= 0x477FF000) // 65520 and more round to infinity
    return static_cast<uint16_t>(sign | 0x7C00);
  if (magnitude < 0x38800000) { // below 2^-14: adding 0.5 leaves mantissa * 2^-24, rounded, in the low bits
    uint32_t sum = getBits(fromBits(magnitude) + 0.5f);
    return static_cast<uint16_t>(sign | (sum - 0x3F000000));
  }
  uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

} // namespace gqa

#endif // GQA_TOOLS_HALFFLOAT_H
