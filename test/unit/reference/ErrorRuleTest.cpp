#include "tools/Reference.h"

#include <gtest/gtest.h>
#include <limits>

using namespace gqa;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::numeric_limits<double>::quiet_NaN();
const RowMagnitude kUnit = {0, 1};

bool holds(double actual, double reference, double naive) {
  ErrorRule rule(ElementType::f32, ElementType::f32);
  rule.add({{actual}, 0}, {{reference}, 0}, {{naive}, 0}, kUnit, /*hasLse=*/false);
  EXPECT_EQ(rule.holds(), rule.describe().empty());
  return rule.holds();
}

TEST(ErrorRuleTest, allowsTwiceTheNaiveError) {
  EXPECT_TRUE(holds(1.0019, 1, 1.001));
  EXPECT_TRUE(holds(0.9981, 1, 1.001));
  EXPECT_FALSE(holds(1.0021, 1, 1.001));
}

TEST(ErrorRuleTest, theFloorIsAFewRoundings) {
  EXPECT_TRUE(holds(1 + 1e-6, 1, 1));
  EXPECT_FALSE(holds(1 + 1e-5, 1, 1));
}

TEST(ErrorRuleTest, infinitiesAndNaNMustAgree) {
  EXPECT_TRUE(holds(-kInfinity, -kInfinity, 0));
  EXPECT_FALSE(holds(kInfinity, -kInfinity, -kInfinity));
  EXPECT_FALSE(holds(kNaN, 1, 1));
  EXPECT_FALSE(holds(1, kNaN, kNaN));
  EXPECT_FALSE(holds(kNaN, -kInfinity, kNaN));
  EXPECT_FALSE(holds(-kInfinity, 1, 1));
}

TEST(ErrorRuleTest, lseCountsOnlyWhereThereIsOne) {
  for (bool hasLse : {false, true}) {
    ErrorRule rule(ElementType::bf16, ElementType::bf16);
    rule.add({{1}, 2.001}, {{1}, 2}, {{1}, 2}, kUnit, hasLse);
    EXPECT_EQ(rule.holds(), !hasLse);
  }
}

TEST(ErrorRuleTest, halfTypesMayRoundOnce) {
  ErrorRule rule(ElementType::bf16, ElementType::bf16);
  rule.add({{1.0039}, 0}, {{1}, 0}, {{1}, 0}, kUnit, /*hasLse=*/false);
  EXPECT_TRUE(rule.holds());
  rule.add({{1.009}, 0}, {{1}, 0}, {{1}, 0}, kUnit, /*hasLse=*/false);
  EXPECT_FALSE(rule.holds());
}

} // namespace
