// The kernels of caches on a device: one block writes one row. The host's arithmetic, step by step, so that a cache
// holds the same bits on a device as on the CPU.
//
// clang compiles this file for NVPTX without headers but ours; for a CPU it becomes functions that run block after
// block and thread after thread, which is how tests run it.

#include "runtime/cuda/CacheKernels.h"
#include "runtime/cache/NarrowFloat.h"

#pragma STDC FP_CONTRACT OFF

namespace gqa::cuda {
namespace {

using cache::ElementType;

/// sin and cos of `x` (0 to 2^47), to about the last bit. Reduction by pi/2 in three parts with fused multiply-adds;
/// polynomials of fdlibm's k_sin.c and k_cos.c.
void computeSinCos(double x, double &sine, double &cosine) {
  double quarters = __builtin_rint(x * 0x1.45f306dc9c883p-1);
  double r = __builtin_fma(-quarters, 0x1.921fb54442d18p+0, x);
  r = __builtin_fma(-quarters, 0x1.1a62633145c07p-54, r);
  r = __builtin_fma(-quarters, -0x1.f1976b7ed8fbcp-110, r);
  double z = r * r;
  constexpr double kSine[] = {-2.50507602534068634195e-08, 2.75573137070700676789e-06, -1.98412698298579493134e-04,
                              8.33333333332248946124e-03, -1.66666666666666324348e-01};
  constexpr double kCosine[] = {2.08757232129817482790e-09,
                                -2.75573143513906633035e-07,
                                2.48015872894767294178e-05,
                                -1.38888888888741095749e-03,
                                4.16666666666666019037e-02,
                                -0.5,
                                1.0};
  double s = 1.58969099521155010221e-10, c = -1.13596475577881948265e-11;
  for (double next : kSine)
    s = __builtin_fma(s, z, next);
  s = __builtin_fma(r * z, s, r);
  for (double next : kCosine)
    c = __builtin_fma(c, z, next);
  auto quadrant = static_cast<int64_t>(quarters) & 3;
  sine = quadrant & 1 ? c : s;
  cosine = quadrant & 1 ? s : c;
  sine = quadrant & 2 ? -sine : sine;
  cosine = quadrant == 1 || quadrant == 2 ? -cosine : cosine;
}

float loadElement(const DeviceRows &rows, int64_t index) {
  switch (rows.type) {
  case ElementType::F16:
    return cache::fromHalf(static_cast<const uint16_t *>(rows.data)[index]);
  case ElementType::BF16:
    return cache::fromBFloat(static_cast<const uint16_t *>(rows.data)[index]);
  default:
    return static_cast<const float *>(rows.data)[index];
  }
}

void storeElement(void *data, ElementType type, int64_t index, float value) {
  switch (type) {
  case ElementType::F16:
    static_cast<uint16_t *>(data)[index] = cache::toHalf(value);
    return;
  case ElementType::BF16:
    static_cast<uint16_t *>(data)[index] = cache::toBFloat(value);
    return;
  default:
    static_cast<float *>(data)[index] = value;
  }
}

/// The elements of pair `pair`, turned to `position`: gqa::cache::Rotary::apply.
struct TurnedPair {
  TurnedPair(const DeviceRotary &rotary, int pair, int64_t position)
      : first(rotary.isInterleaved ? 2 * pair : pair), second(first + (rotary.isInterleaved ? 1 : rotary.pairs)) {
    double s, c;
    computeSinCos(static_cast<double>(position) * rotary.frequencies[pair], s, c);
    cosine = static_cast<float>(rotary.attentionFactor * c);
    sine = static_cast<float>(rotary.attentionFactor * s);
  }
  void turn(float &x, float &y) const {
    float turned = x * cosine - y * sine;
    y = y * cosine + x * sine;
    x = turned;
  }

  int first, second;
  float cosine, sine;
};

/// gqa::cache::encodeRow's rounding to integers.
int32_t roundToInteger(float x, float largest) {
  x = x == x ? x : 0.0f;
  x = x < -largest ? -largest : x;
  x = x > largest ? largest : x;
  return static_cast<int32_t>(cache::getFloatBits(x + 0x1.8p23f) - 0x4b400000u);
}

/// One row of a cache, written by the threads of a block in two steps with a barrier between them.
class RowWriter {
public:
  RowWriter(const AppendTask &task, unsigned token, unsigned head, float *scratch)
      : task(task), head(head), scratch(scratch) {
    int run = 0;
    while (token >= static_cast<unsigned>(task.runs[run].count)) // at most 123 steps, the same for all threads
      token -= static_cast<unsigned>(task.runs[run++].count);
    const cache::RowRun &place = task.runs[run];
    position = place.position + token;
    source = (place.token + int64_t(token)) * task.source.tokenStride + head * task.source.headStride;
    row = (int64_t(place.block) * task.heads + head) * task.blockTokens + place.slot + token;
  }

  /// Brings the row into `scratch`, turned.
  void load(int thread, int threads) const {
    int dim = task.source.dim, turned = 0;
    if (task.rotary.frequencies) {
      turned = 2 * task.rotary.pairs;
      for (int pair = thread; pair < task.rotary.pairs; pair += threads) {
        TurnedPair turns(task.rotary, pair, position);
        float x = loadElement(task.source, source + turns.first), y = loadElement(task.source, source + turns.second);
        turns.turn(x, y);
        scratch[turns.first] = x;
        scratch[turns.second] = y;
      }
    }
    for (int d = turned + thread; d < dim; d += threads)
      scratch[d] = loadElement(task.source, source + d);
  }

  /// Writes `scratch` to the cache.
  void store(int thread, int threads) const {
    int dim = task.source.dim;
    uint8_t *out = task.rows + row * cache::getRowBytes(task.type, dim);
    if (!cache::isQuantised(task.type)) {
      if (task.type == task.source.type && !task.rotary.frequencies)
        copy(out, thread, threads);
      else
        for (int d = thread; d < dim; d += threads)
          storeElement(out, task.type, d, scratch[d]);
      return;
    }
    float common = 0;
    if (!task.channelScales) {
      common = getLargestMagnitude() / cache::getLargest(task.type);
      if (thread == 0)
        task.scales[row] = common;
    }
    bool isZero = !task.channelScales && !(common > 0); // or NaN, which the scale brings back
    int bytes = task.type == ElementType::I4 ? dim / 2 : dim;
    for (int i = thread; i < bytes; i += threads)
      out[i] = isZero ? 0 : quantise(i, common);
  }

private:
  /// Bits that are stored as they come, NaN included.
  void copy(uint8_t *out, int thread, int threads) const {
    int64_t width = cache::getBits(task.type) / 8;
    const uint8_t *in = static_cast<const uint8_t *>(task.source.data) + source * width;
    if (width == 2)
      for (int d = thread; d < task.source.dim; d += threads)
        reinterpret_cast<uint16_t *>(out)[d] = reinterpret_cast<const uint16_t *>(in)[d];
    else
      for (int d = thread; d < task.source.dim; d += threads)
        reinterpret_cast<uint32_t *>(out)[d] = reinterpret_cast<const uint32_t *>(in)[d];
  }

  float getLargestMagnitude() const {
    uint32_t largest = 0;
    for (int d = 0; d < task.source.dim; ++d) {
      uint32_t magnitude = cache::getFloatBits(scratch[d]) & 0x7fffffffu;
      largest = magnitude > largest ? magnitude : largest;
    }
    return cache::makeFloat(largest >= 0x7f800000u ? 0x7fc00000u : largest);
  }

  float scale(int d, float common) const {
    return scratch[d] / (task.channelScales ? task.channelScales[head * int64_t(task.source.dim) + d] : common);
  }

  uint8_t quantise(int i, float common) const {
    if (task.type == ElementType::F8E4M3)
      return cache::toF8E4M3(scale(i, common));
    if (task.type == ElementType::I8)
      return static_cast<uint8_t>(roundToInteger(scale(i, common), 127.0f));
    return static_cast<uint8_t>((roundToInteger(scale(2 * i, common), 7.0f) & 0xf) |
                                (roundToInteger(scale(2 * i + 1, common), 7.0f) & 0xf) << 4);
  }

  const AppendTask &task;
  unsigned head;
  float *scratch;
  int64_t position, source, row; ///< source: the row's first element; row: its number in the cache
};

void rotateRow(const RotateTask &task, unsigned token, unsigned head, int thread, int threads) {
  int64_t begin = token * task.rows.tokenStride + head * task.rows.headStride;
  for (int pair = thread; pair < task.rotary.pairs; pair += threads) {
    TurnedPair turns(task.rotary, pair, task.positions[token]);
    float x = loadElement(task.rows, begin + turns.first), y = loadElement(task.rows, begin + turns.second);
    turns.turn(x, y);
    storeElement(task.rows.data, task.rows.type, begin + turns.first, x);
    storeElement(task.rows.data, task.rows.type, begin + turns.second, y);
  }
}

} // namespace
} // namespace gqa::cuda

using namespace gqa::cuda;

#ifdef __NVPTX__

extern __attribute__((address_space(3))) float gqa_scratch[];

extern "C" __attribute__((device_kernel)) void gqa_cache_append(const AppendTask task) {
  auto *scratch = (float *)gqa_scratch; // as a generic address
  RowWriter writer(task, __nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), scratch);
  int thread = __nvvm_read_ptx_sreg_tid_x(), threads = __nvvm_read_ptx_sreg_ntid_x();
  writer.load(thread, threads);
  __syncthreads();
  writer.store(thread, threads);
}

extern "C" __attribute__((device_kernel)) void gqa_cache_rotate(const RotateTask task) {
  rotateRow(task, __nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), __nvvm_read_ptx_sreg_tid_x(),
            __nvvm_read_ptx_sreg_ntid_x());
}

#else

/// Calls `body(x, y)` for each block.
template <typename Body> static void forEachBlock(const unsigned *grid, Body body) {
  for (unsigned y = 0; y < grid[1]; ++y)
    for (unsigned x = 0; x < grid[0]; ++x)
      body(x, y);
}

extern "C" void gqa_cache_append(const unsigned *grid, const unsigned *block, void **parameters) {
  static thread_local float scratch[1 << 14];
  auto &task = *static_cast<const AppendTask *>(parameters[0]);
  auto threads = static_cast<int>(block[0]);
  forEachBlock(grid, [&](unsigned token, unsigned head) {
    RowWriter writer(task, token, head, scratch);
    for (int thread = 0; thread < threads; ++thread)
      writer.load(thread, threads);
    for (int thread = 0; thread < threads; ++thread)
      writer.store(thread, threads);
  });
}

extern "C" void gqa_cache_rotate(const unsigned *grid, const unsigned *block, void **parameters) {
  auto &task = *static_cast<const RotateTask *>(parameters[0]);
  auto threads = static_cast<int>(block[0]);
  forEachBlock(grid, [&](unsigned token, unsigned head) {
    for (int thread = 0; thread < threads; ++thread)
      rotateRow(task, token, head, thread, threads);
  });
}

#endif
