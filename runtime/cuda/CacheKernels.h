#ifndef GQA_RUNTIME_CUDA_CACHEKERNELS_H
#define GQA_RUNTIME_CUDA_CACHEKERNELS_H

#include "runtime/cache/ElementType.h"
#include "runtime/cache/RowRun.h"

/// What the kernels that write to a cache on a device take. They are C++ without a library, which clang compiles to PTX
/// when the runtime is built (CacheKernels.cpp).
namespace gqa::cuda {

/// As gqa::cache::Rotary, on a device.
struct DeviceRotary {
  const double *frequencies; ///< [pairs], device memory; null: no rotation
  double attentionFactor;
  int32_t pairs;
  int32_t isInterleaved;
};

/// Rows [tokens, heads, dim] of f32, f16 or bf16. Strides are in elements.
struct DeviceRows {
  void *data;
  int64_t tokenStride, headStride;
  cache::ElementType type;
  int32_t dim;
};

/// The most that fits into the 4 KB of a kernel's parameters.
constexpr int kMaxRuns = 124;
constexpr int kMaxPositions = 480;

/// Launched on (tokens of all runs, heads) blocks, with a float of dynamic shared memory per element of a row.
struct AppendTask {
  DeviceRows source;
  DeviceRotary rotary;
  uint8_t *rows;              ///< [blocks][heads][blockTokens][dim]
  float *scales;              ///< [blocks][heads][blockTokens]; null: none
  const float *channelScales; ///< [heads][dim]; null: none
  int64_t blockTokens;
  cache::ElementType type;
  int32_t heads, numRuns;
  cache::RowRun runs[kMaxRuns];
};

/// Launched on (tokens, heads) blocks: turns rows in place, token t to positions[t].
struct RotateTask {
  DeviceRows rows;
  DeviceRotary rotary;
  int64_t positions[kMaxPositions];
};

static_assert(sizeof(AppendTask) <= 4096 && sizeof(RotateTask) <= 4096);

/// Threads of a block.
constexpr int kCacheThreads = 64;

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_CACHEKERNELS_H
