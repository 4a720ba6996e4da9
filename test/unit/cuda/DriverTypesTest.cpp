// Our declarations of the driver's interface are those of cuda.h, where there is one.

#include "runtime/cuda/DriverTypes.h"

#include <gtest/gtest.h>

#if __has_include(<cuda.h>)
#include <cuda.h>

using namespace gqa::cuda;

#define SAME(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs))
SAME(kSuccess, CUDA_SUCCESS);
SAME(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
SAME(kNoDevice, CUDA_ERROR_NO_DEVICE);
SAME(kInvalidDevice, CUDA_ERROR_INVALID_DEVICE);
SAME(kMultiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(kL2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
SAME(kComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(kComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(kMaxSharedMemoryPerBlockOptin, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(kMaxDynamicSharedSizeBytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
SAME(kJitErrorLogBuffer, CU_JIT_ERROR_LOG_BUFFER);
SAME(kJitErrorLogBufferSizeBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME(kStreamNonBlocking, CU_STREAM_NON_BLOCKING);
SAME(kCaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME(kClusterDimension, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
SAME(kProgrammaticStreamSerialization, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);

static_assert(sizeof(LaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(LaunchAttribute, value) == offsetof(CUlaunchAttribute, value));
static_assert(sizeof(LaunchConfig) == sizeof(CUlaunchConfig));
static_assert(offsetof(LaunchConfig, block) == offsetof(CUlaunchConfig, blockDimX));
static_assert(offsetof(LaunchConfig, sharedBytes) == offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(LaunchConfig, stream) == offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(LaunchConfig, attributes) == offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(LaunchConfig, numAttributes) == offsetof(CUlaunchConfig, numAttrs));
static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));
static_assert(sizeof(Pointer) == sizeof(CUdeviceptr));

// Each function has the same number of arguments, of the same sizes. cuda.h maps cuMemAlloc to cuMemAlloc_v2 and so on,
// and declares the old one under its plain name only when asked to; so the names that it knows are checked.
template <typename... Ours, typename... Theirs> constexpr bool isSame(Result (*)(Ours...), CUresult (*)(Theirs...)) {
  if constexpr (sizeof...(Ours) == sizeof...(Theirs))
    return ((sizeof(Ours) == sizeof(Theirs)) && ...);
  return false;
}
#define GQA_CUDA(name, ...) static_assert(isSame(static_cast<Result (*)(__VA_ARGS__)>(nullptr), decltype(&name){}));
#define cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRelease
#include "runtime/cuda/DriverFunctions.def"

TEST(DriverTypes, AreThoseOfCudaH) { SUCCEED() << "checked while compiling, with CUDA " << CUDA_VERSION; }

#else
TEST(DriverTypes, AreThoseOfCudaH) { GTEST_SKIP() << "no cuda.h on this machine"; }
#endif
