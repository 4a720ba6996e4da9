#include "runtime/cache/NarrowFloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gqa::cache {
namespace {

/// Expects that every value of a format survives the way to f32 and back, and that what lies between two neighbours
/// goes to the nearer one, or from the middle to the even one. `last` is the largest finite code.
template <typename Code> void expectRoundsToNearest(Code (*to)(float), float (*from)(Code), Code last) {
  for (uint32_t code = 0; code <= last; ++code) {
    float value = from(static_cast<Code>(code));
    ASSERT_EQ(to(value), code) << value;
    ASSERT_EQ(from(to(-value)), -value);
    if (code == last)
      break;
    float next = from(static_cast<Code>(code + 1));
    ASSERT_LT(value, next);
    float middle = static_cast<float>((static_cast<double>(value) + next) / 2);
    if (middle == value || middle == next)
      continue; // no f32 between them
    ASSERT_EQ(to(middle), code % 2 == 0 ? code : code + 1) << middle;
    ASSERT_EQ(to(std::nextafterf(middle, value)), code) << middle;
    ASSERT_EQ(to(std::nextafterf(middle, next)), code + 1) << middle;
  }
}

TEST(NarrowFloat, HalfRoundsToNearestEven) { expectRoundsToNearest<uint16_t>(toHalf, fromHalf, 0x7bff); }
TEST(NarrowFloat, BFloatRoundsToNearestEven) { expectRoundsToNearest<uint16_t>(toBFloat, fromBFloat, 0x7f7f); }
TEST(NarrowFloat, F8RoundsToNearestEven) { expectRoundsToNearest<uint8_t>(toF8E4M3, fromF8E4M3, 0x7e); }

TEST(NarrowFloat, KnowsTheFormats) {
  EXPECT_EQ(fromHalf(0x3c00), 1.0f);
  EXPECT_EQ(fromHalf(0x7bff), 65504.0f);
  EXPECT_EQ(fromHalf(0x0001), 0x1p-24f);
  EXPECT_EQ(fromBFloat(0x3f80), 1.0f);
  EXPECT_EQ(fromF8E4M3(0x38), 1.0f);
  EXPECT_EQ(fromF8E4M3(0x7e), 448.0f);
  EXPECT_EQ(fromF8E4M3(0x08), 0x1p-6f);
  EXPECT_EQ(fromF8E4M3(0x01), 0x1p-9f);
}

TEST(NarrowFloat, OverflowAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(fromHalf(toHalf(65519.0f)), 65504.0f);
  EXPECT_EQ(fromHalf(toHalf(65520.0f)), kInfinity);
  EXPECT_EQ(fromHalf(toHalf(-kInfinity)), -kInfinity);
  EXPECT_EQ(fromBFloat(toBFloat(kInfinity)), kInfinity);
  EXPECT_EQ(fromBFloat(toBFloat(std::numeric_limits<float>::max())), kInfinity);
  EXPECT_EQ(fromF8E4M3(toF8E4M3(1e9f)), 448.0f) << "E4M3 saturates";
  EXPECT_EQ(fromF8E4M3(toF8E4M3(-kInfinity)), -448.0f);
  EXPECT_TRUE(std::isnan(fromHalf(toHalf(kNaN))));
  EXPECT_TRUE(std::isnan(fromBFloat(toBFloat(makeFloat(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(fromF8E4M3(toF8E4M3(kNaN))));
}

} // namespace
} // namespace gqa::cache
