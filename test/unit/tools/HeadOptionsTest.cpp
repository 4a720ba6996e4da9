#include "tools/HeadOptions.h"
#include "ThrowsMessage.h"
#include "tools/HeadVariants.h"

#include <gtest/gtest.h>

using namespace gqa;

namespace {

HeadOptions parse(std::vector<std::string> arguments) {
  CLI::App app;
  HeadOptions options;
  addHeadOptions(app, options, /*withDModel=*/true);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  resolveHeads(options);
  return options;
}

using Counts = std::vector<int64_t>;

TEST(HeadOptions, DefaultsAreLlama7B) {
  HeadOptions options = parse({});
  EXPECT_EQ(options.layers, 32);
  EXPECT_EQ(options.heads, 32);
  EXPECT_EQ(options.headDim, 128);
  EXPECT_EQ(options.dModel, 4096);
  EXPECT_EQ(options.kvHeads, (Counts{32, 8, 4, 1}));
}

TEST(HeadOptions, DefaultKVHeadsAreThoseThatDivide) {
  EXPECT_EQ(parse({"--heads", "12"}).kvHeads, (Counts{12, 4, 1}));
  EXPECT_EQ(parse({"--heads", "71"}).kvHeads, (Counts{71, 1}));
  EXPECT_EQ(parse({"--heads", "8"}).kvHeads, (Counts{8, 4, 1}));
  EXPECT_EQ(parse({"--heads", "1"}).kvHeads, (Counts{1}));
}

TEST(HeadOptions, ListsAreSeparatedByCommas) { EXPECT_EQ(parse({"--kv-heads", "16,2"}).kvHeads, (Counts{16, 2})); }

TEST(HeadOptions, HiddenSizeFollowsHeadsUnlessGiven) {
  EXPECT_EQ(parse({"--heads", "4", "--head-dim", "16"}).dModel, 64);
  EXPECT_EQ(parse({"--heads", "4", "--head-dim", "16", "--d-model", "100"}).dModel, 100);
}

TEST(HeadOptions, HeadsThatDoNotDivideAreNamed) {
  EXPECT_EQ(messageOf([] { parse({"--kv-heads", "5"}); }), "query heads (32) must be a multiple of K/V heads (5)");
  EXPECT_EQ(messageOf([] { parse({"--heads", "4", "--kv-heads", "8"}); }),
            "query heads (4) must be a multiple of K/V heads (8)");
}

TEST(HeadOptions, CountsArePositiveIntegers) {
  for (const char *text : {"0", "-1", "1.5", "x", "", "99999999999999999999"})
    EXPECT_EQ(messageOf([&] { parse({"--layers", text}); }),
              std::string("--layers: '") + text + "' is not a positive integer");
}

TEST(HeadVariants, UsualNames) {
  EXPECT_EQ(variantName(32, 32), "MHA");
  EXPECT_EQ(variantName(32, 8), "GQA-8");
  EXPECT_EQ(variantName(32, 1), "MQA");
  EXPECT_EQ(variantName(1, 1), "MHA");
}

} // namespace
