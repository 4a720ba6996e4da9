/* What gqa-compile would make of a small module for a GPU, by hand:
 *
 *     twice(x: f32[s0, 64]) -> f32[s0, 64]    2 x, by way of the workspace
 *     tiles(x: f32[s0, 64]) -> f32[s0, 64]    x, by a kernel that takes a tensor map
 *
 * The kernels are C, which the fake driver runs (test/unit/cuda/FakeCuda.h). */
#include "runtime/gqa_device.h"
#include "runtime/gqa_host.h"

#include <string.h>

#if defined(__aarch64__)
#define TRIPLE "aarch64-unknown-linux-gnu"
#else
#define TRIPLE "x86_64-unknown-linux-gnu"
#endif

const char gqa_description[] =
    "{\"format\": 1, \"compiler\": \"by hand\","
    " \"target\": {\"triple\": \"" TRIPLE "\", \"cpu\": \"generic\", \"features\": []},"
    " \"device\": {\"kind\": \"cuda\", \"images\": [{\"kind\": \"ptx\", \"arch\": \"sm_90a\"}, {\"kind\": \"ptx\","
    " \"arch\": \"sm_100\"}],"
    "  \"kernels\": [{\"name\": \"stage\", \"image\": 0, \"shared_bytes\": 0},"
    "  {\"name\": \"twice\", \"image\": 0, \"shared_bytes\": 100000},"
    "  {\"name\": \"tiles\", \"image\": 0, \"shared_bytes\": 0}]},"
    " \"entries\": ["
    "  {\"name\": \"twice\", \"device\": \"cuda\", \"arguments\": [{\"type\": \"f32\", \"shape\": [\"s0\", 64]}],"
    "   \"results\": [{\"type\": \"f32\", \"shape\": [\"s0\", 64]}]},"
    "  {\"name\": \"tiles\", \"device\": \"cuda\", \"arguments\": [{\"type\": \"f32\", \"shape\": [\"s0\", 64]}],"
    "   \"results\": [{\"type\": \"f32\", \"shape\": [\"s0\", 64]}]}]}";

#define KERNELS                                                                                                        \
  ".address_size 64\n"                                                                                                 \
  ".visible .entry stage(\n\t.param .u64 .ptr .align 1 stage_param_0,\n\t.param .u64 stage_param_1,\n"                 \
  "\t.param .u32 stage_param_2\n)\n{ ret; }\n"                                                                         \
  ".visible .entry twice(.param .u64 a, .param .u64 b, .param .u32 c) { ret; }\n"                                      \
  ".visible .entry tiles(.param .align 64 .b8 map[128], .param .u64 b, .param .u32 c) { ret; }\n"

static const char hopper[] = "//! kernels: " GQA_KERNELS "\n.version 8.0\n.target sm_90a\n" KERNELS;
static const char blackwell[] = "//! kernels: " GQA_KERNELS "\n.version 8.6\n.target sm_100\n" KERNELS;

const gqa_device_image gqa_device_images[] = {
    {GQA_DEVICE_PTX, 90, 1, 0, hopper, sizeof hopper - 1},
    {GQA_DEVICE_PTX, 100, 0, 0, blackwell, sizeof blackwell - 1},
    {0, 0, 0, 0, 0, 0},
};

/* A memref descriptor of rank 2. */
typedef struct memref {
  char *allocated, *aligned;
  int64_t offset, sizes[2], strides[2];
} memref;

static float *data(const memref *m) { return (float *)m->aligned + m->offset; }

int32_t gqa_shape_twice(const gqa_host *host, void *const *args) {
  const memref *x = args[0], *extents = args[1];
  int64_t *shape = (int64_t *)extents->aligned;
  (void)host;
  shape[0] = x->sizes[0];
  shape[1] = x->sizes[1];
  return 0;
}

int32_t gqa_workspace_twice(const gqa_host *host, void *const *args) {
  const memref *x = args[0], *bytes = args[1];
  (void)host;
  *(int64_t *)bytes->aligned = x->sizes[0] * 64 * 4;
  return 0;
}

int32_t gqa_run_twice(const gqa_host *host, void *const *args) {
  const gqa_device_host *device = host->device;
  const memref *x = args[0], *y = args[1];
  float *from = data(x), *staged = device->workspace, *to = data(y);
  int32_t count = (int32_t)(x->sizes[0] * 64), status;
  void *stage[] = {&from, &staged, &count}, *twice[] = {&staged, &to, &count};
  gqa_device_launch first = {"stage", {x->sizes[0], 1, 1}, {64, 1, 1}, {0, 0, 0}, 0, 0, stage};
  gqa_device_launch second = {"twice", {2 * x->sizes[0], 1, 1}, {32, 1, 1}, {2, 1, 1}, 100000, 0, twice};
  second.flags = GQA_DEVICE_LAUNCH_PROGRAMMATIC;
  status = device->fill(device->state, device->workspace, 0, 4 * (int64_t)count);
  if (status == 0)
    status = device->launch(device->state, &first);
  if (status == 0)
    status = device->launch(device->state, &second);
  return status;
}

int32_t gqa_shape_tiles(const gqa_host *host, void *const *args) { return gqa_shape_twice(host, args); }

int32_t gqa_run_tiles(const gqa_host *host, void *const *args) {
  const gqa_device_host *device = host->device;
  const memref *x = args[0], *y = args[1];
  _Alignas(64) char map[128];
  float *to = data(y);
  int32_t count = (int32_t)(x->sizes[0] * 64), status;
  gqa_device_tensor_map request = {0};
  void *parameters[] = {map, &to, &count};
  gqa_device_launch launch = {"tiles", {x->sizes[0], 1, 1}, {64, 1, 1}, {0, 0, 0}, 0, 0, parameters};
  request.address = data(x);
  request.element_type = 7;
  request.rank = 2;
  request.extents[0] = 64;
  request.extents[1] = x->sizes[0];
  request.strides[1] = x->strides[0] * 4;
  request.box[0] = 32;
  request.box[1] = 1;
  request.element_strides[0] = request.element_strides[1] = 1;
  request.swizzle = 3;
  status = device->encode_tensor_map(device->state, &request, map);
  return status != 0 ? status : device->launch(device->state, &launch);
}

/*--- Kernels --------------------------------------------------------------------------------------------------------*/

#define VALUE(type, index) (*(type *)parameters[index])

void stage(const unsigned *grid, const unsigned *block, void **parameters) {
  (void)grid, (void)block;
  memcpy(VALUE(float *, 1), VALUE(float *, 0), 4 * (size_t)VALUE(int32_t, 2));
}

void twice(const unsigned *grid, const unsigned *block, void **parameters) {
  int32_t i;
  (void)grid, (void)block;
  for (i = 0; i < VALUE(int32_t, 2); ++i)
    VALUE(float *, 1)[i] = 2 * VALUE(float *, 0)[i];
}

void tiles(const unsigned *grid, const unsigned *block, void **parameters) {
  float *from;
  (void)grid, (void)block;
  memcpy(&from, parameters[0], sizeof from);
  memcpy(VALUE(float *, 1), from, 4 * (size_t)VALUE(int32_t, 2));
}
