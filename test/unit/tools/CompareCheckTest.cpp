#include "tools/CompareCheck.h"
#include "ThrowsMessage.h"
#include "tools/ComparePlan.h"
#include "tools/SeededData.h"

#include <gmock/gmock.h>

#include <limits>

using namespace gqa;

namespace {

/// A causal attention of 4 query heads on 2 K/V heads, and its output by the reference.
struct CompareCheck : testing::Test {
  static constexpr int64_t tokens = 9, headDim = 8, heads = 4, kvHeads = 2;
  ComparePlan plan;
  AttentionProblem problem;
  ElementBuffer query{ElementType::f32, heads * tokens * headDim};
  ElementBuffer key{ElementType::f32, kvHeads * tokens * headDim};
  ElementBuffer value{ElementType::f32, kvHeads * tokens * headDim};
  ElementBuffer output{ElementType::f32, heads * tokens * headDim};
  AttentionInputs inputs;
  TensorView result;

  CompareCheck() {
    plan.heads.heads = heads;
    plan.heads.headDim = headDim;
    problem = plan.problem(Phase::prefill, kvHeads, tokens);
    query.fillRandom(1, 6);
    key.fillRandom(2, 1);
    value.fillRandom(3, 1);
    inputs.query = {ElementType::f32, query.data(), getDenseStrides(problem, problem.query)};
    inputs.key = {ElementType::f32, key.data(), getDenseStrides(problem, problem.key)};
    inputs.value = {ElementType::f32, value.data(), getDenseStrides(problem, problem.value)};
    result = {ElementType::f32, output.data(), getDenseStrides(problem, problem.output)};
  }

  /// Writes the output with K/V head `chooseHead(h)` for query head h.
  template <typename Choose> void compute(Choose chooseHead) {
    auto *out = static_cast<float *>(output.data());
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t m = 0; m < tokens; ++m) {
        AttentionInputs shifted = inputs;
        int64_t right = h / (heads / kvHeads);
        int64_t shift = (chooseHead(h) - right) * tokens * headDim;
        shifted.key.data = static_cast<const float *>(inputs.key.data) + shift;
        shifted.value.data = static_cast<const float *>(inputs.value.data) + shift;
        AttentionRow row = computeReferenceRow(problem, shifted, {0, right, h % (heads / kvHeads), m, 0, 0, 0});
        std::copy(row.output.begin(), row.output.end(), out + (h * tokens + m) * headDim);
      }
  }
};

TEST_F(CompareCheck, AcceptsTheRightResult) {
  compute([](int64_t h) { return h / 2; });
  SampledReference reference(problem, inputs, 16);
  EXPECT_EQ(reference.size(), 16);
  EXPECT_LT(reference.check(result, "right"), 1e-6);
}

TEST_F(CompareCheck, RefusesHeadsInTileOrder) {
  compute([](int64_t h) { return h % 2; });
  EXPECT_THAT(messageOf([&] { SampledReference(problem, inputs, 16).check(result, "modulo heads"); }),
              testing::StartsWith("modulo heads: output error "));
}

TEST_F(CompareCheck, RefusesNaN) {
  compute([](int64_t h) { return h / 2; });
  std::fill_n(static_cast<float *>(output.data()), heads * tokens * headDim, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(messageOf([&] { SampledReference(problem, inputs, 16).check(result, "nan"); }),
              testing::StartsWith("nan: got "));
}

TEST(SeededData, DependsOnSeedAndPositionAlone) {
  ElementBuffer a(ElementType::f32, 1000), b(ElementType::f32, 500), c(ElementType::f32, 500);
  a.fillRandom(7, 2);
  b.fillRandom(7, 2);
  c.fillRandom(8, 2);
  auto *x = static_cast<float *>(a.data()), *y = static_cast<float *>(b.data()), *z = static_cast<float *>(c.data());
  EXPECT_TRUE(std::equal(y, y + 500, x));
  EXPECT_FALSE(std::equal(y, y + 500, z));
  auto [least, most] = std::minmax_element(x, x + 1000);
  EXPECT_GE(*least, -2);
  EXPECT_LT(*least, -1.9);
  EXPECT_LT(*most, 2);
  EXPECT_GT(*most, 1.9);
}

} // namespace
