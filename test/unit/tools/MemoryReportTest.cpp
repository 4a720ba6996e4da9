#include "tools/MemoryReport.h"
#include "tools/CacheElementTypes.h"
#include "tools/KVCacheSize.h"

#include <gtest/gtest.h>

using namespace gqa;

namespace {

constexpr double megabyte = 1 << 20;

MemoryReport llama7B() {
  MemoryReport report;
  resolveHeads(report.heads);
  report.tokens = {512, 2048};
  return report;
}

TEST(KVCacheSize, Llama7BScale) {
  for (auto [kvHeads, expected] : {std::pair<int64_t, double>{32, 1024}, {8, 256}, {4, 128}, {1, 32}})
    EXPECT_EQ(kvCacheBytes({32, 1, kvHeads, 2048, 128}, 16) / megabyte, expected);
}

TEST(KVCacheSize, EveryFactorCounts) {
  EXPECT_EQ(kvCacheBytes({3, 5, 7, 11, 13}, 32), 2.0 * 3 * 5 * 7 * 11 * 13 * 4);
  EXPECT_EQ(kvCacheBytes({1, 1, 1, 1, 1}, 4), 1); // one int4 key and one int4 value
}

TEST(ElementTypes, Bits) {
  EXPECT_EQ(cacheElementBits().at("f32"), 32);
  EXPECT_EQ(cacheElementBits().at("bf16"), 16);
  EXPECT_EQ(cacheElementBits().at("fp8"), 8);
  EXPECT_EQ(cacheElementBits().at("int4"), 4);
}

TEST(MemoryReport, SavedPercent) {
  MemoryReport report = llama7B();
  EXPECT_EQ(report.savedPercent(32), 0);
  EXPECT_EQ(report.savedPercent(8), 75);
  EXPECT_EQ(report.savedPercent(4), 87.5);
  EXPECT_EQ(report.savedPercent(1), 96.875);
}

TEST(MemoryReport, BatchAndTypeScale) {
  MemoryReport report = llama7B();
  report.batch = 3;
  report.elementType = "f32";
  EXPECT_EQ(report.bytes(8, 2048), 6 * 256 * megabyte);
}

TEST(MemoryReport, JsonAndPlotHoldTheSameNumbers) {
  MemoryReport report = llama7B();
  nlohmann::ordered_json json = report.json();
  Plot plot = report.plot();
  ASSERT_EQ(json["variants"].size(), 4u);
  EXPECT_EQ(json["variants"][1]["name"], "GQA-8");
  EXPECT_EQ(json["variants"][1]["bytes"][1], 256 * megabyte);
  EXPECT_EQ(plot.series[1].values[1], 256);
  EXPECT_EQ(plot.series[1].label, "GQA-8");
}

TEST(MemoryReport, LayersWithAWindowKeepIt) {
  MemoryReport report = llama7B();
  EXPECT_EQ(report.text().find("window"), std::string::npos);
  ModelData model;
  model.name = "windowed";
  model.layers = 32;
  model.window = 1024;
  model.windowEvery = 2;
  report.heads.model = model;
  EXPECT_EQ(report.bytes(8, 512), 64 * megabyte) << "shorter than the window";
  EXPECT_EQ(report.bytes(8, 2048), (128 + 64) * megabyte) << "16 layers with 2048 tokens, 16 with 1024";
  EXPECT_NE(report.text().find("16 of 32 layers keep at most 1024 tokens"), std::string::npos);
  EXPECT_NE(report.text().find("sum over layers of min(tokens, window)"), std::string::npos);
  EXPECT_EQ(report.json()["window_layers"], 16);
}

} // namespace
