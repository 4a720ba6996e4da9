#ifndef GQA_RUNTIME_CACHE_NARROWFLOAT_H
#define GQA_RUNTIME_CACHE_NARROWFLOAT_H

#include <cstdint>
#include <cstring>

/// Conversions between f32 and narrower floats, rounding to nearest, ties to even.
namespace gqa::cache {

inline uint32_t getFloatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float makeFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// IEEE 754 binary16. Overflow gives infinity; a NaN stays a (quiet) NaN.
inline uint16_t toHalf(float value) {
  uint32_t bits = getFloatBits(value);
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) // 65520, the first that rounds to infinity
    return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) { // below 2^-14: subnormal, a multiple of 2^-24, which is the spacing of f32 at 0.5
    float aligned = makeFloat(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (getFloatBits(aligned) - getFloatBits(0.5f)));
  }
  uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | (rounded - (112u << 23)) >> 13);
}

inline float fromHalf(uint16_t half) {
  uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u)
    return makeFloat(sign | 0x7f800000u | magnitude << 13);
  if (magnitude < 0x0400u)
    return makeFloat(sign | getFloatBits(static_cast<float>(magnitude) * 0x1p-24f));
  return makeFloat(sign | ((magnitude << 13) + (112u << 23)));
}

inline uint16_t toBFloat(float value) {
  uint32_t bits = getFloatBits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float fromBFloat(uint16_t value) { return makeFloat(static_cast<uint32_t>(value) << 16); }

/// OCP 8-bit float E4M3 (bias 7, largest 448, no infinities, NaN 0x7f). What is too large gives 448 of its sign.
inline uint8_t toF8E4M3(float value) {
  uint32_t bits = getFloatBits(value);
  uint32_t sign = bits >> 24 & 0x80u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint8_t>(sign | 0x7fu);
  if (magnitude >= 0x43e00000u) // 448
    return static_cast<uint8_t>(sign | 0x7eu);
  if (magnitude < 0x3c800000u) { // below 2^-6: subnormal, a multiple of 2^-9, which is the spacing of f32 at 2^14
    float aligned = makeFloat(magnitude) + 0x1p14f;
    return static_cast<uint8_t>(sign | (getFloatBits(aligned) - getFloatBits(0x1p14f)));
  }
  uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
  return static_cast<uint8_t>(sign | (rounded - (120u << 23)) >> 20);
}

inline float fromF8E4M3(uint8_t value) {
  uint32_t sign = static_cast<uint32_t>(value & 0x80u) << 24;
  uint32_t magnitude = value & 0x7fu;
  if (magnitude == 0x7fu)
    return makeFloat(sign | 0x7fc00000u);
  if (magnitude < 0x08u)
    return makeFloat(sign | getFloatBits(static_cast<float>(magnitude) * 0x1p-9f));
  return makeFloat(sign | ((magnitude << 20) + (120u << 23)));
}

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_NARROWFLOAT_H
