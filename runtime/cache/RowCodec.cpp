#include "runtime/cache/RowCodec.h"

#include "runtime/cache/NarrowFloat.h"

#include <cmath>
#include <limits>

namespace gqa::cache {

const char *getName(ElementType type) {
  constexpr const char *kNames[kNumElementTypes] = {"f32", "f16", "bf16", "i8", "f8e4m3", "i4"};
  return kNames[static_cast<int32_t>(type)];
}

/// max |row|, or NaN if an element is not finite.
static float getLargestMagnitude(const float *row, int64_t dim) {
  float largest = 0;
  for (int64_t d = 0; d < dim; ++d) {
    float magnitude = std::fabs(row[d]);
    if (!(magnitude <= std::numeric_limits<float>::max()))
      return std::numeric_limits<float>::quiet_NaN();
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

/// x rounded to the nearest integer in [-largest, largest], ties to even; 0 for NaN.
static int32_t roundToInteger(float x, float largest) {
  if (!(x == x))
    return 0;
  return static_cast<int32_t>(std::nearbyint(x < -largest ? -largest : x > largest ? largest : x));
}

static void quantise(ElementType type, float scaled, int64_t d, uint8_t *out) {
  switch (type) {
  case ElementType::F8E4M3:
    out[d] = toF8E4M3(scaled);
    return;
  case ElementType::I8:
    out[d] = static_cast<uint8_t>(roundToInteger(scaled, getLargest(type)));
    return;
  default: { // I4: element 2i is the low half of byte i
    uint32_t nibble = static_cast<uint32_t>(roundToInteger(scaled, getLargest(type))) & 0xfu;
    out[d / 2] = static_cast<uint8_t>(d % 2 == 0 ? nibble : out[d / 2] | nibble << 4);
    return;
  }
  }
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

static void encodeQuantised(ElementType type, const float *row, int64_t dim, const float *channelScales, uint8_t *out,
                            float *scale) {
  if (channelScales) {
    for (int64_t d = 0; d < dim; ++d)
      quantise(type, row[d] / channelScales[d], d, out);
    return;
  }
  *scale = getLargestMagnitude(row, dim) / getLargest(type);
  // The quotient of a tiny row may be 0; then so are its elements. A NaN scale is told by the comparison, too.
  bool isUsable = *scale > 0;
  for (int64_t d = 0; d < dim; ++d)
    quantise(type, isUsable ? row[d] / *scale : 0.0f, d, out);
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
