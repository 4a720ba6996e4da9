#include "runtime/DoubleMath.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace {

/// How many doubles lie between two.
double countSteps(double actual, double expected) {
  return std::fabs(actual - expected) / (std::nextafter(std::fabs(expected), INFINITY) - std::fabs(expected));
}

TEST(DoubleMath, ExpIsThatOfTheLibrary) {
  std::mt19937_64 random(1);
  for (double range : {1e-12, 1e-3, 1.0, 40.0, 700.0}) {
    std::uniform_real_distribution<double> draw(-range, 0);
    for (int i = 0; i < 20000; ++i) {
      double x = draw(random);
      ASSERT_LE(countSteps(gqa::computeExp(x), std::exp(x)), 1.0) << x;
    }
  }
  EXPECT_EQ(gqa::computeExp(0), 1);
  EXPECT_EQ(gqa::computeExp(-1000), 0);
  EXPECT_EQ(gqa::computeExp(-INFINITY), 0);
  EXPECT_NEAR(gqa::computeExp(-740), std::exp(-740.0), 1e-322); // subnormal
  EXPECT_TRUE(std::isnan(gqa::computeExp(std::numeric_limits<double>::quiet_NaN())));
}

TEST(DoubleMath, LogIsThatOfTheLibrary) {
  std::mt19937_64 random(2);
  for (double range : {1e-9, 0.5, 10.0, 1e6, 1e300}) {
    std::uniform_real_distribution<double> draw(1, 1 + range);
    for (int i = 0; i < 20000; ++i) {
      double x = draw(random);
      ASSERT_LE(countSteps(gqa::computeLog(x), std::log(x)), 1.0) << x;
    }
  }
  EXPECT_EQ(gqa::computeLog(1), 0);
  EXPECT_LE(countSteps(gqa::computeLog(0x1p-1022), std::log(0x1p-1022)), 1.0);
  EXPECT_TRUE(std::isnan(gqa::computeLog(std::numeric_limits<double>::quiet_NaN())));
}

} // namespace
