#include "tools/ComparePlan.h"

#include <gmock/gmock.h>

using namespace gqa;
using testing::HasSubstr;

namespace {

ComparePlan makePlan() {
  ComparePlan plan;
  resolveHeads(plan.heads);
  return plan;
}

TEST(ComparePlan, DefaultsAreTheMainJob) {
  ComparePlan plan = makePlan();
  EXPECT_EQ(plan.prefill, (std::vector<int64_t>{512, 2048}));
  EXPECT_EQ(plan.decode, (std::vector<int64_t>{2048, 8192}));
  EXPECT_EQ(plan.maxQueryElements(), 32 * 2048 * 128);
  EXPECT_EQ(plan.maxKeyElements(), 32 * 8192 * 128);
  EXPECT_EQ(plan.dataBytes(), 4.0 * 2 * (32 * 2048 * 128 + 32 * 8192 * 128));
}

TEST(ComparePlan, ProblemsHaveTheGroupAsADimension) {
  AttentionProblem prefill = makePlan().problem(Phase::prefill, 8, 512);
  EXPECT_EQ(prefill.extents, (PerDim{1, 8, 4, 512, 512, 128, 128}));
  EXPECT_TRUE(prefill.causal);
  AttentionProblem decode = makePlan().problem(Phase::decode, 1, 2048);
  EXPECT_EQ(decode.extents, (PerDim{1, 1, 32, 1, 2048, 128, 128}));
  EXPECT_FALSE(decode.causal);
}

TEST(ComparePlan, OneFunctionServesAllLengths) {
  ComparePlan plan = makePlan();
  plan.type = ElementType::bf16;
  std::string text = plan.moduleText();
  EXPECT_THAT(text, HasSubstr("func.func @prefill_8(%query: tensor<1x8x4x?x128xbf16>, %key: tensor<1x8x?x128xbf16>"));
  EXPECT_THAT(text, HasSubstr("func.func @decode_1(%query: tensor<1x1x32x1x128xbf16>, %key: tensor<1x1x?x128xbf16>"));
}

TEST(ComparePlan, SaysWhatOfAModelIsLeftOut) {
  HeadOptions heads;
  EXPECT_EQ(describeLeftOut(heads), "");
  heads.model.emplace();
  EXPECT_EQ(describeLeftOut(heads), "");
  heads.model->window = 128;
  heads.model->sinks = true;
  EXPECT_EQ(describeLeftOut(heads), "windows, sinks");
}

} // namespace
