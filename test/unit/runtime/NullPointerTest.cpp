// Null pointers for every pointer of every function: a status, or nothing, but no crash.

#include "TestArtifact.h"

namespace gqa::test {
namespace {

TEST(NullPointer, WithoutAContext) {
  gqa_artifact *artifact = nullptr;
  gqa_cache *cache = nullptr;
  gqa_sequence sequence = 0;
  int64_t number = 0;
  int32_t rank = 0;
  gqa_cache_config config = {};
  gqa_cache_view view;
  for (gqa_status status : {gqa_context_set_num_threads(nullptr, 1),
                            gqa_context_set_stream(nullptr, nullptr),
                            gqa_context_set_workspace(nullptr, nullptr, 0),
                            gqa_artifact_load(nullptr, "x", &artifact),
                            gqa_artifact_can_run(nullptr, nullptr),
                            gqa_entry_size(nullptr, nullptr, nullptr, &rank, &rank),
                            gqa_entry_argument(nullptr, nullptr, nullptr, 0, nullptr),
                            gqa_entry_result(nullptr, nullptr, nullptr, 0, nullptr),
                            gqa_result_shape(nullptr, nullptr, nullptr, nullptr, 0, 0, nullptr, 0, &rank),
                            gqa_workspace_size(nullptr, nullptr, nullptr, nullptr, 0, &number),
                            gqa_call(nullptr, nullptr, nullptr, nullptr, 0, nullptr, 0),
                            gqa_cache_create(nullptr, &config, &cache),
                            gqa_cache_add(nullptr, nullptr, &sequence),
                            gqa_cache_fork(nullptr, nullptr, 1, 0, &sequence),
                            gqa_cache_remove(nullptr, nullptr, 1),
                            gqa_cache_truncate(nullptr, nullptr, 1, 0),
                            gqa_cache_length(nullptr, nullptr, 1, 0, &number),
                            gqa_cache_reserve(nullptr, nullptr, nullptr, nullptr, 0),
                            gqa_cache_append(nullptr, nullptr, 0, nullptr, nullptr, 0, nullptr, nullptr),
                            gqa_cache_rotate(nullptr, nullptr, 0, nullptr, nullptr),
                            gqa_cache_read(nullptr, nullptr, 1, 0, 0, nullptr, nullptr),
                            gqa_cache_save(nullptr, nullptr, 1, "x"),
                            gqa_cache_load(nullptr, nullptr, "x", &sequence),
                            gqa_cache_get_view(nullptr, nullptr, 0, &view),
                            gqa_cache_get_table(nullptr, nullptr, 0, nullptr, 0, nullptr, 0, nullptr, nullptr, nullptr),
                            gqa_merge(nullptr, nullptr, nullptr, 0, nullptr, nullptr)})
    EXPECT_EQ(status, GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(nullptr), "");
  EXPECT_STREQ(gqa_artifact_description(nullptr), "");
  EXPECT_EQ(gqa_artifact_num_entries(nullptr), 0);
  EXPECT_EQ(gqa_artifact_entry_name(nullptr, 0), nullptr);
  EXPECT_EQ(gqa_artifact_target(nullptr), nullptr);
  EXPECT_EQ(gqa_artifact_num_cpu_features(nullptr), 0);
  EXPECT_EQ(gqa_artifact_cpu_feature(nullptr, 0), nullptr);
  EXPECT_EQ(gqa_cache_bytes(nullptr), 0);
  gqa_context_destroy(nullptr);
  gqa_artifact_destroy(nullptr);
  gqa_cache_destroy(nullptr);
}

#define EXPECT_REFUSED(call)                                                                                           \
  EXPECT_EQ(call, GQA_INVALID_ARGUMENT);                                                                               \
  EXPECT_STRNE(gqa_context_message(context), "") << "with a reason"

TEST(NullPointer, WithAContext) {
  TestArtifact test;
  gqa_context *context = test.context;
  Tensors tensors(1, 1, 1);
  const DLTensor *inputs[] = {&tensors.q.dl, &tensors.k.dl, nullptr};
  DLTensor *outputs[] = {nullptr};
  gqa_artifact *artifact = nullptr;
  gqa_cache *cache = nullptr;
  gqa_sequence sequence = 0;
  int64_t number = 0;
  int32_t rank = 0;
  gqa_cache_layer layer = {};
  layer.num_kv_heads = layer.key_dim = layer.value_dim = 2;
  layer.storage = GQA_CACHE_PAGED;
  gqa_cache_config config = {1, nullptr, 1, 4, 4};
  EXPECT_REFUSED(gqa_artifact_load(context, nullptr, &artifact));
  EXPECT_REFUSED(gqa_artifact_load(context, "x", nullptr));
  EXPECT_REFUSED(gqa_artifact_can_run(context, nullptr));
  EXPECT_REFUSED(gqa_entry_size(context, nullptr, "attention", &rank, &rank));
  EXPECT_REFUSED(gqa_entry_size(context, test.artifact, nullptr, &rank, &rank));
  gqa_tensor_type type;
  EXPECT_REFUSED(gqa_entry_argument(context, nullptr, "attention", 0, &type));
  EXPECT_REFUSED(gqa_entry_argument(context, test.artifact, nullptr, 0, &type));
  EXPECT_REFUSED(gqa_entry_argument(context, test.artifact, "attention", 0, nullptr));
  EXPECT_REFUSED(gqa_entry_result(context, test.artifact, "attention", 0, nullptr));
  EXPECT_REFUSED(gqa_result_shape(context, nullptr, "attention", inputs, 3, 0, nullptr, 0, &rank));
  EXPECT_REFUSED(gqa_result_shape(context, test.artifact, nullptr, inputs, 3, 0, nullptr, 0, &rank));
  EXPECT_REFUSED(gqa_result_shape(context, test.artifact, "attention", inputs, 3, 0, nullptr, 1, &rank));
  EXPECT_REFUSED(gqa_result_shape(context, test.artifact, "attention", inputs, 3, 0, nullptr, 0, nullptr));
  EXPECT_REFUSED(gqa_result_shape(context, test.artifact, "attention", nullptr, 3, 0, nullptr, 0, &rank));
  EXPECT_REFUSED(gqa_result_shape(context, test.artifact, "attention", inputs, 3, 0, nullptr, 0, &rank));
  EXPECT_REFUSED(gqa_workspace_size(context, test.artifact, "attention", inputs, 3, nullptr));
  EXPECT_REFUSED(gqa_call(context, test.artifact, "attention", nullptr, 3, outputs, 1));
  EXPECT_REFUSED(gqa_call(context, test.artifact, "attention", inputs, 3, outputs, 1));
  inputs[2] = &tensors.v.dl;
  EXPECT_REFUSED(gqa_call(context, test.artifact, "attention", inputs, 3, nullptr, 1));
  EXPECT_REFUSED(gqa_call(context, test.artifact, "attention", inputs, 3, outputs, 1));
  EXPECT_REFUSED(gqa_call(context, test.artifact, "attention", inputs, -1, outputs, 1));
  EXPECT_REFUSED(gqa_cache_create(context, nullptr, &cache));
  EXPECT_REFUSED(gqa_cache_create(context, &config, &cache));
  config.layers = &layer;
  EXPECT_REFUSED(gqa_cache_create(context, &config, nullptr));
  ASSERT_EQ(gqa_cache_create(context, &config, &cache), GQA_OK) << test.getMessage();
  EXPECT_REFUSED(gqa_cache_add(context, cache, nullptr));
  EXPECT_REFUSED(gqa_cache_add(context, nullptr, &sequence));
  ASSERT_EQ(gqa_cache_add(context, cache, &sequence), GQA_OK);
  int64_t count = 1;
  Tensor rows({1, 2, 2});
  EXPECT_REFUSED(gqa_cache_fork(context, cache, sequence, 0, nullptr));
  EXPECT_REFUSED(gqa_cache_remove(context, nullptr, sequence));
  EXPECT_REFUSED(gqa_cache_truncate(context, nullptr, sequence, 0));
  EXPECT_REFUSED(gqa_cache_length(context, cache, sequence, 0, nullptr));
  EXPECT_REFUSED(gqa_cache_length(context, nullptr, sequence, 0, &number));
  EXPECT_REFUSED(gqa_cache_reserve(context, cache, nullptr, &count, 1));
  EXPECT_REFUSED(gqa_cache_reserve(context, cache, &sequence, nullptr, 1));
  EXPECT_REFUSED(gqa_cache_append(context, cache, 0, nullptr, &count, 1, &rows.dl, &rows.dl));
  EXPECT_REFUSED(gqa_cache_append(context, cache, 0, &sequence, nullptr, 1, &rows.dl, &rows.dl));
  EXPECT_REFUSED(gqa_cache_append(context, cache, 0, &sequence, &count, 1, nullptr, &rows.dl));
  EXPECT_REFUSED(gqa_cache_append(context, cache, 0, &sequence, &count, 1, &rows.dl, nullptr));
  EXPECT_REFUSED(gqa_cache_append(context, cache, 7, &sequence, &count, 1, &rows.dl, &rows.dl));
  rows.dl.shape = nullptr;
  EXPECT_REFUSED(gqa_cache_append(context, cache, 0, &sequence, &count, 1, &rows.dl, &rows.dl));
  rows.dl.shape = rows.shape.data();
  rows.shape[0] = int64_t(1) << 62;
  EXPECT_REFUSED(gqa_cache_rotate(context, cache, 0, &count, &rows.dl));
  rows.shape[0] = 1;
  EXPECT_REFUSED(gqa_cache_rotate(context, cache, 0, nullptr, &rows.dl));
  EXPECT_REFUSED(gqa_cache_rotate(context, cache, 0, &count, nullptr));
  EXPECT_REFUSED(gqa_cache_read(context, nullptr, sequence, 0, 0, nullptr, nullptr));
  EXPECT_REFUSED(gqa_cache_save(context, cache, sequence, nullptr));
  EXPECT_REFUSED(gqa_cache_load(context, cache, nullptr, &sequence));
  EXPECT_REFUSED(gqa_cache_load(context, cache, "x", nullptr));
  EXPECT_REFUSED(gqa_cache_get_view(context, cache, 0, nullptr));
  EXPECT_REFUSED(gqa_cache_get_table(context, cache, 0, nullptr, 1, nullptr, 0, nullptr, nullptr, nullptr));
  EXPECT_REFUSED(gqa_merge(context, nullptr, nullptr, 1, &rows.dl, &rows.dl));
  EXPECT_REFUSED(gqa_merge(context, nullptr, nullptr, 0, nullptr, nullptr));
  EXPECT_EQ(gqa_cache_read(context, cache, sequence, 0, 0, nullptr, nullptr), GQA_OK) << "both may be null";
  gqa_cache_destroy(cache);
}

} // namespace
} // namespace gqa::test
