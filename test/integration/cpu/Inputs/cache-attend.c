/* See ../cache-attend.test. */
#include "cache-helpers.h"

#include <math.h>

enum { HEADS = 6, KV_HEADS = 2, GROUP = HEADS / KV_HEADS, KEY_DIM = 32, VALUE_DIM = 48, SEQUENCES = 4, MOST = 480 };
enum { CONTIGUOUS, PAGED, QUANTISED, RING, LAYERS };
enum { WINDOW = 150, SINKS = 2, SLACK = 7, ROUNDS = 9, REPEATS = 8 };

/* Tokens that each sequence gets, round by round: chunks of a prompt beside decoding steps. */
static const int64_t rounds[ROUNDS][SEQUENCES] = {{8, 1, 0, 8}, {8, 8, 8, 1}, {1, 1, 1, 1}, {8, 5, 1, 0}, {1, 8, 8, 8},
                                                  {1, 1, 0, 1}, {8, 8, 8, 8}, {1, 3, 1, 3}, {1, 1, 1, 1}};

/* The whole history, [sequence][token][head][dim]. */
static float keys[SEQUENCES][MOST][KV_HEADS][KEY_DIM], values[SEQUENCES][MOST][KV_HEADS][VALUE_DIM];

static gqa_artifact *artifacts[LAYERS];
static gqa_cache *cache;
static gqa_sequence sequences[SEQUENCES];
static int64_t lengths[SEQUENCES];

static float draw(void) {
  static unsigned seed = 1;
  seed = seed * 1664525u + 1013904223u;
  return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

/* Appends the next counts[i] tokens of each sequence to all layers. */
static void append(const int64_t *counts) {
  static float new_keys[SEQUENCES * 8][KV_HEADS][KEY_DIM], new_values[SEQUENCES * 8][KV_HEADS][VALUE_DIM];
  int64_t total = 0, i;
  int32_t layer;
  tensor k, v;
  for (i = 0; i < SEQUENCES; ++i) {
    memcpy(new_keys[total], keys[i][lengths[i]], (size_t)counts[i] * sizeof(keys[0][0]));
    memcpy(new_values[total], values[i][lengths[i]], (size_t)counts[i] * sizeof(values[0][0]));
    total += counts[i];
  }
  make_tensor(&k, new_keys, 3, total, KV_HEADS, KEY_DIM, 4);
  make_tensor(&v, new_values, 3, total, KV_HEADS, VALUE_DIM, 4);
  for (layer = 0; layer < LAYERS; ++layer)
    check(gqa_cache_append(context, cache, layer, sequences, counts, SEQUENCES, &k.dl, &v.dl));
  for (i = 0; i < SEQUENCES; ++i)
    lengths[i] += counts[i];
}

typedef struct outputs {
  float output[SEQUENCES * 8][HEADS][VALUE_DIM], lse[SEQUENCES * 8][HEADS];
} outputs;

static void attend(int32_t layer, const gqa_sequence *names, const int64_t *counts, int32_t size,
                   float (*queries)[HEADS][KEY_DIM], outputs *result) {
  gqa_attend_arguments arguments;
  tensor q, o, l;
  int64_t total = 0;
  int32_t i;
  for (i = 0; i < size; ++i)
    total += counts[i];
  make_tensor(&q, queries, 3, total, HEADS, KEY_DIM, 4);
  make_tensor(&o, result->output, 3, total, HEADS, VALUE_DIM, 4);
  make_tensor(&l, result->lse, 2, total, HEADS, 0, 4);
  memset(&arguments, 0, sizeof(arguments));
  arguments.queries = &q.dl;
  arguments.output = &o.dl;
  arguments.lse = &l.dl;
  check(gqa_cache_attend(context, cache, artifacts[layer], "attention", layer, names, counts, size, &arguments));
}

/* The same in double, for one query at `position`: the largest difference to what was computed. */
static double compare(int32_t layer, int64_t s, int64_t position, int h, const float *query, const float *output,
                      float lse) {
  static float stored_keys[MOST][KV_HEADS][KEY_DIM], stored_values[MOST][KV_HEADS][VALUE_DIM];
  double weights[MOST], expected[VALUE_DIM], sum = 0, worst;
  int64_t n, d, head = h / GROUP;
  memcpy(stored_keys, keys[s], sizeof(stored_keys));
  memcpy(stored_values, values[s], sizeof(stored_values));
  if (layer == QUANTISED) {
    tensor k, v;
    make_tensor(&k, stored_keys, 3, lengths[s], KV_HEADS, KEY_DIM, 4);
    make_tensor(&v, stored_values, 3, lengths[s], KV_HEADS, VALUE_DIM, 4);
    check(gqa_cache_read(context, cache, sequences[s], layer, 0, &k.dl, &v.dl));
  }
  memset(expected, 0, sizeof(expected));
  for (n = 0; n <= position; ++n) {
    double score = 0;
    if (layer == RING && n <= position - WINDOW && n >= SINKS)
      continue;
    for (d = 0; d < KEY_DIM; ++d)
      score += (double)query[d] * stored_keys[n][head][d];
    weights[n] = exp(score / sqrt(KEY_DIM));
    sum += weights[n];
    for (d = 0; d < VALUE_DIM; ++d)
      expected[d] += weights[n] * stored_values[n][head][d];
  }
  worst = fabs(lse - log(sum));
  for (d = 0; d < VALUE_DIM; ++d)
    worst = fmax(worst, fabs(output[d] - expected[d] / sum));
  return worst;
}

static void run_rounds(void) {
  static float queries[SEQUENCES * 8][HEADS][KEY_DIM];
  static outputs results[LAYERS], alone;
  double worst[LAYERS] = {0};
  static const char *const names[LAYERS] = {"contiguous", "paged", "quantised", "ring"};
  int round, layer, same_pages = 1, same_alone = 1;
  for (round = 0; round < REPEATS * ROUNDS; ++round) {
    const int64_t *counts = rounds[round % ROUNDS];
    int64_t s, row = 0, i;
    float *q = &queries[0][0][0];
    for (i = 0; i < SEQUENCES * 8 * HEADS * KEY_DIM; ++i)
      q[i] = draw();
    append(counts);
    for (layer = 0; layer < LAYERS; ++layer)
      attend(layer, sequences, counts, SEQUENCES, queries, &results[layer]);
    same_pages &= memcmp(&results[CONTIGUOUS], &results[PAGED], sizeof(outputs)) == 0;
    for (s = 0; s < SEQUENCES; row += counts[s], ++s)
      for (layer = 0; layer < LAYERS; ++layer) {
        int h;
        for (i = 0; i < counts[s]; ++i)
          for (h = 0; h < HEADS; ++h)
            worst[layer] =
                fmax(worst[layer], compare(layer, s, lengths[s] - counts[s] + i, h, queries[row + i][h],
                                           results[layer].output[row + i][h], results[layer].lse[row + i][h]));
        attend(layer, &sequences[s], &counts[s], 1, queries + row, &alone);
        same_alone &=
            memcmp(alone.output, results[layer].output[row], (size_t)counts[s] * sizeof(alone.output[0])) == 0;
        same_alone &= memcmp(alone.lse, results[layer].lse[row], (size_t)counts[s] * sizeof(alone.lse[0])) == 0;
      }
  }
  for (layer = 0; layer < LAYERS; ++layer)
    printf("%s: %s\n", names[layer], worst[layer] < 3e-6 ? "agrees with the reference" : "DIFFERS from the reference");
  printf("in pages: %s bits\n", same_pages ? "the same" : "OTHER");
  printf("alone: %s bits\n", same_alone ? "the same" : "OTHER");
}

/* What does not fit is an error that says both. */
static void try_errors(void) {
  static float queries[8][HEADS][KEY_DIM];
  static outputs result;
  tensor q, o;
  gqa_attend_arguments arguments;
  int64_t count = 1, too_many = 1000;
  make_tensor(&q, queries, 3, 1, HEADS, KEY_DIM, 4);
  make_tensor(&o, result.output, 3, 1, HEADS, VALUE_DIM, 4);
  memset(&arguments, 0, sizeof(arguments));
  arguments.queries = &q.dl;
  arguments.output = &o.dl;
#define EXPECT_ERROR(artifact, entry, layer, counts)                                                                   \
  printf("%s: ", gqa_status_name(gqa_cache_attend(context, cache, artifacts[artifact], entry, layer, sequences,        \
                                                  counts, 1, &arguments)));                                            \
  printf("%s\n", gqa_context_message(context))
  EXPECT_ERROR(PAGED, "attention", QUANTISED, &count);
  EXPECT_ERROR(QUANTISED, "attention", PAGED, &count);
  EXPECT_ERROR(PAGED, "attention", CONTIGUOUS, &count);
  EXPECT_ERROR(PAGED, "attention", RING, &count);
  EXPECT_ERROR(PAGED, "nothing", PAGED, &count);
  EXPECT_ERROR(PAGED, "attention", PAGED, &too_many);
  make_tensor(&q, queries, 3, 2, HEADS, KEY_DIM, 4);
  make_tensor(&o, result.output, 3, 2, HEADS, VALUE_DIM, 4);
  EXPECT_ERROR(PAGED, "attention", PAGED, &count);
  make_tensor(&q, queries, 3, 1, HEADS, VALUE_DIM, 4);
  EXPECT_ERROR(PAGED, "attention", PAGED, &count);
}

int main(int argc, char **argv) {
  gqa_cache_layer layers[LAYERS];
  gqa_cache_config config;
  int i;
  size_t element;
  if (argc != LAYERS + 1 || !(context = gqa_context_create(NULL)))
    return 2;
  memset(layers, 0, sizeof(layers));
  for (i = 0; i < LAYERS; ++i) {
    check(gqa_artifact_load(context, argv[i + 1], &artifacts[i]));
    layers[i].num_kv_heads = KV_HEADS;
    layers[i].key_dim = KEY_DIM;
    layers[i].value_dim = VALUE_DIM;
    layers[i].storage = GQA_CACHE_PAGED;
  }
  layers[CONTIGUOUS].storage = GQA_CACHE_CONTIGUOUS;
  layers[CONTIGUOUS].capacity = MOST;
  layers[QUANTISED].key_type = layers[QUANTISED].value_type = GQA_CACHE_I8;
  layers[RING].storage = GQA_CACHE_RING;
  layers[RING].window = WINDOW;
  layers[RING].sinks = SINKS;
  layers[RING].slack = SLACK;
  memset(&config, 0, sizeof(config));
  config.num_layers = LAYERS;
  config.layers = layers;
  config.max_sequences = SEQUENCES;
  config.max_tokens = SEQUENCES * MOST;
  config.page_size = 16;
  check(gqa_cache_create(context, &config, &cache));
  for (i = 0; i < SEQUENCES; ++i)
    check(gqa_cache_add(context, cache, &sequences[i]));
  for (element = 0; element < sizeof(keys) / sizeof(float); ++element)
    (&keys[0][0][0][0])[element] = draw();
  for (element = 0; element < sizeof(values) / sizeof(float); ++element)
    (&values[0][0][0][0])[element] = draw();
  run_rounds();
  try_errors();
  gqa_cache_destroy(cache);
  for (i = 0; i < LAYERS; ++i)
    gqa_artifact_destroy(artifacts[i]);
  gqa_context_destroy(context);
  return 0;
}
