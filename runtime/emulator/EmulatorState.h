/* What the parts of the emulator share. C99. */
#ifndef GQA_RUNTIME_EMULATOR_EMULATORSTATE_H
#define GQA_RUNTIME_EMULATOR_EMULATORSTATE_H

#include "runtime/emulator/Emulator.h"

#include <stddef.h>

enum {
  kWarp = 32,
  kWarpgroup = 128,
  kNamedBarriers = 16,
  kStackBytes = 256 * 1024,
  kOperands = 10,
  kExecutionFailed = 7,
  kOutOfMemory = 6
};

/* A copy that has begun. */
typedef struct {
  unsigned char *destination;
  unsigned char bytes[16];
  size_t size;
  int64_t group;
} Copy;

/* An instruction that a warp executes together. */
typedef enum { kNone, kShuffle, kLdMatrix, kLdMatrixTransposed, kMmaF16, kMmaBF16, kMmaTF32 } Instruction;

typedef struct {
  Instruction instruction;
  int32_t arrived;
  int64_t generation; /* instructions that have been executed */
  gqa_emulated_thread *lanes;
} Warp;

/* A barrier with a number. */
typedef struct {
  int32_t arrived;
  int64_t generation;
} NamedBarrier;

/* A box of a tensor that is on its way to shared memory. */
typedef struct {
  const void *map;
  unsigned char *destination, *barrier;
  int32_t coordinates[5];
} Box;

typedef struct Warpgroup Warpgroup;

typedef struct {
  gqa_emulated_kernel kernel;
  void *const *parameters;
  int64_t id[3];
  int32_t num_threads, shared_bytes;
  unsigned char *shared;
  int32_t arrived;
  int64_t generation; /* barriers that have been passed */
  void *scheduler;    /* stack to return to */
  const char *error;
  NamedBarrier barriers[kNamedBarriers];
  Box *boxes;
  int64_t num_boxes, max_boxes;
  Warpgroup *warpgroups; /* of which there are as many as threads fill */
} Block;

struct gqa_emulated_thread {
  Block *block;
  Warp *warp;
  int32_t id;
  int is_done;
  void *stack;
  const int64_t *awaited; /* a generation, or NULL */
  int64_t seen;
  Copy *copies;
  int64_t num_copies, max_copies, committed;
  /* For the warp's instruction: operands, then the lane's results. */
  union {
    uint32_t words[kOperands];
    const unsigned char *address;
    float value;
  } slot;
  float shuffled;
  uint32_t loaded[4];
  int32_t mask;
};

/* Gives the processor back until `*generation` has another value. */
void gqa_emulator_wait_for(gqa_emulated_thread *thread, const int64_t *generation);

/* The block cannot go on: no thread of it runs again. */
void gqa_emulator_fail(gqa_emulated_thread *thread, const char *message);

/* The low or high half of a word as f32. */
float gqa_emulator_widen(uint32_t pair, int half, int is_bf16);

/* Before a block runs, and after all blocks have. */
void gqa_emulator_reset_hopper(Block *block);
void gqa_emulator_reset_warpgroups(Block *block);
void gqa_emulator_free_hopper(Block *block);
void gqa_emulator_free_warpgroups(Block *block);

/* Lets the box that began last arrive; 0 if there is none. */
int gqa_emulator_deliver_box(Block *block);

#endif /* GQA_RUNTIME_EMULATOR_EMULATORSTATE_H */
