/* See ../cache-in-place.mlir. */
#include "cache-helpers.h"

#include <math.h>

enum { KV_HEADS = 2, GROUP = 3, DIM = 16, TOKENS = 40, PAGE = 8, CONTIGUOUS_LAYER = 0, PAGED_LAYER = 1 };

/* All of the sequence: queries and outputs [kv head][group][token][dim], keys and values [token][kv head][dim]. */
static float queries[KV_HEADS][GROUP][TOKENS][DIM], full_output[KV_HEADS][GROUP][TOKENS][DIM];
static float keys[TOKENS][KV_HEADS][DIM], values[TOKENS][KV_HEADS][DIM];

static gqa_artifact *artifact;
static gqa_cache *cache;
static gqa_sequence sequence;

/* [KV_HEADS, count, DIM] over rows that are `token_stride` apart. */
static void make_rows(tensor *t, const float *data, int64_t count, int64_t head_stride, int64_t token_stride) {
  int64_t shape[3] = {KV_HEADS, 0, DIM}, strides[3] = {0, 0, 1};
  shape[1] = count;
  strides[0] = head_stride;
  strides[1] = token_stride;
  make_strided(t, data, 4, 3, shape, strides);
}

/* [KV_HEADS, GROUP, count, DIM] of an array with all tokens, from token `begin` on. */
static void make_chunk(tensor *t, float (*data)[GROUP][TOKENS][DIM], int64_t begin, int64_t count) {
  int64_t shape[4] = {KV_HEADS, GROUP, 0, DIM}, strides[4] = {GROUP * TOKENS * DIM, TOKENS * DIM, DIM, 1};
  shape[2] = count;
  make_strided(t, &data[0][0][begin][0], 4, 4, shape, strides);
}

static void append(int32_t layer, int64_t begin, int64_t count) {
  int64_t shape[3] = {0, KV_HEADS, DIM}, strides[3] = {KV_HEADS * DIM, DIM, 1};
  tensor k, v;
  shape[0] = count;
  make_strided(&k, keys[begin], 4, 3, shape, strides);
  make_strided(&v, values[begin], 4, 3, shape, strides);
  check(gqa_cache_append(context, cache, layer, &sequence, &count, 1, &k.dl, &v.dl));
}

static void attend(tensor *q, tensor *k, tensor *v, tensor *o) {
  const DLTensor *inputs[3];
  DLTensor *outputs[1];
  inputs[0] = &q->dl;
  inputs[1] = &k->dl;
  inputs[2] = &v->dl;
  outputs[0] = &o->dl;
  check(gqa_call(context, artifact, "attention", inputs, 3, outputs, 1));
}

static void attend_contiguous(void) {
  static const int64_t chunks[7] = {17, 1, 1, 1, 5, 1, 14};
  static float in_place[KV_HEADS][GROUP][TOKENS][DIM], dense[KV_HEADS][GROUP][TOKENS][DIM];
  gqa_cache_view view;
  int64_t begin = 0;
  int32_t page;
  int chunk, same = 0, h, g;
  float worst = 0;
  size_t i;
  check(gqa_cache_get_view(context, cache, CONTIGUOUS_LAYER, &view));
  for (chunk = 0; chunk < 7; begin += chunks[chunk], ++chunk) {
    int64_t count = chunks[chunk], length = begin + count;
    int equal = 1;
    tensor q, k, v, o;
    append(CONTIGUOUS_LAYER, begin, count);
    check(gqa_cache_get_table(context, cache, CONTIGUOUS_LAYER, &sequence, 1, &page, 1, NULL, NULL, NULL));
    make_chunk(&q, queries, begin, count);
    make_rows(&k, (float *)view.keys.data + page * view.keys.page_stride, length, view.keys.head_stride,
              view.keys.token_stride);
    make_rows(&v, (float *)view.values.data + page * view.values.page_stride, length, view.values.head_stride,
              view.values.token_stride);
    make_chunk(&o, in_place, begin, count);
    attend(&q, &k, &v, &o);
    make_rows(&k, keys[0][0], length, DIM, KV_HEADS * DIM);
    make_rows(&v, values[0][0], length, DIM, KV_HEADS * DIM);
    make_chunk(&o, dense, begin, count);
    attend(&q, &k, &v, &o);
    for (h = 0; h < KV_HEADS; ++h)
      for (g = 0; g < GROUP; ++g)
        equal &= memcmp(in_place[h][g][begin], dense[h][g][begin], (size_t)count * DIM * sizeof(float)) == 0;
    same += equal;
  }
  for (i = 0; i < sizeof(in_place) / sizeof(float); ++i)
    worst = fmaxf(worst, fabsf((&in_place[0][0][0][0])[i] - (&full_output[0][0][0][0])[i]));
  printf("contiguous: %d tokens in 7 chunks %s the full pass\n", TOKENS, worst < 1e-6f ? "agree with" : "differ from");
  printf("contiguous: %d of 7 chunks have the bits of dense tensors\n", same);
}

/* Partial results of the pages, merged: the output of the query at `position` in `output`. */
static void attend_pages(int64_t position, tensor *output) {
  static float parts[TOKENS / PAGE][KV_HEADS][GROUP][DIM], part_lses[TOKENS / PAGE][KV_HEADS][GROUP];
  static float lse[KV_HEADS][GROUP];
  int64_t q_shape[3] = {KV_HEADS, GROUP, DIM}, q_strides[3] = {GROUP * TOKENS * DIM, TOKENS * DIM, 1};
  int64_t dense_strides[3] = {GROUP * DIM, DIM, 1}, lse_strides[2] = {GROUP, 1};
  tensor q, k, v, o[TOKENS / PAGE], l[TOKENS / PAGE], merged_lse;
  const DLTensor *inputs[3], *part_outputs[TOKENS / PAGE], *part_lse_tensors[TOKENS / PAGE];
  int32_t table[TOKENS / PAGE], num_pages = 0;
  int64_t length = 0;
  gqa_cache_view view;
  check(gqa_cache_get_view(context, cache, PAGED_LAYER, &view));
  check(gqa_cache_get_table(context, cache, PAGED_LAYER, &sequence, 1, table, TOKENS / PAGE, NULL, &length, NULL));
  make_strided(&q, &queries[0][0][position][0], 4, 3, q_shape, q_strides);
  for (; num_pages * PAGE < length; ++num_pages) {
    int64_t count = length - num_pages * PAGE < PAGE ? length - num_pages * PAGE : PAGE;
    DLTensor *outputs[2];
    make_rows(&k, (float *)view.keys.data + table[num_pages] * view.keys.page_stride, count, view.keys.head_stride,
              view.keys.token_stride);
    make_rows(&v, (float *)view.values.data + table[num_pages] * view.values.page_stride, count,
              view.values.head_stride, view.values.token_stride);
    make_strided(&o[num_pages], parts[num_pages], 4, 3, q_shape, dense_strides);
    make_strided(&l[num_pages], part_lses[num_pages], 4, 2, q_shape, lse_strides);
    inputs[0] = &q.dl;
    inputs[1] = &k.dl;
    inputs[2] = &v.dl;
    outputs[0] = &o[num_pages].dl;
    outputs[1] = &l[num_pages].dl;
    check(gqa_call(context, artifact, "partial", inputs, 3, outputs, 2));
    part_outputs[num_pages] = &o[num_pages].dl;
    part_lse_tensors[num_pages] = &l[num_pages].dl;
  }
  make_strided(&merged_lse, lse, 4, 2, q_shape, lse_strides);
  check(gqa_merge(context, part_outputs, part_lse_tensors, num_pages, &output->dl, &merged_lse.dl));
}

static void attend_paged(void) {
  float merged[KV_HEADS][GROUP][DIM], worst = 0;
  int64_t shape[3] = {KV_HEADS, GROUP, DIM}, strides[3] = {GROUP * DIM, DIM, 1};
  int64_t position;
  int h, g, d;
  tensor output;
  for (position = 0; position < TOKENS; ++position) {
    append(PAGED_LAYER, position, 1);
    make_strided(&output, merged, 4, 3, shape, strides);
    attend_pages(position, &output);
    for (h = 0; h < KV_HEADS; ++h)
      for (g = 0; g < GROUP; ++g)
        for (d = 0; d < DIM; ++d)
          worst = fmaxf(worst, fabsf(merged[h][g][d] - full_output[h][g][position][d]));
  }
  printf("paged: %d tokens %s the full pass\n", TOKENS, worst < 1e-6f ? "agree with" : "differ from");
}

static void fill(float *data, size_t size, unsigned seed) {
  size_t i;
  for (i = 0; i < size; ++i) {
    seed = seed * 1664525u + 1013904223u;
    data[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
}

int main(int argc, char **argv) {
  gqa_cache_layer layers[2];
  gqa_cache_config config;
  tensor q, k, v, o;
  if (argc != 2 || !(context = gqa_context_create(NULL)))
    return 2;
  check(gqa_artifact_load(context, argv[1], &artifact));

  memset(layers, 0, sizeof(layers));
  layers[0].num_kv_heads = KV_HEADS;
  layers[0].key_dim = layers[0].value_dim = DIM;
  layers[0].key_type = layers[0].value_type = GQA_CACHE_F32;
  layers[1] = layers[0];
  layers[0].storage = GQA_CACHE_CONTIGUOUS;
  layers[0].capacity = TOKENS;
  layers[1].storage = GQA_CACHE_PAGED;
  memset(&config, 0, sizeof(config));
  config.num_layers = 2;
  config.layers = layers;
  config.max_sequences = 1;
  config.max_tokens = TOKENS;
  config.page_size = PAGE;
  check(gqa_cache_create(context, &config, &cache));
  check(gqa_cache_add(context, cache, &sequence));

  fill(&queries[0][0][0][0], sizeof(queries) / sizeof(float), 1);
  fill(&keys[0][0][0], sizeof(keys) / sizeof(float), 2);
  fill(&values[0][0][0], sizeof(values) / sizeof(float), 3);
  make_chunk(&q, queries, 0, TOKENS);
  make_rows(&k, keys[0][0], TOKENS, DIM, KV_HEADS * DIM);
  make_rows(&v, values[0][0], TOKENS, DIM, KV_HEADS * DIM);
  make_chunk(&o, full_output, 0, TOKENS);
  attend(&q, &k, &v, &o);
  attend_contiguous();
  attend_paged();
  gqa_cache_destroy(cache);
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  return 0;
}
