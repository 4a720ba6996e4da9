#include "test/fuzz/RandomProblem.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace gqa;

namespace {

TEST(RandomProblemTest, sameSeedSameProblem) {
  for (uint64_t i = 0; i < 50; ++i) {
    Random first(7, i), second(7, i);
    FuzzFunction one = makeRandomFunction(first), two = makeRandomFunction(second);
    EXPECT_EQ(describe(one.problem, one.dynamicDims), describe(two.problem, two.dynamicDims));
  }
}

TEST(RandomProblemTest, callsChangeDynamicDimensionsOnly) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    FuzzFunction function = makeRandomFunction(random);
    AttentionProblem call = makeRandomCall(function, random);
    for (int dim = 0; dim < kNumDims; ++dim)
      if (!function.dynamicDims.count(static_cast<Dim>(dim)))
        EXPECT_EQ(at(call.extents, static_cast<Dim>(dim)), function.problem.getExtent(static_cast<Dim>(dim)));
  }
}

TEST(RandomProblemTest, reachesWhatShouldBeTested) {
  Random random(3);
  std::set<int64_t> groups, headDims;
  int unequalDims = 0, empty = 0, single = 0, causal = 0, windows = 0, softcaps = 0, sinks = 0, biases = 0, masks = 0,
      kvLens = 0, offsets = 0, lses = 0, halves = 0, statics = 0, transposed = 0;
  for (int i = 0; i < 2000; ++i) {
    FuzzFunction function = makeRandomFunction(random);
    const AttentionProblem &problem = function.problem;
    groups.insert(problem.getExtent(Dim::g));
    headDims.insert(problem.getExtent(Dim::dqk));
    unequalDims += problem.getExtent(Dim::dqk) != problem.getExtent(Dim::dv);
    empty += problem.getExtent(Dim::n) == 0;
    single += problem.getExtent(Dim::n) == 1;
    causal += problem.causal;
    windows += problem.windowLeft && problem.windowRight;
    softcaps += problem.softcap.has_value();
    sinks += problem.sink.has_value();
    biases += problem.bias.has_value();
    masks += problem.mask.has_value();
    kvLens += problem.kvLen.has_value();
    offsets += problem.offset.has_value();
    lses += problem.lse.has_value();
    halves += problem.key.type != ElementType::f32;
    statics += function.dynamicDims.empty();
    transposed += problem.key.dims.back() == Dim::n;
    EXPECT_EQ(problem.isMaskedByPosition(), problem.offset.has_value() != problem.alignment.has_value());
  }
  EXPECT_EQ(groups, (std::set<int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 71}));
  EXPECT_GT(headDims.size(), 50u);
  for (int count : {unequalDims, empty, single, causal, windows, softcaps, sinks, biases, masks, kvLens, offsets, lses,
                    halves, statics, transposed})
    EXPECT_GE(count, 15);
}

} // namespace
