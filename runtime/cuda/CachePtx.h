#ifndef GQA_RUNTIME_CUDA_CACHEPTX_H
#define GQA_RUNTIME_CUDA_CACHEPTX_H

#include <cstdint>

namespace gqa::cuda {

/// CacheKernels.cpp and AttendKernels.cpp as PTX, NUL-terminated, and their lengths without the NUL: 0 if no clang
/// could make it.
extern const char kCachePtx[], kAttendPtx[];
extern const int64_t kCachePtxBytes, kAttendPtxBytes;

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_CACHEPTX_H
