/* See ../cache-attend-options.test. */
#include "cache-helpers.h"

#include <math.h>

enum { HEADS = 6, KV_HEADS = 2, GROUP = HEADS / KV_HEADS, DIM = 32, SEQUENCES = 2, MOST = 160, ROUNDS = 24 };
enum { MASKED, SINKS, CHANNELS, ROTATED, MASKED_RING, LAYERS };
enum { WINDOW = 70, RING_SINKS = 2, SLACK = 7, RING_SLOTS = WINDOW + SLACK };
static const char *const names[LAYERS] = {"mask", "sinks and softcap", "scales per channel", "rotary",
                                          "ring with mask"};
static const double kSoftcap = 3, kTheta = 10000;

static const int64_t rounds[3][SEQUENCES] = {{8, 5}, {1, 1}, {3, 8}};

static float keys[SEQUENCES][MOST][KV_HEADS][DIM], values[SEQUENCES][MOST][KV_HEADS][DIM];
static float channel_scales[KV_HEADS][DIM], sink_logits[HEADS];
static uint8_t mask[SEQUENCES * 8][MOST];

static gqa_artifact *artifacts[LAYERS];
static gqa_cache *cache;
static gqa_sequence sequences[SEQUENCES];
static int64_t lengths[SEQUENCES];

static float draw(void) {
  static unsigned seed = 1;
  seed = seed * 1664525u + 1013904223u;
  return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

static void append(const int64_t *counts) {
  static float new_keys[SEQUENCES * 8][KV_HEADS][DIM], new_values[SEQUENCES * 8][KV_HEADS][DIM];
  int64_t total = 0, i;
  int32_t layer;
  tensor k, v;
  for (i = 0; i < SEQUENCES; total += counts[i], ++i) {
    memcpy(new_keys[total], keys[i][lengths[i]], (size_t)counts[i] * sizeof(keys[0][0]));
    memcpy(new_values[total], values[i][lengths[i]], (size_t)counts[i] * sizeof(values[0][0]));
  }
  for (layer = 0; layer < LAYERS; ++layer)
    check(gqa_cache_append(context, cache, layer, sequences, counts, SEQUENCES,
                           make_tensor(&k, new_keys, 3, total, KV_HEADS, DIM, 4),
                           make_tensor(&v, new_values, 3, total, KV_HEADS, DIM, 4)));
  for (i = 0; i < SEQUENCES; ++i)
    lengths[i] += counts[i];
}

/* Half-split pairs, as in Su et al. 2021 with the pairs of GPT-NeoX. */
static void rotate(double *row, int64_t position) {
  int i;
  for (i = 0; i < DIM / 2; ++i) {
    double angle = (double)position * pow(kTheta, -2.0 * i / DIM), x = row[i], y = row[i + DIM / 2];
    row[i] = x * cos(angle) - y * sin(angle);
    row[i + DIM / 2] = x * sin(angle) + y * cos(angle);
  }
}

static int is_visible(int layer, int64_t n, int64_t position, int64_t row) {
  int64_t slot = n;
  if (n > position)
    return 0;
  if (layer == MASKED_RING) {
    if (n <= position - WINDOW && n >= RING_SINKS)
      return 0;
    if (n >= RING_SINKS)
      slot = RING_SINKS + (n - RING_SINKS) % RING_SLOTS;
  }
  return (layer != MASKED && layer != MASKED_RING) || mask[row][slot];
}

/* The same in double, for one query at `position`: the largest difference to what was computed. */
static double compare(int layer, int64_t s, int64_t position, int64_t row, int h, const float *query,
                      const float *output) {
  static float stored_keys[MOST][KV_HEADS][DIM], stored_values[MOST][KV_HEADS][DIM];
  double expected[DIM] = {0}, q[DIM], k[DIM], sum = layer == SINKS ? exp(sink_logits[h]) : 0, worst = 0;
  int64_t n, d, head = h / GROUP;
  memcpy(stored_keys, keys[s], sizeof(stored_keys));
  memcpy(stored_values, values[s], sizeof(stored_values));
  if (layer == CHANNELS) {
    tensor a, b;
    check(gqa_cache_read(context, cache, sequences[s], layer, 0,
                         make_tensor(&a, stored_keys, 3, lengths[s], KV_HEADS, DIM, 4),
                         make_tensor(&b, stored_values, 3, lengths[s], KV_HEADS, DIM, 4)));
  }
  for (d = 0; d < DIM; ++d)
    q[d] = query[d];
  if (layer == ROTATED)
    rotate(q, position);
  for (n = 0; n <= position; ++n) {
    double score = 0, weight;
    if (!is_visible(layer, n, position, row))
      continue;
    for (d = 0; d < DIM; ++d)
      k[d] = stored_keys[n][head][d];
    if (layer == ROTATED)
      rotate(k, n);
    for (d = 0; d < DIM; ++d)
      score += q[d] * k[d];
    score /= sqrt(DIM);
    weight = exp(layer == SINKS ? kSoftcap * tanh(score / kSoftcap) : score);
    sum += weight;
    for (d = 0; d < DIM; ++d)
      expected[d] += weight * stored_values[n][head][d];
  }
  for (d = 0; d < DIM; ++d)
    worst = fmax(worst, fabs(output[d] - (sum > 0 ? expected[d] / sum : 0)));
  return worst;
}

static void attend(int32_t layer, const int64_t *counts, int64_t total, float (*queries)[HEADS][DIM],
                   float (*output)[HEADS][DIM]) {
  static float rotated[SEQUENCES * 8][HEADS][DIM];
  gqa_attend_arguments arguments;
  tensor q, o, m, k;
  DLTensor *rows = make_tensor(&q, memcpy(rotated, queries, sizeof(rotated)), 3, total, HEADS, DIM, 4);
  if (layer == ROTATED) {
    int64_t positions[SEQUENCES * 8], row = 0, s, i;
    for (s = 0; s < SEQUENCES; ++s)
      for (i = 0; i < counts[s]; ++i)
        positions[row++] = lengths[s] - counts[s] + i;
    check(gqa_cache_rotate(context, cache, layer, positions, rows));
  }
  memset(&arguments, 0, sizeof(arguments));
  arguments.queries = rows;
  arguments.output = make_tensor(&o, output, 3, total, HEADS, DIM, 4);
  if (layer == MASKED || layer == MASKED_RING)
    arguments.mask = make_tensor(&m, mask, 2, total, MOST, 0, 1);
  if (layer == SINKS)
    arguments.sinks = make_tensor(&k, sink_logits, 1, HEADS, 0, 0, 4);
  check(
      gqa_cache_attend(context, cache, artifacts[layer], "attention", layer, sequences, counts, SEQUENCES, &arguments));
}

static void run_rounds(void) {
  static float queries[SEQUENCES * 8][HEADS][DIM], output[SEQUENCES * 8][HEADS][DIM];
  double worst[LAYERS] = {0};
  int round, layer, h;
  for (round = 0; round < ROUNDS; ++round) {
    const int64_t *counts = rounds[round % 3];
    int64_t total = counts[0] + counts[1], s, row, i;
    float *q = &queries[0][0][0];
    uint8_t *hidden = &mask[0][0];
    for (i = 0; i < SEQUENCES * 8 * HEADS * DIM; ++i)
      q[i] = draw();
    /* Half of the keys; nothing at all for one of the rows. */
    for (i = 0; i < SEQUENCES * 8 * MOST; ++i)
      hidden[i] = i >= MOST && draw() > 0;
    append(counts);
    for (layer = 0; layer < LAYERS; ++layer) {
      attend(layer, counts, total, queries, output);
      for (s = 0, row = 0; s < SEQUENCES; ++s)
        for (i = 0; i < counts[s]; ++i, ++row)
          for (h = 0; h < HEADS; ++h)
            worst[layer] = fmax(worst[layer],
                                compare(layer, s, lengths[s] - counts[s] + i, row, h, queries[row][h], output[row][h]));
    }
  }
  for (layer = 0; layer < LAYERS; ++layer)
    printf("%s: %s (%g)\n", names[layer],
           worst[layer] < 3e-6 ? "agrees with the reference" : "DIFFERS from the reference", worst[layer]);
}

/* What an entry needs must be given, and nothing else. */
static void try_errors(void) {
  static float queries[1][HEADS][DIM], output[1][HEADS][DIM];
  gqa_attend_arguments arguments;
  int64_t count = 1;
  tensor q, o, m;
  memset(&arguments, 0, sizeof(arguments));
  arguments.queries = make_tensor(&q, queries, 3, 1, HEADS, DIM, 4);
  arguments.output = make_tensor(&o, output, 3, 1, HEADS, DIM, 4);
#define EXPECT_ERROR(layer)                                                                                            \
  printf("%s: ", gqa_status_name(gqa_cache_attend(context, cache, artifacts[layer], "attention", layer, sequences,     \
                                                  &count, 1, &arguments)));                                            \
  printf("%s\n", gqa_context_message(context))
  EXPECT_ERROR(MASKED);
  EXPECT_ERROR(SINKS);
  arguments.mask = make_tensor(&m, mask, 2, 1, MOST, 0, 1);
  EXPECT_ERROR(ROTATED);
  arguments.mask = make_tensor(&m, mask, 2, 1, 10, 0, 1);
  EXPECT_ERROR(MASKED);
  arguments.mask = make_tensor(&m, mask, 2, 2, MOST, 0, 1);
  EXPECT_ERROR(MASKED);
}

int main(int argc, char **argv) {
  gqa_cache_layer layers[LAYERS];
  gqa_cache_config config;
  int64_t i;
  if (argc != LAYERS + 1 || !(context = gqa_context_create(NULL)))
    return 2;
  for (i = 0; i < KV_HEADS * DIM; ++i)
    (&channel_scales[0][0])[i] = (float)(1 + i % 5) / 127;
  for (i = 0; i < HEADS; ++i)
    sink_logits[i] = 3 * draw();
  memset(layers, 0, sizeof(layers));
  for (i = 0; i < LAYERS; ++i) {
    check(gqa_artifact_load(context, argv[i + 1], &artifacts[i]));
    layers[i].num_kv_heads = KV_HEADS;
    layers[i].key_dim = layers[i].value_dim = DIM;
    layers[i].storage = GQA_CACHE_PAGED;
  }
  layers[CHANNELS].key_type = layers[CHANNELS].value_type = GQA_CACHE_I8;
  layers[CHANNELS].key_channel_scales = &channel_scales[0][0];
  layers[ROTATED].rotary.dim = DIM;
  layers[ROTATED].rotary.pairs = GQA_ROTARY_HALF_SPLIT;
  layers[ROTATED].rotary.theta = kTheta;
  layers[MASKED_RING].storage = GQA_CACHE_RING;
  layers[MASKED_RING].window = WINDOW;
  layers[MASKED_RING].sinks = RING_SINKS;
  layers[MASKED_RING].slack = SLACK;
  memset(&config, 0, sizeof(config));
  config.num_layers = LAYERS;
  config.layers = layers;
  config.max_sequences = SEQUENCES;
  config.max_tokens = SEQUENCES * MOST;
  config.page_size = 16;
  check(gqa_cache_create(context, &config, &cache));
  for (i = 0; i < SEQUENCES; ++i)
    check(gqa_cache_add(context, cache, &sequences[i]));
  for (i = 0; i < SEQUENCES * MOST * KV_HEADS * DIM; ++i) {
    (&keys[0][0][0][0])[i] = draw();
    (&values[0][0][0][0])[i] = draw();
  }
  run_rounds();
  try_errors();
  gqa_cache_destroy(cache);
  for (i = 0; i < LAYERS; ++i)
    gqa_artifact_destroy(artifacts[i]);
  gqa_context_destroy(context);
  return 0;
}
