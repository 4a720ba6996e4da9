/* Prefill and decoding with a compiled attention and a KV cache, in C.
 *
 *     gqa-compile attention.mlir -o attention.so
 *     cc -std=c99 -I PREFIX/include/gqa decode.c -L PREFIX/lib -lgqa -o decode
 *     ./decode attention.so
 *
 * The keys are 0, so every token before and at a query has the same weight, and the value of token t is t in all
 * elements: the output of token t is the mean of 0 to t. */
#include "runtime/gqa.h"

#include <stdio.h>
#include <string.h>

enum { KV_HEADS = 2, GROUP = 2, DIM = 64, PROMPT = 5, TOKENS = 8 };

static gqa_context *context;

static int failed(gqa_status status) {
  if (status != GQA_OK)
    fprintf(stderr, "%s: %s\n", gqa_status_name(status), gqa_context_message(context));
  return status != GQA_OK;
}

/* An f32 tensor over memory that somebody else owns; strides are in elements, the innermost is 1. */
static DLTensor make_tensor(void *data, int32_t rank, int64_t *shape, int64_t *strides) {
  DLTensor tensor;
  memset(&tensor, 0, sizeof(tensor));
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = rank;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  tensor.strides = strides;
  return tensor;
}

/* Appends `count` tokens to the sequence and lets their queries attend to all tokens so far, where the cache has them.
 */
static int attend(const gqa_artifact *artifact, gqa_cache *cache, gqa_sequence sequence, int64_t first, int64_t count) {
  static float keys[TOKENS][KV_HEADS][DIM], values[TOKENS][KV_HEADS][DIM];
  static float queries[TOKENS][KV_HEADS][GROUP][DIM], outputs[TOKENS][KV_HEADS][GROUP][DIM];
  int64_t rows_shape[3] = {0, KV_HEADS, DIM}, row_strides[3] = {KV_HEADS * DIM, DIM, 1};
  int64_t query_shape[4] = {KV_HEADS, GROUP, 0, DIM}, query_strides[4] = {GROUP * DIM, DIM, KV_HEADS * GROUP * DIM, 1};
  int64_t key_shape[3] = {KV_HEADS, 0, DIM}, key_strides[3], value_strides[3];
  DLTensor k, v, q, o;
  const DLTensor *inputs[3];
  DLTensor *results[1];
  gqa_cache_view view;
  int32_t page;
  int64_t t, h, d;

  for (t = 0; t < count; ++t)
    for (h = 0; h < KV_HEADS; ++h)
      for (d = 0; d < DIM; ++d)
        values[t][h][d] = (float)(first + t);
  rows_shape[0] = count;
  k = make_tensor(keys, 3, rows_shape, row_strides);
  v = make_tensor(values, 3, rows_shape, row_strides);
  if (failed(gqa_cache_append(context, cache, 0, &sequence, &count, 1, &k, &v)))
    return 1;

  /* A contiguous layer has a sequence in one page: a plain [heads, tokens, dim] tensor. */
  if (failed(gqa_cache_get_view(context, cache, 0, &view)) ||
      failed(gqa_cache_get_table(context, cache, 0, &sequence, 1, &page, 1, NULL, NULL, NULL)))
    return 1;
  key_shape[1] = first + count;
  key_strides[0] = view.keys.head_stride;
  key_strides[1] = view.keys.token_stride;
  value_strides[0] = view.values.head_stride;
  value_strides[1] = view.values.token_stride;
  key_strides[2] = value_strides[2] = 1;
  k = make_tensor((float *)view.keys.data + page * view.keys.page_stride, 3, key_shape, key_strides);
  v = make_tensor((float *)view.values.data + page * view.values.page_stride, 3, key_shape, value_strides);
  query_shape[2] = count;
  q = make_tensor(queries, 4, query_shape, query_strides);
  o = make_tensor(outputs, 4, query_shape, query_strides);
  inputs[0] = &q;
  inputs[1] = &k;
  inputs[2] = &v;
  results[0] = &o;
  if (failed(gqa_call(context, artifact, "attention", inputs, 3, results, 1)))
    return 1;
  for (t = 0; t < count; ++t)
    printf("token %d: output %.3f to %.3f\n", (int)(first + t), outputs[t][0][0][0],
           outputs[t][KV_HEADS - 1][GROUP - 1][DIM - 1]);
  return 0;
}

int main(int argc, char **argv) {
  gqa_artifact *artifact = NULL;
  gqa_cache *cache = NULL;
  gqa_cache_layer layer;
  gqa_cache_config config;
  gqa_sequence sequence = 0;
  int64_t token;
  int status = 1;

  if (argc != 2) {
    fprintf(stderr, "usage: %s ARTIFACT\n", argv[0]);
    return 2;
  }
  context = gqa_context_create(NULL);
  if (!context)
    return 1;
  memset(&layer, 0, sizeof(layer));
  layer.num_kv_heads = KV_HEADS;
  layer.key_dim = layer.value_dim = DIM;
  layer.key_type = layer.value_type = GQA_CACHE_F32;
  layer.storage = GQA_CACHE_CONTIGUOUS;
  layer.capacity = TOKENS;
  memset(&config, 0, sizeof(config));
  config.num_layers = 1;
  config.layers = &layer;
  config.max_sequences = 1;
  config.page_size = 16;

  if (!failed(gqa_artifact_load(context, argv[1], &artifact)) && !failed(gqa_artifact_can_run(context, artifact)) &&
      !failed(gqa_cache_create(context, &config, &cache)) && !failed(gqa_cache_add(context, cache, &sequence)) &&
      attend(artifact, cache, sequence, 0, PROMPT) == 0) {
    status = 0;
    for (token = PROMPT; token < TOKENS && status == 0; ++token)
      status = attend(artifact, cache, sequence, token, 1);
  }
  gqa_cache_destroy(cache);
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  return status;
}
