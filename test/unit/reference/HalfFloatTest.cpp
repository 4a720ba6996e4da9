#include "tools/HalfFloat.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace gqa;

namespace {

TEST(HalfFloatTest, everyF16SurvivesTheWayToF32AndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = fromF16(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(fromF16(toF16(value))));
    else
      EXPECT_EQ(toF16(value), bits);
  }
}

TEST(HalfFloatTest, everyBF16SurvivesTheWayToF32AndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = fromBF16(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(fromBF16(toBF16(value))));
    else
      EXPECT_EQ(toBF16(value), bits);
  }
}

TEST(HalfFloatTest, tiesGoToEven) {
  EXPECT_EQ(toF16(1 + std::ldexp(1.0f, -11)), 0x3C00);
  EXPECT_EQ(toF16(1 + 3 * std::ldexp(1.0f, -11)), 0x3C02);
  EXPECT_EQ(toBF16(1 + std::ldexp(1.0f, -8)), 0x3F80);
  EXPECT_EQ(toBF16(1 + 3 * std::ldexp(1.0f, -8)), 0x3F82);
  EXPECT_EQ(toF16(std::ldexp(1.0f, -25)), 0) << "half of the smallest subnormal";
  EXPECT_EQ(toF16(3 * std::ldexp(1.0f, -25)), 2);
}

TEST(HalfFloatTest, edgesOfTheRange) {
  EXPECT_EQ(fromF16(0x7BFF), 65504.0f);
  EXPECT_EQ(toF16(65519.0f), 0x7BFF);
  EXPECT_EQ(toF16(65520.0f), 0x7C00);
  EXPECT_EQ(toF16(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_EQ(toF16(std::nextafter(std::ldexp(1.0f, -14), 0.0f)), 0x0400) << "rounds up to the smallest normal";
  EXPECT_EQ(toBF16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(getBits(fromF16(0x8000)), 0x80000000u);
}

} // namespace
