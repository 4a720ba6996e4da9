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
/* cp.async of 16 bytes, of which `bytes` (0 or 16) are read and the others are zero, its groups and its waits. */
void gqa_emulate_cp_async(gqa_emulated_thread *thread, void *destination, const void *source, int32_t bytes);
void gqa_emulate_cp_async_commit(gqa_emulated_thread *thread);
void gqa_emulate_cp_async_wait(gqa_emulated_thread *thread, int32_t pending);
/* Instructions of a warp, as gqa_gpu.shuffle_xor, gqa_gpu.ldmatrix and gqa_gpu.mma define them. */
float gqa_emulate_shuffle_xor(gqa_emulated_thread *thread, float value, int32_t mask);
void gqa_emulate_ldmatrix(gqa_emulated_thread *thread, const void *address, int32_t transpose, uint32_t result[4]);
/* operands: a0..a3, b0, b1 as pairs of halves, then c0..c3 as f32, which are overwritten. */
void gqa_emulate_mma(gqa_emulated_thread *thread, uint32_t operands[10], int32_t is_bf16);

#ifdef __cplusplus
}
#endif
#endif /* GQA_RUNTIME_EMULATOR_EMULATOR_H */
