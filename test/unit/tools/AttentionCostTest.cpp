#include "tools/AttentionCost.h"

#include <gtest/gtest.h>

using namespace gqa;

TEST(AttentionCost, ParametersOfLlama7BScale) {
  EXPECT_EQ(attentionParameters(32, 4096, 32, 32, 128), 32 * 4.0 * 4096 * 4096);
  // K/V projections shrink with the K/V heads, q and o stay.
  EXPECT_EQ(attentionParameters(32, 4096, 32, 8, 128), 32 * 2.5 * 4096 * 4096);
  EXPECT_EQ(attentionParameters(1, 5, 3, 1, 2), 5 * 6 * 2 + 5 * 2 * 2);
}

TEST(AttentionCost, CausalCountsVisiblePairsOnly) {
  AttentionWork work{/*heads=*/2, /*kvHeads=*/1, /*headDim=*/8, /*queries=*/3, /*keys=*/3, /*causal=*/true};
  EXPECT_EQ(work.pairs(), 1 + 2 + 3);
  EXPECT_EQ(work.flops(), 4 * 2 * 8 * 6);
}

TEST(AttentionCost, DecodeReadsEveryKeyOnce) {
  AttentionWork work{/*heads=*/4,   /*kvHeads=*/2, /*headDim=*/8,
                     /*queries=*/1, /*keys=*/100,  /*causal=*/false};
  EXPECT_EQ(work.pairs(), 100);
  EXPECT_EQ(work.bytes(2), 2 * (2 * 2 * 100 * 8 + 2 * 4 * 8)); // K and V; q and o
}

TEST(AttentionCost, UnfusedKeepsScoresAndRepeatedKeys) {
  AttentionWork work{/*heads=*/4,    /*kvHeads=*/1, /*headDim=*/8,
                     /*queries=*/10, /*keys=*/20,   /*causal=*/false};
  EXPECT_EQ(work.unfusedBytes(2), 2 * 4 * 4 * 10 * 20 + 2 * 2 * 4 * 20 * 8);
}
