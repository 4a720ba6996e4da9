#include "tools/Reference.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

using namespace gqa;
using testing::DoubleNear;
using testing::ElementsAre;

namespace {

constexpr double kTiny = 1e-7; // inputs like ln 3 are rounded to f32
const float kNaN = std::numeric_limits<float>::quiet_NaN();
const double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// A problem with its data, all f32 and dense.
struct Example {
  AttentionProblem problem;
  std::vector<float> query, key, value, bias, sink;
  std::vector<int8_t> mask;
  std::vector<int32_t> kvLen, offset;

  AttentionRow run(PerDim row = {}) const {
    AttentionInputs inputs;
    inputs.query = view(problem.query, query.data());
    inputs.key = view(problem.key, key.data());
    inputs.value = view(problem.value, value.data());
    auto setOptional = [&](std::optional<TensorView> &input, const std::optional<Operand> &operand, const void *data) {
      if (operand)
        input = view(*operand, data);
    };
    setOptional(inputs.bias, problem.bias, bias.data());
    setOptional(inputs.mask, problem.mask, mask.data());
    setOptional(inputs.kvLen, problem.kvLen, kvLen.data());
    setOptional(inputs.offset, problem.offset, offset.data());
    setOptional(inputs.sink, problem.sink, sink.data());
    return computeReferenceRow(problem, inputs, row);
  }

private:
  TensorView view(const Operand &operand, const void *data) const {
    return {operand.type, data, getDenseStrides(problem, operand)};
  }
};

/// One query row over `keys` keys; all scores are 0, so the output is the mean of the visible values 1, 2, 4, 8, ...
Example makeMean(int64_t keys, int64_t rows = 1) {
  Example example;
  at(example.problem.extents, Dim::n) = keys;
  at(example.problem.extents, Dim::m) = rows;
  example.query.assign(static_cast<size_t>(rows), 0.0f);
  for (int64_t n = 0; n < keys; ++n) {
    example.key.push_back(1);
    example.value.push_back(std::ldexp(1.0f, static_cast<int>(n)));
  }
  return example;
}

PerDim rowM(int64_t m) { return {0, 0, 0, m, 0, 0, 0}; }

TEST(ReferenceTest, weighsValuesByTheSoftmaxOfTheScores) {
  Example example = makeMean(2);
  example.query = {2};
  example.key = {0, std::log(3.0f)};
  example.problem.scale = 0.5;
  example.value = {4, 8};
  AttentionRow row = example.run(); // weights 1/4 and 3/4
  EXPECT_THAT(row.output, ElementsAre(DoubleNear(7, kTiny)));
  EXPECT_NEAR(row.lse, std::log(4.0), kTiny);
}

TEST(ReferenceTest, softcapBoundsTheScoreBeforeTheBias) {
  Example example = makeMean(1);
  example.query = {3};
  example.problem.softcap = 2.0f;
  example.problem.bias = Operand{{Dim::n}};
  example.bias = {10};
  EXPECT_NEAR(example.run().lse, 2 * std::tanh(1.5) + 10, kTiny);
}

TEST(ReferenceTest, groupsAreContiguous) {
  // Four query heads over two key heads, 16 and 32: heads 0, 1 use the first, 2, 3 the second.
  Example example;
  example.problem.extents = {1, 2, 2, 1, 1, 1, 1};
  example.query = {0, 0, 0, 0};
  example.key = {0, 0};
  example.value = {16, 32};
  for (int64_t head = 0; head < 4; ++head)
    EXPECT_EQ(example.run({0, head / 2, head % 2, 0, 0, 0, 0}).output[0], head < 2 ? 16 : 32) << head;
}

TEST(ReferenceTest, dimensionListsAreLayouts) {
  // value[dv, n] is the transpose of value[n, dv]; the query's dimensions are reversed.
  Example example;
  example.problem.extents = {2, 1, 1, 2, 2, 1, 2};
  example.problem.query.dims = {Dim::dqk, Dim::m, Dim::g, Dim::hkv, Dim::b};
  example.problem.key.dims = {Dim::n, Dim::dqk};
  example.problem.value.dims = {Dim::dv, Dim::n};
  example.query = {0, 0, 0, std::log(3.0f)}; // only m = 1, b = 1 tells the keys apart
  example.key = {0, 1};
  example.value = {4, 8, 40, 80};
  EXPECT_THAT(example.run({0, 0, 0, 1, 0, 0, 0}).output, ElementsAre(6, 60));
  EXPECT_THAT(example.run({1, 0, 0, 0, 0, 0, 0}).output, ElementsAre(6, 60));
  EXPECT_THAT(example.run({1, 0, 0, 1, 0, 0, 0}).output, ElementsAre(DoubleNear(7, kTiny), DoubleNear(70, 10 * kTiny)));
}

TEST(ReferenceTest, memoryBeyondKvLenIsNotRead) {
  Example example = makeMean(4);
  example.problem.kvLen = Operand{{Dim::b}, ElementType::i32};
  example.kvLen = {2};
  example.key[2] = example.key[3] = example.value[2] = example.value[3] = kNaN;
  EXPECT_THAT(example.run().output, ElementsAre(1.5));
  example.kvLen = {7}; // more than there is: all four
  example.key = {1, 1, 1, 1};
  example.value = {1, 2, 4, 9};
  EXPECT_THAT(example.run().output, ElementsAre(4));
}

TEST(ReferenceTest, rowsWithoutKeysGiveZeroAndMinusInfinity) {
  Example empty = makeMean(0);
  EXPECT_THAT(empty.run().output, ElementsAre(0));
  EXPECT_EQ(empty.run().lse, kMinusInfinity);

  Example masked = makeMean(2);
  masked.problem.mask = Operand{{}, ElementType::i1};
  masked.mask = {0};
  masked.problem.sink = Operand{{Dim::hkv, Dim::g}};
  masked.sink = {1};
  EXPECT_THAT(masked.run().output, ElementsAre(0));
  EXPECT_EQ(masked.run().lse, kMinusInfinity);

  Example biased = makeMean(2);
  biased.problem.bias = Operand{{}};
  biased.bias = {-std::numeric_limits<float>::infinity()};
  EXPECT_THAT(biased.run().output, ElementsAre(0));
  EXPECT_EQ(biased.run().lse, kMinusInfinity);
}

TEST(ReferenceTest, causalFollowsTheAlignment) {
  Example example = makeMean(4, /*rows=*/2);
  example.problem.causal = true;
  example.problem.alignment = Alignment::topLeft;
  EXPECT_THAT(example.run(rowM(0)).output, ElementsAre(1));
  EXPECT_THAT(example.run(rowM(1)).output, ElementsAre(1.5));
  example.problem.alignment = Alignment::bottomRight;
  EXPECT_THAT(example.run(rowM(0)).output, ElementsAre(DoubleNear(7.0 / 3, kTiny)));
  EXPECT_THAT(example.run(rowM(1)).output, ElementsAre(15.0 / 4));
}

TEST(ReferenceTest, bottomRightCountsFromKvLen) {
  Example example = makeMean(4, /*rows=*/2);
  example.problem.causal = true;
  example.problem.alignment = Alignment::bottomRight;
  example.problem.kvLen = Operand{{}, ElementType::i32};
  example.kvLen = {1}; // row 0 stands at -1, before the first key
  EXPECT_EQ(example.run(rowM(0)).lse, kMinusInfinity);
  EXPECT_THAT(example.run(rowM(1)).output, ElementsAre(1));
}

TEST(ReferenceTest, windowHasTwoSidesAndMovesWithTheOffset) {
  Example example = makeMean(6, /*rows=*/2);
  example.problem.windowLeft = 1;
  example.problem.windowRight = 2;
  example.problem.offset = Operand{{Dim::b}, ElementType::i32};
  example.offset = {2};
  EXPECT_THAT(example.run(rowM(0)).output, ElementsAre((2 + 4 + 8 + 16) / 4.0)); // keys 1 to 4
  EXPECT_THAT(example.run(rowM(1)).output, ElementsAre((4 + 8 + 16 + 32) / 4.0));
  example.offset = {-2};
  EXPECT_THAT(example.run(rowM(0)).output, ElementsAre(1));
  example.problem.windowRight.reset();
  EXPECT_THAT(example.run(rowM(0)).output, ElementsAre(63 / 6.0));
}

TEST(ReferenceTest, sinkIsInTheDenominatorAlone) {
  Example example = makeMean(1);
  example.value = {4};
  example.problem.sink = Operand{{Dim::g}};
  example.sink = {std::log(3.0f)};
  AttentionRow row = example.run();
  EXPECT_THAT(row.output, ElementsAre(DoubleNear(1, kTiny)));
  EXPECT_EQ(row.lse, 0);
  example.sink = {200}; // far above the scores
  EXPECT_NEAR(example.run().output[0], 4 * std::exp(-200.0), 1e-90);
}

TEST(ReferenceTest, disjointKeyRangesMergeByLse) {
  Example whole = makeMean(7);
  whole.query = {0.3f};
  for (size_t n = 0; n < whole.key.size(); ++n)
    whole.key[n] = std::sin(static_cast<float>(n) * 5);
  auto part = [&](int64_t begin, int64_t end) {
    Example example = whole;
    example.problem.mask = Operand{{Dim::n}, ElementType::i8};
    for (int64_t n = 0; n < 7; ++n)
      example.mask.push_back(n >= begin && n < end);
    return example.run();
  };
  AttentionRow all = whole.run(), first = part(0, 3), second = part(3, 7), none = part(0, 0);
  double lse = std::log(std::exp(first.lse) + std::exp(second.lse) + std::exp(none.lse));
  EXPECT_NEAR(lse, all.lse, 1e-12);
  double merged = first.output[0] * std::exp(first.lse - lse) + second.output[0] * std::exp(second.lse - lse);
  EXPECT_NEAR(merged, all.output[0], 1e-12);
}

TEST(ReferenceTest, naiveFormRoundsProbabilitiesAndOutput) {
  AttentionProblem problem;
  at(problem.extents, Dim::n) = 3;
  problem.value.type = problem.output.type = ElementType::bf16;
  std::vector<float> query = {0}, key = {0, 0, 0};
  std::vector<uint16_t> value = {0x3F80, 0x3F80, 0x3F80}; // 1, 1, 1
  AttentionInputs inputs;
  inputs.query = {ElementType::f32, query.data(), getDenseStrides(problem, problem.query)};
  inputs.key = {ElementType::f32, key.data(), getDenseStrides(problem, problem.key)};
  inputs.value = {ElementType::bf16, value.data(), getDenseStrides(problem, problem.value)};
  EXPECT_THAT(computeReferenceRow(problem, inputs, {}).output, ElementsAre(DoubleNear(1, 1e-15)));
  // 1/3 in bf16 is 0x3EAB = 0.333984375; three of them make 1.00195, which is 1 again in bf16.
  EXPECT_THAT(computeNaiveRow(problem, inputs, {}).output, ElementsAre(1));
  problem.output.type = ElementType::f32;
  EXPECT_THAT(computeNaiveRow(problem, inputs, {}).output, ElementsAre(3 * 0.333984375));
}

} // namespace
