/* A functional emulator for kernels made by gqa-compile --emulate: it runs the device code of an artifact on the CPU,
 * lane by lane, as its blocks and warps would. It is linked into such artifacts, and depends on libc alone. C99.
 *
 * It is strict where a chip is lucky: asynchronous copies arrive as late as they may, and what they will overwrite is
 * NaN until then; shared memory begins as NaN; addresses outside of shared memory, lanes that do not take part in a
 * warp's instruction and blocks that can never go on are errors. */
#ifndef GQA_RUNTIME_EMULATOR_EMULATOR_H
#define GQA_RUNTIME_EMULATOR_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One thread of the device; the first argument of kernels and of all functions below. */
typedef struct gqa_emulated_thread gqa_emulated_thread;

typedef void (*gqa_emulated_kernel)(gqa_emulated_thread *thread, void *const *parameters);

/* Runs a grid of blocks; parameters[i] points to the value of parameter i. Returns 0 or a gqa_status. */
int32_t gqa_emulate_launch(gqa_emulated_kernel kernel, const int64_t grid[3], int32_t threads, int32_t shared_bytes,
                           void *const *parameters);

int32_t gqa_emulate_thread_id(gqa_emulated_thread *thread);
int32_t gqa_emulate_block_id(gqa_emulated_thread *thread, int32_t axis);
void *gqa_emulate_shared_memory(gqa_emulated_thread *thread);
/* Waits for all threads of the block. */
void gqa_emulate_barrier(gqa_emulated_thread *thread);
/* cp.async of `size` (4, 8 or 16) bytes, of which `bytes` (0 or all) are read and the others are zero, its groups and
 * its waits. */
void gqa_emulate_cp_async(gqa_emulated_thread *thread, void *destination, const void *source, int32_t bytes,
                          int32_t size);
void gqa_emulate_cp_async_commit(gqa_emulated_thread *thread);
void gqa_emulate_cp_async_wait(gqa_emulated_thread *thread, int32_t pending);
/* Instructions of a warp, as gqa_gpu.shuffle_xor, ldmatrix, mma and mma_tf32 define them. */
float gqa_emulate_shuffle_xor(gqa_emulated_thread *thread, float value, int32_t mask);
void gqa_emulate_ldmatrix(gqa_emulated_thread *thread, const void *address, int32_t transpose, uint32_t result[4]);
/* operands: a0..a3, b0, b1 as pairs of halves, then c0..c3 as f32, which are overwritten. */
void gqa_emulate_mma(gqa_emulated_thread *thread, uint32_t operands[10], int32_t is_bf16);
/* operands: a0..a3, b0, b1, c0..c3 as f32. */
void gqa_emulate_mma_tf32(gqa_emulated_thread *thread, uint32_t operands[10]);

/* Hopper (sm_90a), as gqa_gpu defines it. */

/* Encodes a gqa_device_tensor_map (runtime/gqa_device.h) into 128 bytes. Returns 0 or a gqa_status. */
int32_t gqa_emulate_encode_tensor_map(const void *map, void *encoded);
int32_t gqa_emulate_warpgroup_id(gqa_emulated_thread *thread);
int32_t gqa_emulate_shared_offset(gqa_emulated_thread *thread, const void *address);
void gqa_emulate_named_barrier(gqa_emulated_thread *thread, int32_t id, int32_t threads, int32_t arrive_only);
void gqa_emulate_mbarrier_init(gqa_emulated_thread *thread, void *barrier, int32_t count);
void gqa_emulate_mbarrier_arrive(gqa_emulated_thread *thread, void *barrier, int8_t predicate);
void gqa_emulate_mbarrier_expect(gqa_emulated_thread *thread, void *barrier, int32_t bytes);
void gqa_emulate_mbarrier_wait(gqa_emulated_thread *thread, void *barrier, int32_t parity);
void gqa_emulate_tma_load(gqa_emulated_thread *thread, const void *map, void *destination, void *barrier,
                          const int32_t *coordinates, int32_t rank);

/* wgmma.mma_async.m64nNk16 with f32 accumulators. */
typedef enum gqa_emulated_wgmma_flags {
  GQA_EMULATED_BF16 = 1,
  GQA_EMULATED_A_IN_REGISTERS = 2,
  GQA_EMULATED_TRANSPOSE_B = 4,
  GQA_EMULATED_ACCUMULATE = 8
} gqa_emulated_wgmma_flags;

/* `accumulators`: the n / 2 of this lane, which become unusable until a wait. `a`: four words, if they are in
 * registers. */
void gqa_emulate_wgmma(gqa_emulated_thread *thread, float *accumulators, const uint32_t *a, uint64_t a_descriptor,
                       uint64_t b_descriptor, int32_t n, int32_t flags);
void gqa_emulate_wgmma_commit(gqa_emulated_thread *thread);
/* Replaces those of `count` values that are accumulators of finished groups. */
void gqa_emulate_wgmma_wait(gqa_emulated_thread *thread, int32_t pending, float *values, int32_t count);

#ifdef __cplusplus
}
#endif
#endif /* GQA_RUNTIME_EMULATOR_EMULATOR_H */
