/* wgmma: products of a warpgroup, which read shared memory and deliver accumulators at some time before a wait. Here
 * they do so in the wait, which is as late as a chip may. Until then accumulators are NaN with the number of their
 * product, by which a wait finds what to put in their place; whoever uses them earlier gets NaN.
 *
 * Layouts follow the PTX ISA ("Asynchronous Warpgroup Level Matrix Instructions": fragments, matrix descriptors,
 * canonical layouts of swizzled matrices), not the compiler. */
#include "runtime/emulator/EmulatorState.h"

#include <stdlib.h>
#include <string.h>

enum { kMaxSteps = 32, kProducts = 4, kMaxColumns = 256, kRows = 64, kDepth = 16 };
enum { kNumberBits = 15, kIndexBits = 7 };

/* One instruction. */
typedef struct {
  uint32_t a[kWarpgroup][4];
  uint64_t a_descriptor, b_descriptor;
  int32_t flags;
  int64_t group;
} Step;

/* A chain of instructions with the same accumulators. */
typedef struct {
  uint32_t number;
  int32_t n, num_steps, num_done;
  float accumulators[kWarpgroup][kMaxColumns / 2];
  Step steps[kMaxSteps];
} Product;

struct Warpgroup {
  int32_t arrived, n, flags;
  int64_t generation, committed;
  uint64_t a_descriptor, b_descriptor;
  float *lanes[kWarpgroup];
  const uint32_t *a[kWarpgroup];
  uint32_t next_number;
  Product *products; /* kProducts, in turn */
};

void gqa_emulator_reset_warpgroups(Block *block) {
  if (!block->warpgroups)
    return;
  for (int i = 0; i < block->num_threads / kWarpgroup; ++i) {
    Product *products = block->warpgroups[i].products;
    memset(&block->warpgroups[i], 0, sizeof(Warpgroup));
    block->warpgroups[i].products = products;
    if (products)
      for (int j = 0; j < kProducts; ++j)
        products[j].num_steps = products[j].num_done = 0;
  }
}

void gqa_emulator_free_warpgroups(Block *block) {
  if (!block->warpgroups)
    return;
  for (int i = 0; i < block->num_threads / kWarpgroup; ++i)
    free(block->warpgroups[i].products);
  free(block->warpgroups);
}

static Warpgroup *get_warpgroup(gqa_emulated_thread *thread) {
  Block *block = thread->block;
  int32_t number = thread->id / kWarpgroup;
  if ((number + 1) * kWarpgroup > block->num_threads)
    gqa_emulator_fail(thread, "a warpgroup needs 128 threads");
  if (!block->warpgroups)
    block->warpgroups = calloc((size_t)(block->num_threads / kWarpgroup), sizeof *block->warpgroups);
  if (block->warpgroups && !block->warpgroups[number].products)
    block->warpgroups[number].products = calloc(kProducts, sizeof(Product));
  if (!block->warpgroups || !block->warpgroups[number].products)
    gqa_emulator_fail(thread, "out of memory");
  return &block->warpgroups[number];
}

int32_t gqa_emulate_warpgroup_id(gqa_emulated_thread *thread) { return thread->id / kWarpgroup; }

int32_t gqa_emulate_shared_offset(gqa_emulated_thread *thread, const void *address) {
  return (int32_t)((const unsigned char *)address - thread->block->shared);
}

/*--- Matrices in shared memory
 * ---------------------------------------------------------------------------------------*/

typedef struct {
  uint32_t address, leading, stride; /* bytes */
} Matrix;

static Matrix decode(gqa_emulated_thread *thread, uint64_t descriptor) {
  Matrix matrix = {(uint32_t)(descriptor & 0x3fff) << 4, (uint32_t)(descriptor >> 16 & 0x3fff) << 4,
                   (uint32_t)(descriptor >> 32 & 0x3fff) << 4};
  if (descriptor >> 62 != 1)
    gqa_emulator_fail(thread, "a matrix descriptor has another swizzle than that of 128 bytes");
  if ((descriptor >> 49 & 7) != 0)
    gqa_emulator_fail(thread, "a matrix descriptor has a base offset");
  return matrix;
}

/* The element of a matrix in shared memory whose index along k is `depth` and along rows of A, or columns of B, `line`.
 *
 * K-major: eight lines of 128 bytes, `stride` to the next eight. MN-major: 64 elements along lines in 128 bytes, eight
 * of these along k, `stride` to the next eight along k, `leading` to the next 64 lines. Both in the 128-byte swizzle,
 * which applies to the address as a whole. */
static float get_element(gqa_emulated_thread *thread, const Matrix *matrix, int is_transposed, int line, int depth,
                         int is_bf16) {
  uint32_t address = matrix->address;
  if (is_transposed)
    address += (uint32_t)(line / 64) * matrix->leading + (uint32_t)(depth / 8) * matrix->stride +
               (uint32_t)(depth % 8) * 128 + (uint32_t)(line % 64) * 2;
  else
    address += (uint32_t)(line / 8) * matrix->stride + (uint32_t)(line % 8) * 128 + (uint32_t)depth * 2;
  address ^= (address >> 7 & 7) << 4;
  uint16_t half;
  if (address + sizeof half > (uint32_t)thread->block->shared_bytes)
    gqa_emulator_fail(thread, "a product reads outside of shared memory");
  memcpy(&half, thread->block->shared + address, sizeof half);
  return gqa_emulator_widen(half, 0, is_bf16);
}

/*--- Products
 * --------------------------------------------------------------------------------------------------------*/

static void load_a(gqa_emulated_thread *thread, const Step *step, float a[kRows][kDepth]) {
  int is_bf16 = step->flags & GQA_EMULATED_BF16;
  if (step->flags & GQA_EMULATED_A_IN_REGISTERS) {
    for (int lane = 0; lane < kWarpgroup; ++lane)
      for (int word = 0; word < 4; ++word)
        for (int half = 0; half < 2; ++half) {
          int row = lane / 32 * 16 + lane % 32 / 4 + 8 * (word % 2);
          int depth = 8 * (word / 2) + 2 * (lane % 4) + half;
          a[row][depth] = gqa_emulator_widen(step->a[lane][word], half, is_bf16);
        }
    return;
  }
  Matrix matrix = decode(thread, step->a_descriptor);
  for (int row = 0; row < kRows; ++row)
    for (int depth = 0; depth < kDepth; ++depth)
      a[row][depth] = get_element(thread, &matrix, /*is_transposed=*/0, row, depth, is_bf16);
}

static void execute(gqa_emulated_thread *thread, Product *product, const Step *step) {
  float a[kRows][kDepth], b[kDepth][kMaxColumns];
  load_a(thread, step, a);
  Matrix matrix = decode(thread, step->b_descriptor);
  for (int depth = 0; depth < kDepth; ++depth)
    for (int column = 0; column < product->n; ++column)
      b[depth][column] = get_element(thread, &matrix, step->flags & GQA_EMULATED_TRANSPOSE_B, column, depth,
                                     step->flags & GQA_EMULATED_BF16);
  for (int lane = 0; lane < kWarpgroup; ++lane)
    for (int i = 0; i < product->n / 2; ++i) {
      int row = lane / 32 * 16 + lane % 32 / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
      double sum = product->accumulators[lane][i];
      for (int depth = 0; depth < kDepth; ++depth)
        sum += (double)a[row][depth] * b[depth][column];
      product->accumulators[lane][i] = (float)sum;
    }
}

/*--- Placeholders
 * ----------------------------------------------------------------------------------------------------*/

static float make_placeholder(const Product *product, int index) {
  uint32_t bits = 0x7fc00000u | product->number << kIndexBits | (uint32_t)index;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The product that `value` stands for, and which of its accumulators; NULL if it is a number. */
static Product *find_product(Warpgroup *group, float value, int *index) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t number = bits >> kIndexBits & ((1u << kNumberBits) - 1);
  if (bits >> (kIndexBits + kNumberBits) != 0x1ff || number == 0)
    return NULL;
  *index = (int)(bits & ((1u << kIndexBits) - 1));
  Product *product = &group->products[number % kProducts];
  return product->number == number && product->num_steps != 0 ? product : NULL;
}

/* A product of its own, with the accumulators that lanes bring. */
static Product *start_product(gqa_emulated_thread *thread, Warpgroup *group) {
  group->next_number = group->next_number % ((1u << kNumberBits) - 1) + 1;
  Product *product = &group->products[group->next_number % kProducts];
  if (product->num_done < product->num_steps)
    gqa_emulator_fail(thread, "too many products are under way");
  product->number = group->next_number;
  product->n = group->n;
  product->num_steps = product->num_done = 0;
  for (int lane = 0; lane < kWarpgroup; ++lane)
    for (int i = 0; i < group->n / 2; ++i)
      product->accumulators[lane][i] = group->flags & GQA_EMULATED_ACCUMULATE ? group->lanes[lane][i] : 0.0f;
  return product;
}

static Product *choose_product(gqa_emulated_thread *thread, Warpgroup *group) {
  int index;
  Product *product = group->flags & GQA_EMULATED_ACCUMULATE ? find_product(group, group->lanes[0][0], &index) : NULL;
  if (!product)
    return start_product(thread, group);
  for (int lane = 0; lane < kWarpgroup; ++lane)
    for (int i = 0; i < group->n / 2; ++i)
      if (find_product(group, group->lanes[lane][i], &index) != product || index != i || product->n != group->n)
        gqa_emulator_fail(thread, "a product continues another with other accumulators");
  return product;
}

static void add_step(gqa_emulated_thread *thread, Warpgroup *group) {
  Product *product = choose_product(thread, group);
  if (product->num_steps == kMaxSteps)
    gqa_emulator_fail(thread, "a product has too many steps");
  Step *step = &product->steps[product->num_steps++];
  step->flags = group->flags;
  step->group = group->committed;
  step->a_descriptor = group->a_descriptor;
  step->b_descriptor = group->b_descriptor;
  for (int lane = 0; lane < kWarpgroup; ++lane) {
    if (group->flags & GQA_EMULATED_A_IN_REGISTERS)
      memcpy(step->a[lane], group->a[lane], sizeof step->a[lane]);
    for (int i = 0; i < group->n / 2; ++i)
      group->lanes[lane][i] = make_placeholder(product, i);
  }
}

/*--- Instructions of a warpgroup
 * -------------------------------------------------------------------------------------*/

/* Whether this thread is the last of its warpgroup to arrive; the others wait for it to call pass(). */
static int arrive(gqa_emulated_thread *thread, Warpgroup *group) {
  if (++group->arrived < kWarpgroup) {
    gqa_emulator_wait_for(thread, &group->generation);
    return 0;
  }
  group->arrived = 0;
  return 1;
}

static void pass(Warpgroup *group) { ++group->generation; }

void gqa_emulate_wgmma(gqa_emulated_thread *thread, float *accumulators, const uint32_t *a, uint64_t a_descriptor,
                       uint64_t b_descriptor, int32_t n, int32_t flags) {
  Warpgroup *group = get_warpgroup(thread);
  if (n < 8 || n > kMaxColumns || n % 8 != 0)
    gqa_emulator_fail(thread, "a product must have 8 to 256 columns, a multiple of 8");
  if (group->arrived == 0) {
    group->n = n;
    group->flags = flags;
    group->a_descriptor = a_descriptor;
    group->b_descriptor = b_descriptor;
  } else if (group->n != n || group->flags != flags || group->a_descriptor != a_descriptor ||
             group->b_descriptor != b_descriptor) {
    gqa_emulator_fail(thread, "threads of a warpgroup execute different products");
  }
  group->lanes[thread->id % kWarpgroup] = accumulators;
  group->a[thread->id % kWarpgroup] = a;
  if (!arrive(thread, group))
    return;
  add_step(thread, group);
  pass(group);
}

void gqa_emulate_wgmma_commit(gqa_emulated_thread *thread) {
  Warpgroup *group = get_warpgroup(thread);
  if (!arrive(thread, group))
    return;
  ++group->committed;
  pass(group);
}

void gqa_emulate_wgmma_wait(gqa_emulated_thread *thread, int32_t pending, float *values, int32_t count) {
  Warpgroup *group = get_warpgroup(thread);
  if (arrive(thread, group)) {
    for (int i = 0; i < kProducts; ++i) {
      Product *product = &group->products[i];
      while (product->num_done < product->num_steps &&
             product->steps[product->num_done].group < group->committed - pending)
        execute(thread, product, &product->steps[product->num_done++]);
    }
    pass(group);
  }
  for (int32_t i = 0; i < count; ++i) {
    int index;
    Product *product = find_product(group, values[i], &index);
    if (product && product->num_done == product->num_steps)
      values[i] = product->accumulators[thread->id % kWarpgroup][index];
  }
}
