// Calls of gqa_cache_attend that must be refused, on attention by plain loops (Inputs/plain-attention.c).

#include "Inputs/attend-layers.h"
#include "test/unit/runtime/TestTensor.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace {

using gqa::test::Tensor;

class AttendInterface : public ::testing::Test {
protected:
  void SetUp() override {
    gqa_cache_layer layer = {};
    layer.num_kv_heads = KV_HEADS;
    layer.key_dim = KEY_DIM;
    layer.value_dim = VALUE_DIM;
    layer.key_type = GQA_CACHE_I8;
    layer.storage = GQA_CACHE_RING;
    layer.window = WINDOW;
    layer.sinks = SINKS;
    layer.slack = SLACK;
    gqa_cache_config config = {1, &layer, /*max_sequences=*/1, /*max_tokens=*/100, PAGE_SIZE};
    ASSERT_EQ(gqa_cache_create(context.get(), &config, &cache), GQA_OK);
    ASSERT_EQ(gqa_artifact_load(context.get(), GQA_PLAIN_ARTIFACT, &artifact), GQA_OK);
    ASSERT_EQ(gqa_cache_add(context.get(), cache, &sequence), GQA_OK);
  }
  void TearDown() override {
    gqa_cache_destroy(cache);
    gqa_artifact_destroy(artifact);
  }

  void append(int64_t tokens) {
    Tensor keys({tokens, KV_HEADS, KEY_DIM}), values({tokens, KV_HEADS, VALUE_DIM});
    ASSERT_EQ(gqa_cache_append(context.get(), cache, 0, &sequence, &tokens, 1, &keys.fill(1).dl, &values.fill(2).dl),
              GQA_OK);
  }

  /// Output that is broadcast over tokens.
  int64_t oneRow[3] = {0, VALUE_DIM, 1};
  bool isBroadcast = false;

  /// "" or why the last `tokens` tokens cannot ask.
  std::string ask(int64_t tokens, uint64_t byteOffset = 0, DLDataType type = {kDLFloat, 32, 1}) {
    Tensor queries({tokens, KV_HEADS * GROUP, KEY_DIM}), output({tokens, KV_HEADS * GROUP, VALUE_DIM});
    queries.fill(3).dl.byte_offset = byteOffset;
    queries.dl.dtype = type;
    gqa_attend_arguments arguments = {};
    arguments.queries = &queries.dl;
    arguments.output = &output.dl;
    if (isBroadcast)
      output.dl.strides = oneRow;
    gqa_status status = gqa_cache_attend(context.get(), cache, artifact, "ring", 0, &sequence, &tokens, 1, &arguments);
    return status == GQA_OK ? "" : gqa_context_message(context.get());
  }

  std::unique_ptr<gqa_context, void (*)(gqa_context *)> context = {gqa_context_create(nullptr), &gqa_context_destroy};
  gqa_cache *cache = nullptr;
  gqa_artifact *artifact = nullptr;
  gqa_sequence sequence = 0;
};

// What is taken back has overwritten keys that earlier queries would need.
TEST_F(AttendInterface, ARingHasTheWindowsOfFewerQueriesOnceTokensAreTakenBack) {
  append(SINKS + RING_SLOTS);
  EXPECT_EQ(ask(SINKS + RING_SLOTS), "") << "nothing is overwritten yet";
  append(10);
  EXPECT_EQ(ask(SLACK + 1), "");
  EXPECT_EQ(ask(SLACK + 2), "sequence " + std::to_string(sequence) +
                                " asks with 5 tokens, but the ring of layer 0 keeps the windows of the last 4");
  ASSERT_EQ(gqa_cache_truncate(context.get(), cache, sequence, SINKS + RING_SLOTS + 8), GQA_OK);
  EXPECT_EQ(ask(2), "");
  EXPECT_EQ(ask(3), "sequence " + std::to_string(sequence) +
                        " asks with 3 tokens, but the ring of layer 0 keeps the windows of the last 2");
  append(1);
  EXPECT_EQ(ask(3), "");
}

TEST_F(AttendInterface, RowsMustBeOfTheEntrysTypeAndAligned) {
  append(1);
  EXPECT_EQ(ask(1, /*byteOffset=*/0, {kDLBfloat, 16, 1}),
            "queries must be f32 as the artifact's entry has them, got bf16");
  EXPECT_EQ(ask(1, /*byteOffset=*/2), "queries must be aligned to its elements of 4 bytes");
}

TEST_F(AttendInterface, OutputsAreNotBroadcast) {
  append(2);
  isBroadcast = true;
  EXPECT_EQ(ask(1), "");
  EXPECT_EQ(ask(2), "output cannot be written: its 2 elements of dimension 0 are one");
}

} // namespace
