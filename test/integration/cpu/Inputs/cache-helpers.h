/* What the C programs of the tests of caches have in common. */
#ifndef CACHE_HELPERS_H
#define CACHE_HELPERS_H

#include "runtime/gqa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gqa_context *context;

/* Ends the program with the message of a call that has failed. */
static inline void check(gqa_status status) {
  if (status == GQA_OK)
    return;
  fprintf(stderr, "%s: %s\n", gqa_status_name(status), gqa_context_message(context));
  exit(1);
}

typedef struct tensor {
  DLTensor dl;
  int64_t shape[4], strides[4];
} tensor;

/* A tensor of f32, or of bytes, over `data`; without `strides` it is dense. */
static inline DLTensor *make_strided(tensor *t, const void *data, int bytes, int rank, const int64_t *shape,
                                     const int64_t *strides) {
  memset(t, 0, sizeof(*t));
  memcpy(t->shape, shape, (size_t)rank * sizeof(int64_t));
  t->dl.data = (void *)data;
  t->dl.device.device_type = kDLCPU;
  t->dl.ndim = rank;
  t->dl.dtype.code = bytes == 1 ? kDLUInt : kDLFloat;
  t->dl.dtype.bits = (uint8_t)(8 * bytes);
  t->dl.dtype.lanes = 1;
  t->dl.shape = t->shape;
  if (strides) {
    memcpy(t->strides, strides, (size_t)rank * sizeof(int64_t));
    t->dl.strides = t->strides;
  }
  return &t->dl;
}

/* A dense tensor with the first `rank` of the extents. */
static inline DLTensor *make_tensor(tensor *t, const void *data, int rank, int64_t a, int64_t b, int64_t c, int bytes) {
  int64_t shape[3] = {0};
  shape[0] = a;
  shape[1] = b;
  shape[2] = c;
  return make_strided(t, data, bytes, rank, shape, NULL);
}

#endif
