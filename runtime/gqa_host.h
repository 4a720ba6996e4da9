/* The callbacks that compiled code needs from whoever calls it. Compiled artifacts depend on this table and on
 * nothing else, so an engine can plug in its own thread pool and allocator. C99. */
#ifndef GQA_HOST_H
#define GQA_HOST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gqa_device_host;

/* The field order is the compiled code's ABI: passes/HostTable.h mirrors it. Append only. */
typedef struct gqa_host {
  /* Calls task(arg, i) once for each i in [0, num_tasks), in any order, on any threads, and returns when all are done.
   */
  void (*parallel_for)(void *state, int64_t num_tasks, void (*task)(void *arg, int64_t index), void *arg);
  /* Returns `bytes` bytes aligned to `alignment` (a power of two), or NULL; never throws. */
  void *(*allocate)(void *state, int64_t bytes, int64_t alignment);
  /* Takes back what allocate returned. */
  void (*deallocate)(void *state, void *pointer);
  /* Receives the text of an error (a failed assertion of the compiled function); the function then returns nonzero. */
  void (*report_error)(void *state, const char *message);
  void *state; /* passed back as the first argument of every callback */
  /* For entries that run on a device (runtime/gqa_device.h); NULL for all others. */
  const struct gqa_device_host *device;
} gqa_host;

/* A compiled entry: see docs/design.md, "Artifact". Returns 0 or a gqa_status. */
typedef int32_t (*gqa_entry)(const gqa_host *host, void *const *args);

#ifdef __cplusplus
}
#endif
#endif /* GQA_HOST_H */
