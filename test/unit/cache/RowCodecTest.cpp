#include "runtime/cache/RowCodec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gqa::cache {
namespace {

constexpr ElementType kTypes[] = {ElementType::F32, ElementType::F16,    ElementType::BF16,
                                  ElementType::I8,  ElementType::F8E4M3, ElementType::I4};

struct Stored {
  std::vector<uint8_t> bytes;
  float scale = 1;
  std::vector<float> back;
};

Stored store(ElementType type, const std::vector<float> &row, const float *channelScales = nullptr) {
  int64_t dim = static_cast<int64_t>(row.size());
  Stored stored{std::vector<uint8_t>(static_cast<size_t>(getRowBytes(type, dim))), 1, std::vector<float>(row.size())};
  encodeRow(type, row.data(), dim, channelScales, stored.bytes.data(), &stored.scale);
  decodeRow(type, stored.bytes.data(), dim, channelScales, stored.scale, stored.back.data());
  return stored;
}

/// The largest error of type `type` for element x of a row whose largest magnitude is `largest`.
double getBound(ElementType type, double x, double largest) {
  switch (type) {
  case ElementType::F32:
    return 0;
  case ElementType::F16:
    return std::fabs(x) * 0x1p-11 + 0x1p-25;
  case ElementType::BF16:
    return std::fabs(x) * 0x1p-8;
  case ElementType::I8:
    return 0.5 * largest / 127 * 1.00001;
  case ElementType::F8E4M3: // half a unit of 3 bits, or of a subnormal
    return (std::fabs(x) * 0x1p-4 + largest / 448 * 0x1p-10) * 1.00001;
  case ElementType::I4:
    return 0.5 * largest / 7 * 1.00001;
  }
  return 0;
}

TEST(RowCodec, ErrorIsThatOfTheType) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (ElementType type : kTypes) {
    for (float magnitude : {1e-3f, 1.0f, 300.0f}) {
      std::vector<float> row(64);
      float largest = 0;
      for (float &x : row) {
        x = magnitude * normal(random);
        largest = std::max(largest, std::fabs(x));
      }
      Stored stored = store(type, row);
      for (size_t d = 0; d < row.size(); ++d)
        EXPECT_LE(std::fabs(stored.back[d] - row[d]), getBound(type, row[d], largest))
            << getName(type) << " " << row[d];
    }
  }
}

TEST(RowCodec, LargestElementsOfQuantisedRowsAreKept) {
  for (ElementType type : {ElementType::I8, ElementType::F8E4M3, ElementType::I4}) {
    Stored stored = store(type, {-3.5f, 0.0f, 3.5f, 0.0f});
    EXPECT_FLOAT_EQ(stored.scale, 3.5f / getLargest(type));
    EXPECT_FLOAT_EQ(stored.back[0], -3.5f);
    EXPECT_EQ(stored.back[1], 0.0f);
    EXPECT_FLOAT_EQ(stored.back[2], 3.5f);
  }
}

TEST(RowCodec, FoursAreTwoToAByteLowHalfFirst) {
  Stored stored = store(ElementType::I4, {7.0f, -7.0f, 1.0f, 2.0f});
  EXPECT_EQ(stored.scale, 1.0f);
  EXPECT_EQ(stored.bytes, (std::vector<uint8_t>{0x97, 0x21}));
}

TEST(RowCodec, ZerosAndTinyRowsAreZero) {
  for (ElementType type : kTypes) {
    EXPECT_EQ(store(type, {0.0f, 0.0f}).back, (std::vector<float>{0.0f, 0.0f}));
    Stored tiny = store(type, {1e-45f, -1e-45f});
    EXPECT_LE(std::fabs(tiny.back[0]), 1e-45f) << getName(type);
  }
}

TEST(RowCodec, WhatIsNotFiniteSpoilsItsOwnRowOnly) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (ElementType type : {ElementType::I8, ElementType::F8E4M3, ElementType::I4}) {
      Stored stored = store(type, {1.0f, bad});
      EXPECT_TRUE(std::isnan(stored.back[0])) << getName(type);
      EXPECT_TRUE(std::isnan(stored.back[1])) << getName(type);
    }
  }
}

TEST(RowCodec, ChannelScalesAreUsedAsTheyAre) {
  const float scales[] = {0.5f, 2.0f};
  Stored stored = store(ElementType::I8, {3.0f, 1000.0f}, scales);
  EXPECT_EQ(stored.bytes, (std::vector<uint8_t>{6, 127})) << "out of range is clamped";
  EXPECT_EQ(stored.back, (std::vector<float>{3.0f, 254.0f}));
  EXPECT_EQ(stored.scale, 1.0f) << "not touched";
}

} // namespace
} // namespace gqa::cache
