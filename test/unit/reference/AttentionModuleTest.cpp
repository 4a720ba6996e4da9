#include "tools/AttentionModule.h"

#include <gtest/gtest.h>

using namespace gqa;

namespace {

TEST(AttentionModuleTest, printsOneStaticFunction) {
  AttentionProblem problem;
  problem.extents = {1, 2, 3, 4, 5, 8, 16};
  problem.scale = 0.25;
  EXPECT_EQ(
      printAttentionFunction(problem, "f", {}),
      R"(func.func @f(%query: tensor<1x2x3x4x8xf32>, %key: tensor<1x2x5x8xf32>, %value: tensor<1x2x5x16xf32>) -> (tensor<1x2x3x4x16xf32>) {
  %output_init = tensor.empty() : tensor<1x2x3x4x16xf32>
  %output = gqa.attention scale 2.50000000e-01
    query(%query[b, hkv, g, m, dqk] : tensor<1x2x3x4x8xf32>)
    key(%key[b, hkv, n, dqk] : tensor<1x2x5x8xf32>)
    value(%value[b, hkv, n, dv] : tensor<1x2x5x16xf32>)
    outs(%output_init[b, hkv, g, m, dv] : tensor<1x2x3x4x16xf32>)
  return %output : tensor<1x2x3x4x16xf32>
}
)");
}

TEST(AttentionModuleTest, printsEveryClauseAndDynamicDimensions) {
  AttentionProblem problem;
  problem.extents = {2, 3, 5, 4, 9, 8, 8};
  problem.query = {{Dim::b, Dim::m, Dim::hkv, Dim::g, Dim::dqk}, ElementType::f16};
  problem.bias = Operand{{Dim::m, Dim::n}, ElementType::bf16};
  problem.mask = Operand{{}, ElementType::i1};
  problem.kvLen = Operand{{Dim::b}, ElementType::i64};
  problem.offset = Operand{{}, ElementType::i32};
  problem.sink = Operand{{Dim::hkv, Dim::g}};
  problem.lse = Operand{{Dim::b, Dim::hkv, Dim::g, Dim::m}};
  problem.softcap = 50.0f;
  problem.causal = true;
  problem.windowLeft = 7;
  problem.windowRight = 0;
  std::string text = printAttentionFunction(problem, "f", {Dim::b, Dim::m, Dim::n});
  for (const char *part : {
           "%query: tensor<?x?x3x5x8xf16>",
           "%dim_b = tensor.dim %query, %c0",
           "%dim_m = tensor.dim %query, %c1",
           "%output_init = tensor.empty(%dim_b, %dim_m) : tensor<?x3x5x?x8xf32>",
           "%output, %lse = gqa.attention scale 1.00000000e+00 softcap 5.00000000e+01 causal window(left 7 right 0)\n",
           "bias(%bias[m, n] : tensor<?x?xbf16>)",
           "mask(%mask[] : tensor<i1>)",
           "kv_len(%kv_len[b] : tensor<?xi64>)",
           "offset(%offset[] : tensor<i32>)",
           "sink(%sink[hkv, g] : tensor<3x5xf32>)",
           "%lse_init[b, hkv, g, m] : tensor<?x3x5x?xf32>)",
       })
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nnot in\n" << text;
}

TEST(AttentionModuleTest, printsAlignment) {
  AttentionProblem problem;
  problem.windowRight = 3;
  problem.alignment = Alignment::bottomRight;
  std::string text = printAttentionFunction(problem, "f", {});
  EXPECT_NE(text.find(" window(right 3) align bottom_right\n"), std::string::npos) << text;
}

} // namespace
