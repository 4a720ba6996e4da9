/* What compiled code asks of its caller to run on a CUDA device. A device entry of an artifact is host code that
 * computes grids, tensor maps and kernel parameters, and starts its kernels through this table; it never touches the
 * driver itself. docs/gpu.md, "Device code in an artifact". C99. */
#ifndef GQA_DEVICE_H
#define GQA_DEVICE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One launch of a kernel. */
typedef struct gqa_device_launch {
  const char *kernel;      /* its name in the image, NUL-terminated */
  int64_t grid[3];         /* blocks in x, y, z; a grid with a 0 launches nothing */
  int32_t block[3];        /* threads in x, y, z */
  int32_t cluster[3];      /* blocks of a cluster in x, y, z; 0, 0, 0: no clusters */
  int32_t shared_bytes;    /* dynamic shared memory of a block */
  int32_t flags;           /* bits of gqa_device_launch_flags */
  void *const *parameters; /* the address of each parameter's value, in order */
} gqa_device_launch;

typedef enum gqa_device_launch_flags {
  /* The kernel may start before the one before it on the stream ends, and waits for it by griddepcontrol. */
  GQA_DEVICE_LAUNCH_PROGRAMMATIC = 1
} gqa_device_launch_flags;

/* A tiled tensor map (TMA descriptor). Dimensions count from the innermost one. The numbers of element_type,
 * interleave, swizzle, l2_promotion and fill are those of the driver's enumerations, e.g. bf16 9, f16 6; 128-byte
 * swizzle 3. Of a tensor without elements the map is that of one element, at coordinates 0, which must not be read. */
typedef struct gqa_device_tensor_map {
  void *address; /* device memory, a multiple of 16 bytes */
  int32_t element_type;
  int32_t rank;               /* 1 to 5 */
  int64_t extents[5];         /* elements */
  int64_t strides[5];         /* bytes; strides[0], of the innermost dimension, is not used */
  int32_t box[5];             /* elements of the tile that one copy moves */
  int32_t element_strides[5]; /* 1 for dense boxes */
  int32_t interleave, swizzle, l2_promotion, fill;
} gqa_device_tensor_map;

/* The field order is the compiled code's ABI. Append only. Functions return 0 or a gqa_status, which the entry returns
 * in turn; the message is the runtime's. */
typedef struct gqa_device_host {
  void *state; /* first argument of every callback */
  /* Starts a kernel on the caller's stream; returns without waiting for it. */
  int32_t (*launch)(void *state, const gqa_device_launch *launch);
  /* Encodes a tensor map into 128 bytes at a multiple of 64, which then go to a kernel by value. */
  int32_t (*encode_tensor_map)(void *state, const gqa_device_tensor_map *map, void *encoded);
  /* Sets `bytes` bytes of device memory to `value`, on the caller's stream. */
  int32_t (*fill)(void *state, void *address, int32_t value, int64_t bytes);
  void *workspace;         /* device memory, a multiple of 256 bytes, for this call alone; what it holds is undefined */
  int64_t workspace_bytes; /* at least what gqa_workspace_<entry> reported for these arguments */
  int32_t multiprocessors; /* of the device */
  int32_t compute_capability; /* of the device: 10 * major + minor, e.g. 90 */
  int32_t image;              /* index in gqa_device_images of the image that the kernels come from */
} gqa_device_host;

/* One compiled form of all kernels of an artifact. */
typedef enum gqa_device_image_kind { GQA_DEVICE_CUBIN = 1, GQA_DEVICE_PTX = 2 } gqa_device_image_kind;

typedef struct gqa_device_image {
  int32_t kind;                     /* gqa_device_image_kind; 0 ends the list */
  int32_t compute_capability;       /* that it was made for: 10 * major + minor */
  int32_t is_architecture_specific; /* 1 for sm_90a and its like, which run on exactly that capability */
  int32_t reserved;
  const void *data; /* PTX is NUL-terminated */
  int64_t bytes;    /* without that NUL */
} gqa_device_image;

#ifdef __cplusplus
}
#endif
#endif /* GQA_DEVICE_H */
