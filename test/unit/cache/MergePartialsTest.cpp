#include "runtime/MergePartials.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gqa {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Result {
  std::vector<float> output;
  float lse;
};

/// Attention over keys begin <= n < end, in double, straight from the definition.
Result attend(const std::vector<double> &scores, const std::vector<std::vector<double>> &values, size_t begin,
              size_t end) {
  size_t dv = values.front().size();
  if (begin == end)
    return {std::vector<float>(dv, 0), -kInfinity};
  double sum = 0;
  std::vector<double> output(dv, 0);
  for (size_t n = begin; n < end; ++n) {
    sum += std::exp(scores[n]);
    for (size_t d = 0; d < dv; ++d)
      output[d] += std::exp(scores[n]) * values[n][d];
  }
  Result result{std::vector<float>(dv), static_cast<float>(std::log(sum))};
  for (size_t d = 0; d < dv; ++d)
    result.output[d] = static_cast<float>(output[d] / sum);
  return result;
}

Result merge(const std::vector<Result> &parts) {
  std::vector<Partial> partials;
  for (const Result &part : parts)
    partials.push_back({part.output.data(), part.lse});
  std::vector<double> weights(parts.size());
  Result merged{std::vector<float>(3, 7.0f), 0};
  merged.lse =
      mergePartials(partials.data(), static_cast<int64_t>(parts.size()), 3, weights.data(), merged.output.data());
  return merged;
}

TEST(MergePartials, RangesMergeToTheWhole) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  std::vector<double> scores(20);
  std::vector<std::vector<double>> values(20, std::vector<double>(3));
  for (size_t n = 0; n < scores.size(); ++n) {
    scores[n] = 5 * normal(random);
    for (double &v : values[n])
      v = normal(random);
  }
  Result whole = attend(scores, values, 0, 20);
  for (const std::vector<size_t> &cuts : {std::vector<size_t>{0, 20}, {0, 7, 20}, {0, 0, 1, 13, 13, 19, 20, 20}}) {
    std::vector<Result> parts;
    for (size_t i = 0; i + 1 < cuts.size(); ++i)
      parts.push_back(attend(scores, values, cuts[i], cuts[i + 1]));
    Result merged = merge(parts);
    EXPECT_NEAR(merged.lse, whole.lse, 1e-6);
    for (size_t d = 0; d < 3; ++d)
      EXPECT_NEAR(merged.output[d], whole.output[d], 1e-6);
  }
}

TEST(MergePartials, WithoutKeysIsZeroAndMinusInfinity) {
  Result empty{{kNaN, kNaN, kNaN}, -kInfinity};
  for (const std::vector<Result> &parts : {std::vector<Result>{}, {empty}, {empty, empty}}) {
    Result merged = merge(parts);
    EXPECT_EQ(merged.lse, -kInfinity);
    EXPECT_EQ(merged.output, (std::vector<float>{0, 0, 0}));
  }
}

TEST(MergePartials, APartWithoutKeysIsNotRead) {
  Result some{{1, 2, 3}, -2.5f};
  Result merged = merge({{{kNaN, kNaN, kNaN}, -kInfinity}, some});
  EXPECT_EQ(merged.output, some.output);
  EXPECT_EQ(merged.lse, some.lse);
}

TEST(MergePartials, LargeScoresDoNotOverflow) {
  Result merged = merge({{{1, 1, 1}, 3000.0f}, {{3, 3, 3}, 3000.0f}, {{9, 9, 9}, -3000.0f}});
  EXPECT_FLOAT_EQ(merged.output[0], 2);
  EXPECT_FLOAT_EQ(merged.lse, 3000.0f + std::log(2.0f));
}

TEST(MergePartials, NaNIsNotHidden) {
  EXPECT_TRUE(std::isnan(merge({{{1, 1, 1}, 0.0f}, {{1, 1, 1}, kNaN}}).output[0]));
}

} // namespace
} // namespace gqa
