#include "tools/CompareReport.h"

#include <gmock/gmock.h>

#include <sstream>

using namespace gqa;
using testing::HasSubstr;
using testing::Not;

namespace {

CompareResult makeResult() {
  CompareResult result;
  result.plan.heads.heads = 32;
  result.plan.heads.kvHeads = {32, 1};
  resolveHeads(result.plan.heads);
  result.plan.type = ElementType::f16;
  result.plan.prefill = {512};
  result.plan.decode = {2048};
  result.limits.threads = 2;
  result.limits.fmaGflops = 200;
  result.limits.bf16Gflops = 400;
  result.limits.dramReadGBs = 40;
  result.rowsChecked = 16;
  for (Phase phase : {Phase::prefill, Phase::decode})
    for (int64_t kvHeads : {32, 1})
      result.cases.push_back({phase, kvHeads, phase == Phase::prefill ? 512 : 2048, /*calls=*/3,
                              FormResult{0.001, 1e-4}, FormResult{0.004, 1e-4}});
  return result;
}

TEST(CompareReport, TextHoldsTheNumbersAndTheirMeaning) {
  std::string text = printText(makeResult());
  EXPECT_THAT(text, HasSubstr("2147.5 M       1024 MB      0 %"));
  EXPECT_THAT(text, HasSubstr("4.00 x"));
  EXPECT_THAT(text, HasSubstr("seed 1"));
  EXPECT_THAT(text, HasSubstr("the causal mask leaves"));
  EXPECT_THAT(text, HasSubstr("sample of 16 (head, token) rows"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 120u) << line;
}

TEST(CompareReport, DeviceHasLimitsOfItsOwn) {
  CompareResult result = makeResult();
  result.plan.type = ElementType::bf16;
  result.device = DeviceResult{"Some GPU", {3000, 800, "libcublas.so.13"}, "not for devices"};
  result.limits.fmaGflops = result.limits.bf16Gflops = 800e3;
  result.limits.dramReadGBs = 3000;
  for (CaseResult &test : result.cases)
    test.unfused.reset();
  std::string text = printText(result);
  EXPECT_THAT(text, HasSubstr("bf16, batch 1, Some GPU"));
  EXPECT_THAT(text, HasSubstr("product of 8192 x 8192 matrices 800 TFLOP/s (libcublas.so.13)"));
  EXPECT_THAT(text, HasSubstr("The unfused form was not compiled: not for devices"));
  EXPECT_THAT(text, HasSubstr("GEMM"));
  EXPECT_THAT(text, Not(HasSubstr("threads")));
  EXPECT_EQ(printJson(result)["device"]["gemm_bf16_tflops"], 800);

  // Without a library for products there is no limit, and no percentage of it.
  result.device->limits = {3000, 0, "libcublas.so not found"};
  result.limits.fmaGflops = result.limits.bf16Gflops = 0;
  EXPECT_THAT(printText(result), HasSubstr("matrices unknown (libcublas.so not found)"));
  nlohmann::ordered_json json = printJson(result);
  EXPECT_TRUE(json["cases"][0]["fused"]["percent_of_flop_limit"].is_null());
  EXPECT_TRUE(json["device"]["gemm_bf16_tflops"].is_null());
}

TEST(CompareReport, JsonFollowsFromTimes) {
  nlohmann::ordered_json json = printJson(makeResult());
  ASSERT_EQ(json["cases"].size(), 4u);
  nlohmann::ordered_json prefill = json["cases"][0];
  double gflops = 4.0 * 32 * 128 * (512.0 * 513 / 2) / 0.001 * 1e-9;
  EXPECT_DOUBLE_EQ(prefill["fused"]["gflops"], gflops);
  EXPECT_DOUBLE_EQ(prefill["fused"]["percent_of_fma"], gflops / 200 * 100);
  EXPECT_DOUBLE_EQ(prefill["speed_up"], 4);
  nlohmann::ordered_json decode = json["cases"][2];
  double gbs = (2 * 32 * 2048.0 * 128 * 2 + 2 * 32 * 128 * 2) / 0.001 * 1e-9;
  EXPECT_DOUBLE_EQ(decode["fused"]["gb_per_second"], gbs);
  EXPECT_DOUBLE_EQ(decode["fused"]["percent_of_dram"], gbs / 40 * 100);
}

TEST(CompareReport, Bf16IsMeasuredByItsDotProducts) {
  CompareResult result = makeResult();
  EXPECT_EQ(result.flopLimit(), 200);
  result.plan.type = ElementType::bf16;
  EXPECT_EQ(result.flopLimit(), 400);
  EXPECT_STREQ(result.flopLimitName(), "bf16");
  result.limits.bf16Gflops = 0;
  EXPECT_EQ(result.flopLimit(), 200);
}

TEST(CompareReport, UnfusedMayBeMissing) {
  CompareResult result = makeResult();
  result.cases[0].unfused.reset();
  EXPECT_THAT(printText(result), HasSubstr("no memory"));
  EXPECT_TRUE(printJson(result)["cases"][0]["unfused"].is_null());
  EXPECT_TRUE(printJson(result)["cases"][0]["speed_up"].is_null());
}

TEST(CompareReport, PlotsHaveAValuePerVariant) {
  std::vector<Plot> plots = makePlots(makeResult());
  EXPECT_EQ(plots.size(), 4u); // prefill, decode, speed-up, KV cache
  for (const Plot &plot : plots) {
    EXPECT_FALSE(plot.yLabel.empty());
    for (const Plot::Series &series : plot.series)
      EXPECT_EQ(series.values.size(), plot.categories.size()) << plot.title << ", " << series.label;
  }
}

} // namespace
