#include "runtime/cache/Rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace gqa::cache {
namespace {

RotaryConfig makeConfig(int64_t dim, RotaryPairs pairs) {
  RotaryConfig config;
  config.dim = dim;
  config.pairs = pairs;
  return config;
}

std::vector<float> rotate(const RotaryConfig &config, int64_t position, std::vector<float> row) {
  Rotary rotary(config);
  std::vector<float> turns(static_cast<size_t>(config.dim));
  rotary.computeTurns(position, turns.data());
  rotary.apply(turns.data(), row.data());
  return row;
}

void expectNear(const std::vector<float> &row, const std::vector<double> &wanted) {
  ASSERT_EQ(row.size(), wanted.size());
  for (size_t d = 0; d < row.size(); ++d)
    EXPECT_NEAR(row[d], wanted[d], 1e-6) << "element " << d;
}

// Four elements: pair 0 turns by 1 radian per token, pair 1 by 1/100.
TEST(Rotary, InterleavedPairsAreNeighbours) {
  expectNear(rotate(makeConfig(4, RotaryPairs::Interleaved), 3, {1, 0, 0, 2}),
             {std::cos(3.0), std::sin(3.0), -2 * std::sin(0.03), 2 * std::cos(0.03)});
}

TEST(Rotary, HalfSplitPairsAreHalfARowApart) {
  expectNear(rotate(makeConfig(4, RotaryPairs::HalfSplit), 3, {1, 0, 0, 2}),
             {std::cos(3.0), -2 * std::sin(0.03), std::sin(3.0), 2 * std::cos(0.03)});
}

TEST(Rotary, PartialRotationLeavesTheRest) {
  expectNear(rotate(makeConfig(2, RotaryPairs::HalfSplit), 1, {1, 0, 5, 6}), {std::cos(1.0), std::sin(1.0), 5, 6});
}

TEST(Rotary, PositionZeroAndNoRotationChangeNothing) {
  expectNear(rotate(makeConfig(4, RotaryPairs::Interleaved), 0, {1, 2, 3, 4}), {1, 2, 3, 4});
  EXPECT_FALSE(Rotary(makeConfig(0, RotaryPairs::Interleaved)).isActive());
}

// What the embedding is for: products depend on the distance of the positions only.
TEST(Rotary, ProductsDependOnTheDistance) {
  RotaryConfig config = makeConfig(8, RotaryPairs::HalfSplit);
  std::vector<float> query = {1, -2, 0.5f, 3, -1, 2, 0.25f, 1}, key = {0.5f, 1, -1, 2, 3, -0.5f, 1, 1};
  auto multiply = [&](int64_t queryPosition, int64_t keyPosition) {
    std::vector<float> q = rotate(config, queryPosition, query), k = rotate(config, keyPosition, key);
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d)
      sum += q[d] * k[d];
    return sum;
  };
  EXPECT_NEAR(multiply(7, 3), multiply(100007, 100003), 1e-5);
  EXPECT_GT(std::fabs(multiply(7, 3) - multiply(7, 4)), 1e-2);
}

void expectFrequencies(const Rotary &rotary, const std::map<size_t, double> &wanted) {
  for (auto [pair, frequency] : wanted)
    EXPECT_NEAR(rotary.getFrequencies()[pair] / frequency, 1, 1e-12) << "pair " << pair;
}

// Llama 3.1 8B; numbers by a script of its own after the model's `apply_scaling`.
TEST(Rotary, Llama3KeepsShortWavesAndStretchesLongOnes) {
  RotaryConfig config = makeConfig(128, RotaryPairs::HalfSplit);
  config.theta = 500000;
  config.scaling = RotaryScaling::Llama3;
  config.factor = 8;
  config.originalContext = 8192;
  ASSERT_EQ(check(config, 128), "");
  expectFrequencies(Rotary(config), {{0, 1.0},
                                     {10, 0.12868737343265052},
                                     {28, 0.0032114459947525913},
                                     {29, 0.002166570763503359},
                                     {33, 0.00031269375038406517},
                                     {35, 9.556212353964683e-05},
                                     {63, 3.068925988914511e-07}});
}

// Gemma 3's global layers: positions are divided by 8.
TEST(Rotary, LinearDividesPositions) {
  RotaryConfig config = makeConfig(4, RotaryPairs::HalfSplit);
  config.scaling = RotaryScaling::Linear;
  config.factor = 8;
  ASSERT_EQ(check(config, 4), "");
  expectFrequencies(Rotary(config), {{0, 0.125}, {1, 0.00125}});
  EXPECT_EQ(Rotary(config).getAttentionFactor(), 1);
  expectNear(rotate(config, 24, {1, 0, 0, 2}), {std::cos(3.0), -2 * std::sin(0.03), std::sin(3.0), 2 * std::cos(0.03)});
  config.factor = 0.5;
  EXPECT_EQ(check(config, 4), "rotary factor must be at least 1, got 0.500000");
}

// gpt-oss (ramp between pairs) and the same with whole pairs; numbers by a script of its own after the paper.
TEST(Rotary, YarnInterpolatesLongWaves) {
  RotaryConfig config = makeConfig(64, RotaryPairs::HalfSplit);
  config.theta = 150000;
  config.scaling = RotaryScaling::Yarn;
  config.factor = 32;
  config.originalContext = 4096;
  ASSERT_EQ(check(config, 64), "");
  expectFrequencies(Rotary(config), {{0, 1.0},
                                     {8, 0.050813274815461475},
                                     {9, 0.031620752275346484},
                                     {17, 0.0002279477957951252},
                                     {18, 3.8308812373753384e-05},
                                     {31, 3.0235114281192144e-07}});
  EXPECT_NEAR(Rotary(config).getAttentionFactor(), 0.1 * std::log(32.0) + 1, 1e-12);
  config.truncateRamp = false;
  config.attentionFactor = 2;
  expectFrequencies(Rotary(config),
                    {{8, 0.050813274815461475}, {9, 0.03170569618466377}, {17, 0.00012931870124506317}});
  expectNear(rotate(makeConfig(2, RotaryPairs::HalfSplit), 0, {1, 1}), {1, 1});
  RotaryConfig stretched = config;
  std::vector<float> row(64, 1.0f);
  expectNear(rotate(stretched, 0, row), std::vector<double>(64, 2.0));
}

TEST(Rotary, NamesWhatIsWrong) {
  RotaryConfig config = makeConfig(6, RotaryPairs::HalfSplit);
  EXPECT_EQ(check(config, 4), "rotary dim must be even and at most the key dim (4), got 6");
  config.dim = 3;
  EXPECT_EQ(check(config, 4), "rotary dim must be even and at most the key dim (4), got 3");
  config.dim = 4;
  config.theta = 0;
  EXPECT_EQ(check(config, 4), "rotary theta must be greater than 1, got 0.000000");
  config.theta = 10000;
  config.scaling = RotaryScaling::Llama3;
  config.factor = 0.5;
  EXPECT_EQ(check(config, 4), "rotary factor must be at least 1, got 0.500000");
  config.factor = 8;
  EXPECT_EQ(check(config, 4), "rotary original context must be positive, got 0.000000");
  config.originalContext = 8192;
  config.lowFrequencyFactor = 4;
  EXPECT_EQ(check(config, 4), "rotary low frequency factor (4.000000) must be positive and less than the high "
                              "frequency factor (4.000000)");
  config.scaling = RotaryScaling::Yarn;
  config.betaSlow = 32;
  EXPECT_EQ(check(config, 4), "rotary beta slow (32.000000) must be positive and less than beta fast (32.000000)");
  config.scaling = static_cast<RotaryScaling>(7);
  EXPECT_EQ(check(config, 4), "rotary scaling must be 0, 1, 2 or 3, got 7");
}

} // namespace
} // namespace gqa::cache
