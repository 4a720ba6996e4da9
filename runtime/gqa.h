/* The C interface of the gqa runtime: load artifacts that gqa-compile wrote, and call their entries on DLPack tensors.
 *
 * Every function that can fail returns a gqa_status; the text of the last failure is in the context. Nothing throws or
 * aborts, and there is no global state. A context is used by one thread at a time; an artifact may be shared by any
 * number of contexts and threads. C99. */
#ifndef GQA_H
#define GQA_H

#include <dlpack/dlpack.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(GQA_BUILDING_RUNTIME)
#define GQA_API __attribute__((visibility("default")))
#else
#define GQA_API
#endif

/* The version of this interface. A library serves callers that were built with the same major version and the same or
 * an older minor version: a minor version adds functions, status codes and values of enumerations; what changes or
 * removes one, or changes the layout of a struct, is a major version. While the major version is 0, minor versions
 * count as major ones. gqa_version() tells a program which library it has met. */
#define GQA_API_VERSION_MAJOR 0
#define GQA_API_VERSION_MINOR 4

typedef enum gqa_status {
  GQA_OK = 0,
  GQA_INVALID_ARGUMENT = 1,   /* a null pointer, a wrong rank, extent, type, stride or device */
  GQA_NOT_FOUND = 2,          /* no such file or entry */
  GQA_IO_ERROR = 3,           /* a file cannot be read or written */
  GQA_BAD_ARTIFACT = 4,       /* not an artifact, truncated, damaged, or of another format version */
  GQA_UNSUPPORTED_TARGET = 5, /* the artifact needs CPU features that this machine lacks */
  GQA_OUT_OF_MEMORY = 6,
  GQA_EXECUTION_FAILED = 7, /* an assertion of the compiled function failed, or a callback has thrown */
  GQA_INTERNAL_ERROR = 8,
  GQA_BAD_CACHE_FILE = 9, /* not a saved sequence, truncated, damaged, or of a cache with other layers */
  GQA_NO_DEVICE = 10,     /* no CUDA driver, no device, or none with this number */
  GQA_DEVICE_ERROR = 11   /* a function of the CUDA driver failed; the message has the driver's name of the error */
} gqa_status;

/* The name of a status, e.g. "out of memory". */
GQA_API const char *gqa_status_name(gqa_status status);

/* The version of the library as GQA_API_VERSION_MAJOR * 1000 + GQA_API_VERSION_MINOR. */
GQA_API int32_t gqa_version(void);

/*--- Contexts -------------------------------------------------------------------------------------------------------*/

typedef struct gqa_context gqa_context;

/* How a context runs tasks and gets memory. Callbacks that are NULL are the library's own: OpenMP, aligned_alloc, free.
 * allocate and deallocate are given together. Tasks allocate, so these two are called from several threads at once.
 * Callbacks written in C++ may throw: an allocate that throws counts as NULL, a parallel_for that throws makes the call
 * fail with GQA_EXECUTION_FAILED (no task may run any more by then). */
typedef struct gqa_options {
  void *state;         /* first argument of every callback */
  int32_t num_threads; /* for the library's own parallel-for; 0: as many as OpenMP gives */
  /* Calls task(arg, i) for each i in [0, num_tasks), on any threads, and returns when all are done. */
  void (*parallel_for)(void *state, int64_t num_tasks, void (*task)(void *arg, int64_t index), void *arg);
  /* `bytes` bytes at a multiple of `alignment` (a power of two), or NULL. */
  void *(*allocate)(void *state, int64_t bytes, int64_t alignment);
  void (*deallocate)(void *state, void *pointer);
} gqa_options;

/* `options` may be NULL. Returns NULL if memory is out or the options are inconsistent. */
GQA_API gqa_context *gqa_context_create(const gqa_options *options);
GQA_API void gqa_context_destroy(gqa_context *context); /* NULL is allowed */

/* Changes the number of threads of the library's own parallel-for; 0: as many as OpenMP gives. */
GQA_API gqa_status gqa_context_set_num_threads(gqa_context *context, int32_t num_threads);

/* Where calls on devices run: on `stream`, a CUstream or cudaStream_t of the tensors' device (NULL: the default
 * stream), with `workspace`, device memory of `bytes` bytes at a multiple of 256, which nothing else may use until the
 * calls on the stream are over. Both stay until they are set again. */
GQA_API gqa_status gqa_context_set_stream(gqa_context *context, void *stream);
GQA_API gqa_status gqa_context_set_workspace(gqa_context *context, void *workspace, int64_t bytes);

/* The message of the last failed call with this context, one line; "" if there was none. Valid until the next call. */
GQA_API const char *gqa_context_message(const gqa_context *context);

/*--- Artifacts ------------------------------------------------------------------------------------------------------*/

typedef struct gqa_artifact gqa_artifact;

/* Loads the artifact at `path`. Its checksum is verified before any of it is mapped for execution. An artifact for
 * another CPU loads, so that it can be described; it cannot be called. */
GQA_API gqa_status gqa_artifact_load(gqa_context *context, const char *path, gqa_artifact **artifact);
GQA_API void gqa_artifact_destroy(gqa_artifact *artifact); /* NULL is allowed */

/* The description of the artifact as JSON (docs/design.md, "Artifact"). Valid as long as the artifact. */
GQA_API const char *gqa_artifact_description(const gqa_artifact *artifact);

/* GQA_OK if this machine can run the artifact, on CUDA device 0 if it is for such devices; else GQA_UNSUPPORTED_TARGET
 * or GQA_NO_DEVICE, and the message names what is missing. */
GQA_API gqa_status gqa_artifact_can_run(gqa_context *context, const gqa_artifact *artifact);

/* The same for one device: {kDLCPU, 0} or {kDLCUDA, number}. */
GQA_API gqa_status gqa_artifact_can_run_on(gqa_context *context, const gqa_artifact *artifact, DLDevice device);

/* The number of entries and their names, in the order of the module. NULL if `index` is out of range. */
GQA_API int32_t gqa_artifact_num_entries(const gqa_artifact *artifact);
GQA_API const char *gqa_artifact_entry_name(const gqa_artifact *artifact, int32_t index);

/* What the artifact's host code needs: a target triple, and CPU features under LLVM's names. NULL for no artifact, or
 * if `index` is out of range. gqa_artifact_can_run() compares them with this machine. */
GQA_API const char *gqa_artifact_target(const gqa_artifact *artifact);
GQA_API int32_t gqa_artifact_num_cpu_features(const gqa_artifact *artifact);
GQA_API const char *gqa_artifact_cpu_feature(const gqa_artifact *artifact, int32_t index);

#define GQA_MAX_RANK 16

/* An argument or result of an entry. Strings live as long as the artifact. */
typedef struct gqa_tensor_type {
  const char *name; /* if the entry is one gqa.attention, its operand: "query", "key", "block_table", ..., "output",
                       "lse"; else "" */
  const char *type; /* the element type, in MLIR's words: "f32", "bf16", "i1", ... */
  DLDataType dtype; /* the same; i1 is bytes, 0 or 1 (code 6) */
  int32_t rank;
  int64_t shape[GQA_MAX_RANK];       /* -1: what the caller's tensors say */
  const char *symbols[GQA_MAX_RANK]; /* where shape is -1: equal names stand for equal extents, "?" for one that only
                                        gqa_result_shape() knows; else "" */
} gqa_tensor_type;

/* How many arguments and results an entry has; either may be NULL. */
GQA_API gqa_status gqa_entry_size(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                  int32_t *num_arguments, int32_t *num_results);

/* What argument or result `index` of an entry is. GQA_NOT_FOUND if there is no such entry or index. */
GQA_API gqa_status gqa_entry_argument(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                      int32_t index, gqa_tensor_type *type);
GQA_API gqa_status gqa_entry_result(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                    int32_t index, gqa_tensor_type *type);

/*--- Calls ----------------------------------------------------------------------------------------------------------*/

/* The rank of result `result` of an entry for these inputs, and its extents in `shape` (room for `capacity`; rank may
 * be larger, then only the first `capacity` are written). Only the inputs' types, shapes and strides are used. */
GQA_API gqa_status gqa_result_shape(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                    const DLTensor *const *inputs, int32_t num_inputs, int32_t result, int64_t *shape,
                                    int32_t capacity, int32_t *rank);

/* The bytes of workspace that a call of an entry with these inputs needs on their device: 0 if it runs on the CPU.
 * Loads the entry's kernels there, if this is the first call; so after it gqa_call may be captured into a CUDA graph.
 */
GQA_API gqa_status gqa_workspace_size(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                                      const DLTensor *const *inputs, int32_t num_inputs, int64_t *bytes);

/* Calls an entry. Tensors are in CPU memory, or all on one CUDA device if the entry is for such devices, may have any
 * strides but 1 in the innermost dimension, and are aligned to their element type; outputs have the shapes that
 * gqa_result_shape reports and share no memory with inputs or each other, nor elements among themselves. Booleans are
 * bytes, 0 or 1. Scalars are tensors of rank 0. When the call fails, outputs hold no result.
 *
 * On a device the call starts kernels on the context's stream and returns: it waits for nothing, allocates nothing on
 * the device, and reads no tensor on the host, so that it can be captured into a CUDA graph (gqa_workspace_size loads
 * what must be loaded before). Errors of kernels appear where the stream is waited for. */
GQA_API gqa_status gqa_call(gqa_context *context, const gqa_artifact *artifact, const char *entry,
                            const DLTensor *const *inputs, int32_t num_inputs, DLTensor *const *outputs,
                            int32_t num_outputs);

#ifdef __cplusplus
}
#endif

#include "runtime/gqa_cache.h"

#endif /* GQA_H */
