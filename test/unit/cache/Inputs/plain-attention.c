/* What gqa-compile --for-cache would make for two layers of a cache, by hand in plain loops. Unlike compiled code it
 * can be instrumented, so that ThreadSanitizer sees which rows attention reads while others write; and it needs no
 * compiler.
 *
 *     pages(query, key, value, kv_len, block_table)              f32
 *     ring(query, key, value, key_scale, length, block_table)    i8 keys with a scale per token, f32 values
 *
 * Queries are [b, m, hkv, g, dqk], causal; results are the output [b, m, hkv, g, dv] and the lse [b, m, hkv, g]. */
#include "attend-layers.h"
#include "runtime/gqa_host.h"

#include <math.h>

#if defined(__aarch64__)
#define TRIPLE "aarch64-unknown-linux-gnu"
#else
#define TRIPLE "x86_64-unknown-linux-gnu"
#endif

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
/* clang-format off */
#define TENSOR(type, shape) "{\"type\": \"" type "\", \"shape\": [" shape "]}"
#define OPERAND(name, index, dims) "\"" name "\": {\"index\": " #index ", \"dims\": [" dims "]}"
#define ROWS(dim) "\"s0\", \"s1\", " TEXT(KV_HEADS) ", " TEXT(GROUP) dim
#define PAGES(dim) "\"s2\", " TEXT(KV_HEADS) ", " TEXT(PAGE_SIZE) dim
#define PAGE_DIMS(dim) "\"page\", \"hkv\", \"slot\"" dim
#define ROW_DIMS(dim) "\"b\", \"m\", \"hkv\", \"g\"" dim
#define RESULTS                                                                                                        \
  " \"results\": [" TENSOR("f32", ROWS(", " TEXT(VALUE_DIM))) ", " TENSOR("f32", ROWS("")) "]"
#define RESULT_OPERANDS                                                                                                \
  "\"results\": {" OPERAND("output", 0, ROW_DIMS(", \"dv\"")) ", " OPERAND("lse", 1, ROW_DIMS("")) "}"

const char gqa_description[] =
    "{\"format\": 1, \"compiler\": \"by hand\","
    " \"target\": {\"triple\": \"" TRIPLE "\", \"cpu\": \"generic\", \"features\": []},"
    " \"entries\": [{\"name\": \"pages\", \"arguments\": ["
    TENSOR("f32", ROWS(", " TEXT(KEY_DIM))) ", " TENSOR("f32", PAGES(", " TEXT(KEY_DIM))) ", "
    TENSOR("f32", PAGES(", " TEXT(VALUE_DIM))) ", " TENSOR("i32", "\"s0\"") ", " TENSOR("i32", "\"s0\", \"s3\"") "],"
    RESULTS ", \"attention\": {\"arguments\": {"
    OPERAND("query", 0, ROW_DIMS(", \"dqk\"")) ", " OPERAND("key", 1, PAGE_DIMS(", \"dqk\"")) ", "
    OPERAND("value", 2, PAGE_DIMS(", \"dv\"")) ", " OPERAND("kv_len", 3, "\"b\"") ", "
    OPERAND("block_table", 4, "\"b\", \"block\"") "}, " RESULT_OPERANDS "}},"
    " {\"name\": \"ring\", \"arguments\": ["
    TENSOR("f32", ROWS(", " TEXT(KEY_DIM))) ", " TENSOR("i8", PAGES(", " TEXT(KEY_DIM))) ", "
    TENSOR("f32", PAGES(", " TEXT(VALUE_DIM))) ", " TENSOR("f32", PAGES("")) ", " TENSOR("i32", "\"s0\"") ", "
    TENSOR("i32", "\"s0\", \"s3\"") "],"
    RESULTS ", \"attention\": {\"ring_sinks\": " TEXT(SINKS) ", \"ring_slots\": " TEXT(RING_SLOTS) ","
    " \"arguments\": {"
    OPERAND("query", 0, ROW_DIMS(", \"dqk\"")) ", " OPERAND("key", 1, PAGE_DIMS(", \"dqk\"")) ", "
    OPERAND("value", 2, PAGE_DIMS(", \"dv\"")) ", " OPERAND("key_scale", 3, PAGE_DIMS("")) ", "
    OPERAND("length", 4, "\"b\"") ", " OPERAND("block_table", 5, "\"b\", \"block\"") "}, " RESULT_OPERANDS "}}]}";
/* clang-format on */

/* A memref descriptor, opened. */
typedef struct tensor {
  const char *data;
  const int64_t *sizes, *strides; /* strides in elements */
} tensor;

static tensor open_memref(void *memref, int rank, int64_t element) {
  const int64_t *words = memref; /* allocated, aligned, offset, sizes, strides */
  tensor opened = {(const char *)words[1] + words[2] * element, words + 3, words + 3 + rank};
  return opened;
}

static int64_t at(const tensor *t, int64_t i, int64_t j, int64_t k, int64_t l) {
  return i * t->strides[0] + j * t->strides[1] + k * t->strides[2] + l * t->strides[3];
}

typedef struct work {
  const gqa_host *host;
  tensor query, key, value, scale, lengths, table, output, lse;
  int is_ring;
} work;

/* The position of the token in slot `slot` of a sequence of `length` tokens. */
static int64_t get_position(const work *w, int64_t slot, int64_t length) {
  int64_t position = slot;
  if (w->is_ring && slot >= SINKS)
    while (position + RING_SLOTS < length)
      position += RING_SLOTS;
  return position;
}

static float get_score(const work *w, const float *query, int64_t page, int64_t head, int64_t slot) {
  int64_t row = at(&w->key, page, head, slot, 0), d;
  float sum = 0;
  for (d = 0; d < KEY_DIM; ++d)
    sum +=
        query[d] * (w->is_ring ? (float)((const int8_t *)w->key.data)[row + d] : ((const float *)w->key.data)[row + d]);
  if (w->is_ring)
    sum *= ((const float *)w->scale.data)[page * w->scale.strides[0] + head * w->scale.strides[1] + slot];
  return sum / sqrtf(KEY_DIM);
}

/* One query head: `scores` has room for all slots. */
static void attend_head(const work *w, int64_t b, int64_t m, int64_t head, int64_t g, float *scores) {
  int64_t length = ((const int32_t *)w->lengths.data)[b];
  int64_t slots = w->is_ring && length > SINKS + RING_SLOTS ? SINKS + RING_SLOTS : length;
  int64_t query_position = length - w->query.sizes[1] + m, slot, d;
  const int32_t *table = (const int32_t *)w->table.data + b * w->table.strides[0];
  const float *query = (const float *)w->query.data + at(&w->query, b, m, head, g);
  float *output = (float *)w->output.data + at(&w->output, b, m, head, g);
  float greatest = -INFINITY, sum = 0;
  for (slot = 0; slot < slots; ++slot) {
    int64_t position = get_position(w, slot, length);
    int is_seen = position <= query_position && (!w->is_ring || position < SINKS || position > query_position - WINDOW);
    scores[slot] = is_seen ? get_score(w, query, table[slot / PAGE_SIZE], head, slot % PAGE_SIZE) : -INFINITY;
    greatest = fmaxf(greatest, scores[slot]);
  }
  for (d = 0; d < VALUE_DIM; ++d)
    output[d] = 0;
  for (slot = 0; slot < slots; ++slot) {
    const float *value =
        (const float *)w->value.data + at(&w->value, table[slot / PAGE_SIZE], head, slot % PAGE_SIZE, 0);
    float weight = expf(scores[slot] - greatest);
    sum += weight;
    for (d = 0; d < VALUE_DIM && weight > 0; ++d)
      output[d] += weight * value[d];
  }
  for (d = 0; d < VALUE_DIM; ++d)
    output[d] /= sum;
  ((float *)w->lse.data)[at(&w->lse, b, m, head, g)] = greatest + logf(sum);
}

/* A task is one query token and K/V head. */
static void attend_task(void *arg, int64_t index) {
  const work *w = arg;
  int64_t head = index % KV_HEADS, m = index / KV_HEADS % w->query.sizes[1], b = index / KV_HEADS / w->query.sizes[1];
  int64_t room = (w->table.sizes[1] + 1) * PAGE_SIZE * (int64_t)sizeof(float), g;
  float *scores = w->host->allocate(w->host->state, room, 64);
  for (g = 0; g < GROUP && scores; ++g)
    attend_head(w, b, m, head, g, scores);
  w->host->deallocate(w->host->state, scores);
}

static int32_t run(const gqa_host *host, void *const *args, int is_ring) {
  work w = {.host = host, .is_ring = is_ring};
  w.query = open_memref(args[0], 5, 4);
  w.key = open_memref(args[1], 4, is_ring ? 1 : 4);
  w.value = open_memref(args[2], 4, 4);
  if (is_ring)
    w.scale = open_memref(args[3], 3, 4);
  w.lengths = open_memref(args[3 + is_ring], 1, 4);
  w.table = open_memref(args[4 + is_ring], 2, 4);
  w.output = open_memref(args[5 + is_ring], 5, 4);
  w.lse = open_memref(args[6 + is_ring], 4, 4);
  host->parallel_for(host->state, w.query.sizes[0] * w.query.sizes[1] * KV_HEADS, attend_task, &w);
  return 0;
}

int32_t gqa_run_pages(const gqa_host *host, void *const *args) { return run(host, args, 0); }
int32_t gqa_run_ring(const gqa_host *host, void *const *args) { return run(host, args, 1); }

static int32_t write_shapes(void *const *args, int num_inputs) {
  tensor query = open_memref(args[0], 5, 4);
  int result, dim;
  for (result = 0; result < 2; ++result) {
    int64_t *shape = (int64_t *)open_memref(args[num_inputs + result], 1, 8).data;
    for (dim = 0; dim < 4; ++dim)
      shape[dim] = query.sizes[dim];
    if (result == 0)
      shape[4] = VALUE_DIM;
  }
  return 0;
}

int32_t gqa_shape_pages(const gqa_host *host, void *const *args) { return (void)host, write_shapes(args, 5); }
int32_t gqa_shape_ring(const gqa_host *host, void *const *args) { return (void)host, write_shapes(args, 6); }
