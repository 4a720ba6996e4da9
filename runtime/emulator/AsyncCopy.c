/* Tensor maps, copies of boxes (cp.async.bulk.tensor), mbarriers and named barriers of Hopper. What is written here
 * about layouts follows the PTX ISA and the driver's reference, not the compiler. */
#include "runtime/emulator/EmulatorState.h"
#include "runtime/gqa_device.h"

#include <stdlib.h>
#include <string.h>

/*--- Named barriers ------------------------------------------------------------------------------------------------*/

void gqa_emulate_named_barrier(gqa_emulated_thread *thread, int32_t id, int32_t threads, int32_t arrive_only) {
  if (id < 1 || id >= kNamedBarriers)
    gqa_emulator_fail(thread, "a named barrier must have a number from 1 to 15");
  NamedBarrier *barrier = &thread->block->barriers[id];
  if (++barrier->arrived == threads) {
    barrier->arrived = 0;
    ++barrier->generation;
  } else if (barrier->arrived > threads) {
    gqa_emulator_fail(thread, "more threads arrive at a named barrier than it has");
  } else if (!arrive_only) {
    gqa_emulator_wait_for(thread, &barrier->generation);
  }
}

/*--- mbarriers -----------------------------------------------------------------------------------------------------*/

/* What the 64 bits of an mbarrier hold here; on the chip they are opaque. */
typedef struct {
  uint16_t expected, pending;
  uint32_t phase_and_bytes; /* the phase's parity in bit 0, above it announced bytes that have not come, modulo 2^31 */
} MBarrier;

static MBarrier load_barrier(const void *address) {
  MBarrier barrier;
  memcpy(&barrier, address, sizeof barrier);
  return barrier;
}

/* Ends the phase if nothing is missing. */
static void store_barrier(void *address, MBarrier barrier) {
  if (barrier.pending == 0 && barrier.phase_and_bytes >> 1 == 0) {
    barrier.pending = barrier.expected;
    barrier.phase_and_bytes ^= 1;
  }
  memcpy(address, &barrier, sizeof barrier);
}

static void check_barrier(gqa_emulated_thread *thread, const void *address) {
  uintptr_t offset = (uintptr_t)address - (uintptr_t)thread->block->shared;
  if (offset % 8 != 0 || offset + 8 > (uintptr_t)thread->block->shared_bytes)
    gqa_emulator_fail(thread, "an mbarrier is outside of shared memory, or at no multiple of 8");
}

void gqa_emulate_mbarrier_init(gqa_emulated_thread *thread, void *address, int32_t count) {
  check_barrier(thread, address);
  MBarrier barrier = {(uint16_t)count, (uint16_t)count, 0};
  memcpy(address, &barrier, sizeof barrier);
}

static MBarrier load_checked(gqa_emulated_thread *thread, const void *address) {
  check_barrier(thread, address);
  MBarrier barrier = load_barrier(address);
  if (barrier.expected == 0 || barrier.expected == 0xffff)
    gqa_emulator_fail(thread, "an mbarrier is used that is not initialised");
  return barrier;
}

void gqa_emulate_mbarrier_expect(gqa_emulated_thread *thread, void *address, int32_t bytes) {
  MBarrier barrier = load_checked(thread, address);
  if (barrier.pending == 0)
    gqa_emulator_fail(thread, "more threads arrive at an mbarrier than it expects");
  barrier.phase_and_bytes += (uint32_t)bytes << 1;
  --barrier.pending;
  store_barrier(address, barrier);
}

void gqa_emulate_mbarrier_arrive(gqa_emulated_thread *thread, void *address, int8_t predicate) {
  if (predicate)
    gqa_emulate_mbarrier_expect(thread, address, 0);
}

void gqa_emulate_mbarrier_wait(gqa_emulated_thread *thread, void *address, int32_t parity) {
  while ((int32_t)(load_checked(thread, address).phase_and_bytes & 1) == parity)
    gqa_emulator_wait_for(thread, (const int64_t *)address);
}

/*--- Boxes ---------------------------------------------------------------------------------------------------------*/

enum { kElementBytes = 2, kSwizzle128 = 3, kSwizzleSpan = 128, kSwizzleBytes = 1024 };

/* A map, as its 128 bytes hold it. */
typedef struct {
  const unsigned char *address;
  int64_t strides[5];
  uint32_t extents[5];
  int32_t rank;
  uint16_t box[5];
} EncodedMap;

int32_t gqa_emulate_encode_tensor_map(const void *description, void *encoded) {
  enum { kInvalidArgument = 1 };
  const gqa_device_tensor_map *map = description;
  EncodedMap result = {0};
  result.address = map->address;
  result.rank = map->rank;
  if (map->rank < 1 || map->rank > 5 || (uintptr_t)map->address % 16 != 0 || map->swizzle != kSwizzle128 ||
      map->interleave != 0 || map->fill != 0 || (map->element_type != 6 && map->element_type != 9) ||
      map->box[0] * kElementBytes != kSwizzleSpan)
    return kInvalidArgument;
  for (int dim = 0; dim < map->rank; ++dim) {
    if (map->box[dim] < 1 || map->box[dim] > 256 || map->element_strides[dim] != 1 || map->extents[dim] > UINT32_MAX ||
        (dim > 0 && (map->strides[dim] % 16 != 0 || map->strides[dim] < 0 || map->strides[dim] >= (int64_t)1 << 40)))
      return kInvalidArgument;
    result.strides[dim] = dim == 0 ? kElementBytes : map->strides[dim];
    result.extents[dim] = (uint32_t)map->extents[dim];
    result.box[dim] = (uint16_t)map->box[dim];
  }
  memcpy(encoded, &result, sizeof result);
  return 0;
}

static int64_t count_rows(const EncodedMap *map) {
  int64_t rows = 1;
  for (int dim = 1; dim < map->rank; ++dim)
    rows *= map->box[dim];
  return rows;
}

void gqa_emulate_tma_load(gqa_emulated_thread *thread, const void *map, void *destination, void *barrier,
                          const int32_t *coordinates, int32_t rank) {
  Block *block = thread->block;
  EncodedMap encoded;
  memcpy(&encoded, map, sizeof encoded);
  load_checked(thread, barrier);
  uintptr_t offset = (uintptr_t)destination - (uintptr_t)block->shared;
  int64_t bytes = count_rows(&encoded) * kSwizzleSpan;
  if (rank != encoded.rank)
    gqa_emulator_fail(thread, "a box has another rank than its tensor map");
  if (offset % 128 != 0 || offset > (uintptr_t)block->shared_bytes || (int64_t)offset + bytes > block->shared_bytes)
    gqa_emulator_fail(thread, "a box is copied to outside of shared memory, or to no multiple of 128");
  if (block->num_boxes == block->max_boxes) {
    int64_t size = block->max_boxes ? 2 * block->max_boxes : 16;
    Box *boxes = realloc(block->boxes, (size_t)size * sizeof *boxes);
    if (!boxes)
      gqa_emulator_fail(thread, "out of memory");
    block->boxes = boxes;
    block->max_boxes = size;
  }
  Box *box = &block->boxes[block->num_boxes++];
  box->map = map;
  box->destination = destination;
  box->barrier = barrier;
  memset(box->coordinates, 0, sizeof box->coordinates);
  memcpy(box->coordinates, coordinates, (size_t)rank * sizeof *coordinates);
  memset(destination, 0xff, (size_t)bytes);
}

/* Element (i, row) of the box, innermost first, lies 128 bytes * row + 2 * i from the destination; with the 128-byte
 * swizzle, bits 4 to 6 of its address in shared memory are those xor bits 7 to 9. */
static void copy_row(const Block *block, const EncodedMap *map, const Box *box, int64_t row) {
  const unsigned char *source = map->address;
  int is_inside = 1;
  int64_t rest = row;
  for (int dim = 1; dim < map->rank; ++dim) {
    int64_t index = box->coordinates[dim] + rest % map->box[dim];
    rest /= map->box[dim];
    is_inside = is_inside && index >= 0 && index < (int64_t)map->extents[dim];
    source += index * map->strides[dim];
  }
  uintptr_t base = (uintptr_t)(box->destination - block->shared) + (uintptr_t)row * kSwizzleSpan;
  for (int i = 0; i < kSwizzleSpan / kElementBytes; ++i) {
    int64_t column = (int64_t)box->coordinates[0] + i;
    unsigned char element[kElementBytes] = {0};
    if (is_inside && column >= 0 && column < (int64_t)map->extents[0])
      memcpy(element, source + column * kElementBytes, sizeof element);
    uintptr_t address = base + (uintptr_t)i * kElementBytes;
    address ^= ((address >> 7) & 7) << 4;
    memcpy(block->shared + address, element, sizeof element);
  }
}

int gqa_emulator_deliver_box(Block *block) {
  if (block->num_boxes == 0)
    return 0;
  Box box = block->boxes[--block->num_boxes];
  EncodedMap map;
  memcpy(&map, box.map, sizeof map);
  int64_t rows = count_rows(&map);
  for (int64_t row = 0; row < rows; ++row)
    copy_row(block, &map, &box, row);
  MBarrier barrier = load_barrier(box.barrier);
  barrier.phase_and_bytes -= (uint32_t)(rows * kSwizzleSpan) << 1;
  store_barrier(box.barrier, barrier);
  return 1;
}

void gqa_emulator_reset_hopper(Block *block) {
  memset(block->barriers, 0, sizeof block->barriers);
  block->num_boxes = 0;
  gqa_emulator_reset_warpgroups(block);
}

void gqa_emulator_free_hopper(Block *block) {
  free(block->boxes);
  gqa_emulator_free_warpgroups(block);
}
