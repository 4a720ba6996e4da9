/* Another project, in C, that calls a compiled attention. All keys are 0, so the output is the mean of the values. */
#include "runtime/gqa.h"

#include <math.h>
#include <stdio.h>

enum { HEADS = 2, KEYS = 4, DIM = 16 };

static DLTensor matrix(float *data, int64_t *shape) {
  DLTensor tensor = {0};
  tensor.data = data;
  tensor.device.device_type = kDLCPU;
  tensor.ndim = 2;
  tensor.dtype.code = kDLFloat;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  return tensor;
}

int main(int argc, char **argv) {
  static float query[HEADS * DIM], key[KEYS * DIM], value[KEYS * DIM], output[HEADS * DIM];
  int64_t query_shape[2] = {HEADS, DIM}, key_shape[2] = {KEYS, DIM};
  DLTensor q = matrix(query, query_shape), k = matrix(key, key_shape), v = matrix(value, key_shape);
  DLTensor o = matrix(output, query_shape);
  const DLTensor *inputs[3] = {&q, &k, &v};
  DLTensor *outputs[1] = {&o};
  gqa_context *context = gqa_context_create(NULL);
  gqa_artifact *artifact = NULL;
  int i;

  if (argc != 2 || !context)
    return 2;
  for (i = 0; i < HEADS * DIM; ++i)
    query[i] = (float)i;
  for (i = 0; i < KEYS * DIM; ++i)
    value[i] = (float)(i / DIM); /* 0, 1, 2, 3: the mean is 1.5 */

  if (gqa_artifact_load(context, argv[1], &artifact) != GQA_OK ||
      gqa_call(context, artifact, "attention", inputs, 3, outputs, 1) != GQA_OK) {
    fprintf(stderr, "%s\n", gqa_context_message(context));
    return 1;
  }
  for (i = 0; i < HEADS * DIM; ++i)
    if (fabsf(output[i] - 1.5f) > 1e-6f) {
      fprintf(stderr, "output %d is %f\n", i, output[i]);
      return 1;
    }
  printf("output: %g\n", output[0]);
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  return 0;
}
