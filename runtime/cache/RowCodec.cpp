#include "runtime/cache/RowCodec.h"

#include "runtime/cache/NarrowFloat.h"

#include <cstring>
#include <limits>

namespace gqa::cache {

const char *getName(ElementType type) {
  constexpr const char *kNames[kNumElementTypes] = {"f32", "f16", "bf16", "i8", "f8e4m3", "i4"};
  return kNames[static_cast<int32_t>(type)];
}

/// max |row|, or NaN if an element is not finite.
static float getLargestMagnitude(const float *row, int64_t dim) {
  // The bits of magnitudes are ordered as the magnitudes are, and infinity and NaN come last.
  uint32_t largest = 0;
  for (int64_t d = 0; d < dim; ++d) {
    uint32_t magnitude = getFloatBits(row[d]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest >= 0x7f800000u ? std::numeric_limits<float>::quiet_NaN() : makeFloat(largest);
}

/// x rounded to the nearest integer in [-largest, largest], ties to even; 0 for NaN. Without a call or a branch, so
/// that loops over rows become vector code.
static int32_t roundToInteger(float x, float largest) {
  // 1.5 * 2^23: from here on floats are whole numbers, and their bits count up with them.
  constexpr float kWhole = 0x1.8p23f;
  constexpr uint32_t kWholeBits = 0x4b400000u;
  x = x == x ? x : 0.0f;
  x = x < -largest ? -largest : x;
  x = x > largest ? largest : x;
  return static_cast<int32_t>(getFloatBits(x + kWhole) - kWholeBits);
}

/// Stores the elements x(0), x(1), ... which are already divided by their scale.
template <typename Scaled> static void quantise(ElementType type, int64_t dim, uint8_t *out, Scaled x) {
  switch (type) {
  case ElementType::F8E4M3:
    for (int64_t d = 0; d < dim; ++d)
      out[d] = toF8E4M3(x(d));
    return;
  case ElementType::I8:
    for (int64_t d = 0; d < dim; ++d)
      out[d] = static_cast<uint8_t>(roundToInteger(x(d), 127.0f));
    return;
  default: // I4: element 2i is the low half of byte i
    for (int64_t i = 0; i < dim / 2; ++i)
      out[i] = static_cast<uint8_t>((roundToInteger(x(2 * i), 7.0f) & 0xf) | (roundToInteger(x(2 * i + 1), 7.0f) & 0xf)
                                                                                 << 4);
  }
}

static void encodeQuantised(ElementType type, const float *row, int64_t dim, const float *channelScales, uint8_t *out,
                            float *scale) {
  if (channelScales) {
    quantise(type, dim, out, [=](int64_t d) { return row[d] / channelScales[d]; });
    return;
  }
  float common = getLargestMagnitude(row, dim) / getLargest(type);
  *scale = common;
  if (common > 0)
    quantise(type, dim, out, [=](int64_t d) { return row[d] / common; });
  else // zeros, elements too small to have a scale, or a NaN, which the scale brings back
    std::memset(out, 0, static_cast<size_t>(getRowBytes(type, dim)));
}

static float dequantise(ElementType type, const uint8_t *in, int64_t d) {
  switch (type) {
  case ElementType::F8E4M3:
    return fromF8E4M3(in[d]);
  case ElementType::I8:
    return static_cast<float>(static_cast<int8_t>(in[d]));
  default: {
    int32_t nibble = in[d / 2] >> (d % 2 * 4) & 0xf;
    return static_cast<float>(nibble < 8 ? nibble : nibble - 16);
  }
  }
}

void encodeRow(ElementType type, const float *row, int64_t dim, const float *channelScales, void *out, float *scale) {
  switch (type) {
  case ElementType::F32:
    std::memcpy(out, row, static_cast<size_t>(dim) * sizeof(float));
    return;
  case ElementType::F16:
    for (int64_t d = 0; d < dim; ++d)
      static_cast<uint16_t *>(out)[d] = toHalf(row[d]);
    return;
  case ElementType::BF16:
    for (int64_t d = 0; d < dim; ++d)
      static_cast<uint16_t *>(out)[d] = toBFloat(row[d]);
    return;
  case ElementType::I8:
  case ElementType::F8E4M3:
  case ElementType::I4:
    encodeQuantised(type, row, dim, channelScales, static_cast<uint8_t *>(out), scale);
    return;
  }
}

void decodeRow(ElementType type, const void *in, int64_t dim, const float *channelScales, float scale, float *row) {
  switch (type) {
  case ElementType::F32:
    std::memcpy(row, in, static_cast<size_t>(dim) * sizeof(float));
    return;
  case ElementType::F16:
    for (int64_t d = 0; d < dim; ++d)
      row[d] = fromHalf(static_cast<const uint16_t *>(in)[d]);
    return;
  case ElementType::BF16:
    for (int64_t d = 0; d < dim; ++d)
      row[d] = fromBFloat(static_cast<const uint16_t *>(in)[d]);
    return;
  case ElementType::I8:
  case ElementType::F8E4M3:
  case ElementType::I4:
    for (int64_t d = 0; d < dim; ++d)
      row[d] = (channelScales ? channelScales[d] : scale) * dequantise(type, static_cast<const uint8_t *>(in), d);
    return;
  }
}

} // namespace gqa::cache
