#include "runtime/emulator/EmulatorState.h"
#include "runtime/emulator/Fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives the processor back until the block's scheduler finds that the thread can go on. */
void gqa_emulator_wait_for(gqa_emulated_thread *thread, const int64_t *generation) {
  thread->awaited = generation;
  thread->seen = *generation;
  gqa_fiber_switch(&thread->stack, thread->block->scheduler);
}

/* The block cannot go on: no thread of it runs again. */
void gqa_emulator_fail(gqa_emulated_thread *thread, const char *message) {
  static const int64_t never = 0;
  thread->block->error = message;
  for (;;)
    gqa_emulator_wait_for(thread, &never);
}

/*--- Instructions of one thread ----------------------------------------------------------------------------------*/

int32_t gqa_emulate_thread_id(gqa_emulated_thread *thread) { return thread->id; }
int32_t gqa_emulate_block_id(gqa_emulated_thread *thread, int32_t axis) { return (int32_t)thread->block->id[axis]; }
void *gqa_emulate_shared_memory(gqa_emulated_thread *thread) { return thread->block->shared; }

void gqa_emulate_barrier(gqa_emulated_thread *thread) {
  Block *block = thread->block;
  if (++block->arrived < block->num_threads) {
    gqa_emulator_wait_for(thread, &block->generation);
    return;
  }
  block->arrived = 0;
  ++block->generation;
}

/* `size` bytes, at a multiple of them. */
static void check_shared(gqa_emulated_thread *thread, const void *address, int32_t size) {
  uintptr_t offset = (uintptr_t)address - (uintptr_t)thread->block->shared;
  if (offset % (uintptr_t)size != 0 || thread->block->shared_bytes < size ||
      offset > (uintptr_t)(thread->block->shared_bytes - size))
    gqa_emulator_fail(thread, "an address is outside of shared memory, or no multiple of what is moved");
}

void gqa_emulate_cp_async(gqa_emulated_thread *thread, void *destination, const void *source, int32_t bytes,
                          int32_t size) {
  check_shared(thread, destination, size);
  if (bytes != 0 && (uintptr_t)source % (uintptr_t)size != 0)
    gqa_emulator_fail(thread, "the source of an asynchronous copy is no multiple of its size");
  if (thread->num_copies == thread->max_copies) {
    int64_t size = thread->max_copies ? 2 * thread->max_copies : 64;
    Copy *copies = realloc(thread->copies, (size_t)size * sizeof *copies);
    if (!copies)
      gqa_emulator_fail(thread, "out of memory");
    thread->copies = copies;
    thread->max_copies = size;
  }
  Copy *copy = &thread->copies[thread->num_copies++];
  copy->destination = destination;
  copy->group = thread->committed;
  copy->size = (size_t)size;
  memset(copy->bytes, 0, sizeof copy->bytes);
  if (bytes != 0)
    memcpy(copy->bytes, source, (size_t)bytes);
  memset(destination, 0xff, copy->size);
}

void gqa_emulate_cp_async_commit(gqa_emulated_thread *thread) { ++thread->committed; }

void gqa_emulate_cp_async_wait(gqa_emulated_thread *thread, int32_t pending) {
  int64_t kept = 0;
  for (int64_t i = 0; i < thread->num_copies; ++i) {
    Copy *copy = &thread->copies[i];
    if (copy->group < thread->committed - pending)
      memcpy(copy->destination, copy->bytes, copy->size);
    else
      thread->copies[kept++] = *copy;
  }
  thread->num_copies = kept;
}

/*--- Instructions of a warp --------------------------------------------------------------------------------------*/

float gqa_emulator_widen(uint32_t pair, int half, int is_bf16) {
  uint32_t bits = (pair >> (16 * half)) & 0xffff;
  if (is_bf16) {
    bits <<= 16;
  } else {
    uint32_t sign = (bits & 0x8000) << 16, exponent = (bits >> 10) & 31, fraction = bits & 0x3ff;
    if (exponent == 0) {
      float value = (float)fraction * 0x1p-24f;
      return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0xffu << 23 : (exponent + 112) << 23) | fraction << 13;
  }
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Element `i` of a word: a half, or the upper 19 bits of the word. */
static double read_element(uint32_t word, int i, Instruction instruction) {
  if (instruction != kMmaTF32)
    return gqa_emulator_widen(word, i, instruction == kMmaBF16);
  float value;
  word &= 0xffffe000;
  memcpy(&value, &word, sizeof value);
  return value;
}

/* a [16, depth] times b [depth, 8], from and to the lanes that hold them. A word has two halves, or one TF32, and a row
   of words eight words, whichever they are. */
static void execute_mma(gqa_emulated_thread *lanes, Instruction instruction) {
  int per_word = instruction == kMmaTF32 ? 1 : 2, depth = 8 * per_word;
  double a[16][16], b[16][8];
  float results[kWarp][4];
  for (int lane = 0; lane < kWarp; ++lane) {
    const uint32_t *words = lanes[lane].slot.words;
    int row = lane / 4, column = per_word * (lane % 4);
    for (int i = 0; i < per_word; ++i) {
      for (int part = 0; part < 4; ++part)
        a[row + 8 * (part % 2)][column + depth / 2 * (part / 2) + i] = read_element(words[part], i, instruction);
      for (int part = 0; part < 2; ++part)
        b[column + depth / 2 * part + i][row] = read_element(words[4 + part], i, instruction);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane)
    for (int i = 0; i < 4; ++i) {
      int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      float init;
      memcpy(&init, &lanes[lane].slot.words[6 + i], sizeof init);
      double sum = init;
      for (int k = 0; k < depth; ++k)
        sum += a[row][k] * b[k][column];
      results[lane][i] = (float)sum;
    }
  for (int lane = 0; lane < kWarp; ++lane)
    memcpy(&lanes[lane].slot.words[6], results[lane], sizeof results[lane]);
}

static void execute_ldmatrix(gqa_emulated_thread *lanes, int is_transposed) {
  for (int lane = 0; lane < kWarp; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix) {
      uint16_t halves[2];
      for (int i = 0; i < 2; ++i) {
        int row = lane / 4, column = 2 * (lane % 4) + i;
        const unsigned char *address = lanes[8 * matrix + (is_transposed ? column : row)].slot.address;
        memcpy(&halves[i], address + 2 * (is_transposed ? row : column), sizeof halves[i]);
      }
      lanes[lane].loaded[matrix] = halves[0] | (uint32_t)halves[1] << 16;
    }
}

static void execute(Warp *warp) {
  gqa_emulated_thread *lanes = warp->lanes;
  switch (warp->instruction) {
  case kShuffle:
    for (int lane = 0; lane < kWarp; ++lane)
      lanes[lane].shuffled = lanes[lane ^ lanes[lane].mask].slot.value;
    break;
  case kLdMatrix:
  case kLdMatrixTransposed:
    execute_ldmatrix(lanes, warp->instruction == kLdMatrixTransposed);
    break;
  case kMmaF16:
  case kMmaBF16:
  case kMmaTF32:
    execute_mma(lanes, warp->instruction);
    break;
  case kNone:
    break;
  }
}

/* The last lane to arrive executes for all. */
static void join(gqa_emulated_thread *thread, Instruction instruction) {
  Warp *warp = thread->warp;
  if (warp->arrived != 0 && warp->instruction != instruction)
    gqa_emulator_fail(thread, "lanes of a warp execute different instructions");
  warp->instruction = instruction;
  if (++warp->arrived < kWarp) {
    gqa_emulator_wait_for(thread, &warp->generation);
    return;
  }
  execute(warp);
  warp->arrived = 0;
  ++warp->generation;
}

float gqa_emulate_shuffle_xor(gqa_emulated_thread *thread, float value, int32_t mask) {
  thread->slot.value = value;
  thread->mask = mask;
  join(thread, kShuffle);
  return thread->shuffled;
}

void gqa_emulate_ldmatrix(gqa_emulated_thread *thread, const void *address, int32_t transpose, uint32_t result[4]) {
  check_shared(thread, address, 16);
  thread->slot.address = address;
  join(thread, transpose ? kLdMatrixTransposed : kLdMatrix);
  memcpy(result, thread->loaded, sizeof thread->loaded);
}

static void multiply(gqa_emulated_thread *thread, uint32_t operands[10], Instruction instruction) {
  memcpy(thread->slot.words, operands, sizeof thread->slot.words);
  join(thread, instruction);
  memcpy(operands + 6, thread->slot.words + 6, 4 * sizeof *operands);
}

void gqa_emulate_mma(gqa_emulated_thread *thread, uint32_t operands[10], int32_t is_bf16) {
  multiply(thread, operands, is_bf16 ? kMmaBF16 : kMmaF16);
}

void gqa_emulate_mma_tf32(gqa_emulated_thread *thread, uint32_t operands[10]) { multiply(thread, operands, kMmaTF32); }

/*--- Blocks ------------------------------------------------------------------------------------------------------*/

static void run_thread(void *argument) {
  static const int64_t never = 0;
  gqa_emulated_thread *thread = argument;
  thread->block->kernel(thread, thread->block->parameters);
  thread->is_done = 1;
  for (;;)
    gqa_emulator_wait_for(thread, &never);
}

/* Runs the threads of a block in turns, those with the highest numbers first, until all are done. */
static int32_t run_block(Block *block, gqa_emulated_thread *threads, Warp *warps, unsigned char *stacks) {
  memset(block->shared, 0xff, (size_t)block->shared_bytes);
  block->arrived = 0;
  block->generation = 0;
  gqa_emulator_reset_hopper(block);
  for (int32_t i = 0; i < block->num_threads; ++i) {
    gqa_emulated_thread *thread = &threads[i];
    thread->block = block;
    thread->warp = &warps[i / kWarp];
    thread->id = i;
    thread->is_done = 0;
    thread->awaited = NULL;
    thread->num_copies = thread->committed = 0;
    thread->stack = gqa_fiber_make(stacks + (size_t)i * kStackBytes, kStackBytes, run_thread, thread);
    thread->warp->lanes = &threads[i / kWarp * kWarp];
    thread->warp->arrived = 0;
  }
  int32_t num_done = 0;
  for (int has_progress = 1; has_progress && !block->error;) {
    has_progress = 0;
    for (int32_t i = block->num_threads - 1; i >= 0 && !block->error; --i) {
      gqa_emulated_thread *thread = &threads[i];
      if (thread->is_done || (thread->awaited && *thread->awaited == thread->seen))
        continue;
      has_progress = 1;
      gqa_fiber_switch(&block->scheduler, thread->stack);
      num_done += thread->is_done;
    }
    /* Boxes arrive when nothing else can happen. */
    if (!has_progress && num_done < block->num_threads)
      has_progress = gqa_emulator_deliver_box(block);
  }
  if (!block->error && block->num_boxes != 0)
    block->error = "a block ended while boxes were copied";
  if (!block->error && num_done < block->num_threads)
    block->error = "threads wait for each other forever";
  if (!block->error)
    return 0;
  fprintf(stderr, "gqa emulator: block (%lld, %lld, %lld): %s\n", (long long)block->id[0], (long long)block->id[1],
          (long long)block->id[2], block->error);
  return kExecutionFailed;
}

int32_t gqa_emulate_launch(gqa_emulated_kernel kernel, const int64_t grid[3], int32_t threads, int32_t shared_bytes,
                           void *const *parameters) {
  Block block = {0};
  block.kernel = kernel;
  block.parameters = parameters;
  block.num_threads = threads;
  block.shared_bytes = shared_bytes;
  size_t count = (size_t)threads;
  gqa_emulated_thread *lanes = calloc(count, sizeof *lanes);
  Warp *warps = calloc(count, sizeof *warps);
  unsigned char *stacks = malloc(count * kStackBytes);
  unsigned char *shared = malloc((size_t)shared_bytes + 1024);
  int32_t status = lanes && warps && stacks && shared ? 0 : kOutOfMemory;
  block.shared = (unsigned char *)(((uintptr_t)shared + 1023) & ~(uintptr_t)1023);
  for (block.id[2] = 0; block.id[2] < grid[2] && status == 0; ++block.id[2])
    for (block.id[1] = 0; block.id[1] < grid[1] && status == 0; ++block.id[1])
      for (block.id[0] = 0; block.id[0] < grid[0] && status == 0; ++block.id[0])
        status = run_block(&block, lanes, warps, stacks);
  if (lanes)
    for (size_t i = 0; i < count; ++i)
      free(lanes[i].copies);
  gqa_emulator_free_hopper(&block);
  free(lanes);
  free(warps);
  free(stacks);
  free(shared);
  return status;
}
