#ifndef GQA_RUNTIME_CACHE_NARROWFLOAT_H
#define GQA_RUNTIME_CACHE_NARROWFLOAT_H

#include <stdint.h>

/// Conversions between f32 and narrower floats, rounding to nearest, ties to even. They choose instead of branching, so
/// that loops over them become vector code. Device code includes this, and has no C++ library.
namespace gqa::cache {

inline uint32_t getFloatBits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float makeFloat(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

/// IEEE 754 binary16. Overflow gives infinity; a NaN stays a (quiet) NaN.
inline uint16_t toHalf(float value) {
  uint32_t bits = getFloatBits(value);
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  // Below 2^-14: subnormal, a multiple of 2^-24, which is the spacing of f32 at 0.5.
  uint32_t subnormal = getFloatBits(makeFloat(magnitude) + 0.5f) - getFloatBits(0.5f);
  uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
  uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half; // 65520, the first that rounds to infinity
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return static_cast<uint16_t>(sign | half);
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
  // Below 2^-6: subnormal, a multiple of 2^-9, which is the spacing of f32 at 2^14.
  uint32_t subnormal = getFloatBits(makeFloat(magnitude) + 0x1p14f) - getFloatBits(0x1p14f);
  uint32_t normal = (magnitude + 0x7ffffu + (magnitude >> 20 & 1u) - (120u << 23)) >> 20;
  uint32_t code = magnitude < 0x3c800000u ? subnormal : normal;
  code = magnitude >= 0x43e00000u ? 0x7eu : code; // 448
  code = magnitude > 0x7f800000u ? 0x7fu : code;
  return static_cast<uint8_t>(sign | code);
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
