/* See ../peak-memory.test: calls attention(q, k, v) of an artifact and prints what the call allocated at its peak, by
 * the context's allocator and by the operating system. */
#include "runtime/gqa.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { Q_HEADS = 32, KV_HEADS = 8, TOKENS = 8192, DIM = 128, HEADER = 64 };

typedef struct counter {
  int64_t current, peak;
} counter;

/* The size lies before the block. One thread allocates at a time: calls allocate outside of tasks only, or in tasks of
 * one thread, which is what the context has. */
static void *allocate(void *state, int64_t bytes, int64_t alignment) {
  counter *count = state;
  int64_t offset = alignment > HEADER ? alignment : HEADER;
  char *block = aligned_alloc((size_t)offset, (size_t)((bytes + 2 * offset - 1) / offset * offset));
  if (!block)
    return NULL;
  char *data = block + offset;
  memcpy(data - 2 * sizeof(int64_t), &bytes, sizeof(bytes));
  memcpy(data - sizeof(int64_t), &offset, sizeof(offset));
  count->current += bytes;
  if (count->current > count->peak)
    count->peak = count->current;
  return data;
}

static void deallocate(void *state, void *pointer) {
  counter *count = state;
  char *data = pointer;
  int64_t bytes, offset;
  if (!data)
    return;
  memcpy(&bytes, data - 2 * sizeof(int64_t), sizeof(bytes));
  memcpy(&offset, data - sizeof(int64_t), sizeof(offset));
  count->current -= bytes;
  free(data - offset);
}

static gqa_context *context;

static void check(gqa_status status) {
  if (status == GQA_OK)
    return;
  fprintf(stderr, "%s: %s\n", gqa_status_name(status), gqa_context_message(context));
  exit(1);
}

static int64_t shapes[4][4] = {
    {1, Q_HEADS, TOKENS, DIM}, {1, KV_HEADS, TOKENS, DIM}, {1, KV_HEADS, TOKENS, DIM}, {1, Q_HEADS, TOKENS, DIM}};

/* [1, heads, TOKENS, DIM] of small numbers that differ by head and position. */
static DLTensor make_tensor(int64_t *shape) {
  DLTensor tensor;
  int64_t count = shape[1] * shape[2] * shape[3], i;
  float *data = malloc((size_t)count * sizeof(float));
  memset(&tensor, 0, sizeof(tensor));
  for (i = 0; i < count; ++i)
    data[i] = (float)((i * 2654435761u >> 7) % 2048) / 1024.0f - 1.0f;
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = 4;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  return tensor;
}

/* The greatest resident set so far, in bytes. */
static int64_t get_peak_resident(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (int64_t)usage.ru_maxrss * 1024;
}

int main(int argc, char **argv) {
  static counter count;
  static DLTensor tensors[4];
  const DLTensor *inputs[3];
  DLTensor *results[1];
  gqa_options options;
  gqa_artifact *artifact = NULL;
  int64_t kv_bytes = 2ll * KV_HEADS * TOKENS * DIM * 4, before, grown;
  /* The result may be staged once. */
  int64_t bound = 11ll * Q_HEADS * TOKENS * DIM * 4 / 10;
  int i;
  if (argc != 2)
    return 2;
  memset(&options, 0, sizeof(options));
  options.state = &count;
  options.num_threads = 1;
  options.allocate = allocate;
  options.deallocate = deallocate;
  context = gqa_context_create(&options);
  if (!context)
    return 1;
  check(gqa_artifact_load(context, argv[1], &artifact));
  for (i = 0; i < 4; ++i)
    tensors[i] = make_tensor(shapes[i]);
  for (i = 0; i < 3; ++i)
    inputs[i] = &tensors[i];
  results[0] = &tensors[3];
  before = get_peak_resident();
  check(gqa_call(context, artifact, "attention", inputs, 3, results, 1));
  grown = get_peak_resident() - before;
  printf("K and V: %.1f MB, repeated %.1f MB, scores %.1f MB\n", kv_bytes / 1e6, kv_bytes / 1e6 * Q_HEADS / KV_HEADS,
         4e-6 * Q_HEADS * TOKENS * TOKENS);
  printf("the call allocated at most %.3f MB, and the resident set grew by %.3f MB\n", count.peak / 1e6, grown / 1e6);
  printf("%s\n",
         count.peak < bound && grown < bound ? "no score matrix existed, nor K and V repeated together" : "too much");
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  for (i = 0; i < 4; ++i)
    free(tensors[i].data);
  return count.peak < bound && grown < bound ? 0 : 1;
}
