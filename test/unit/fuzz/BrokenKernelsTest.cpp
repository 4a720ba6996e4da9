// The fuzzer's checks accept a right kernel and reject kernels that are broken on purpose.

#include "test/unit/fuzz/PlainKernel.h"

#include <gtest/gtest.h>

using namespace gqa;

namespace {

/// Problems that show every bug: several key heads, groups, batch entries, blocks of keys and empty rows.
AttentionProblem makeProblem(Random &random) {
  AttentionProblem problem;
  problem.extents = {
      3, random.between(2, 3), random.between(2, 3), random.between(2, 6), 2 * random.between(8, 20) + 1, 16, 8};
  problem.scale = 0.25;
  problem.causal = random.chance(70);
  if (problem.causal)
    problem.alignment = random.chance(50) ? Alignment::bottomRight : Alignment::topLeft;
  problem.kvLen = Operand{{Dim::b}, ElementType::i32};
  if (random.chance(50))
    problem.sink = Operand{{Dim::hkv, Dim::g}};
  problem.lse = Operand{{Dim::b, Dim::hkv, Dim::g, Dim::m}};
  return problem;
}

/// How many of 40 problems are rejected, and the first complaint.
struct Verdict {
  int rejected = 0;
  std::string complaint;
};

Verdict judge(Bug bug) {
  Verdict verdict;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    AttentionProblem problem = makeProblem(random);
    FuzzCase fuzzCase = makeRandomCase(problem, random);
    std::string complaint = checkCase(fuzzCase, makePlainKernel(problem, bug), /*canChangeBatch=*/true, random);
    verdict.rejected += !complaint.empty();
    if (verdict.complaint.empty())
      verdict.complaint = complaint;
  }
  return verdict;
}

TEST(BrokenKernelsTest, theRightKernelIsAccepted) {
  Verdict verdict = judge(Bug::none);
  EXPECT_EQ(verdict.rejected, 0) << verdict.complaint;
}

struct Broken {
  const char *name;
  Bug bug;
  const char *complaint; // part of one of the complaints
  int atLeast;           // rejected problems of 40
};

class BrokenKernelTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenKernelTest, isRejected) {
  Verdict verdict = judge(GetParam().bug);
  EXPECT_GE(verdict.rejected, GetParam().atLeast);
  EXPECT_NE(verdict.complaint.find(GetParam().complaint), std::string::npos) << verdict.complaint;
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenKernelTest,
    testing::Values(Broken{"headModulo", Bug::headModulo, "output error", 38},
                    Broken{"wrongAlignment", Bug::wrongAlignment, "", 20},
                    Broken{"missingRescale", Bug::missingRescale, "output error", 25},
                    Broken{"missingScale", Bug::missingScale, "output error", 38},
                    Broken{"offByOneCausal", Bug::offByOneCausal, "", 20},
                    Broken{"ignoredKvLen", Bug::ignoredKvLen, "nan", 5},
                    Broken{"sinkInLse", Bug::sinkInLse, "lse error", 10},
                    Broken{"lostLastKey", Bug::lostLastKey, "", 3}, Broken{"emptyRowNaN", Bug::emptyRowNaN, "nan", 3},
                    Broken{"threadsChangeSum", Bug::threadsChangeSum, "other bits with 2 threads", 25},
                    Broken{"batchChangesSum", Bug::batchChangesSum, "has other bits alone", 20},
                    Broken{"writesBehindResult", Bug::writesBehindResult, "", 1}),
    [](const testing::TestParamInfo<Broken> &info) { return info.param.name; });

} // namespace
