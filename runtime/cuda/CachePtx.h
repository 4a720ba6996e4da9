#ifndef GQA_RUNTIME_CUDA_CACHEPTX_H
#define GQA_RUNTIME_CUDA_CACHEPTX_H

#include <cstdint>

namespace gqa::cuda {

/// CacheKernels.cpp as PTX, NUL-terminated, and its length without the NUL: 0 if no clang could make it.
extern const char kCachePtx[];
extern const int64_t kCachePtxBytes;

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_CACHEPTX_H
