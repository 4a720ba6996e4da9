#ifndef GQA_RUNTIME_CUDA_DRIVERTYPES_H
#define GQA_RUNTIME_CUDA_DRIVERTYPES_H

#include <cstddef>
#include <cstdint>

/// What we use of the CUDA driver's interface, declared here so that building needs no CUDA. Names and values are those
/// of NVIDIA's CUDA Driver API reference; test/unit/cuda/DriverTypesTest.cpp compares them with cuda.h where there is
/// one.
namespace gqa::cuda {

using Result = int;
using DeviceHandle = int;
using Pointer = uint64_t; ///< CUdeviceptr
using ContextHandle = struct ContextObject *;
using ModuleHandle = struct ModuleObject *;
using FunctionHandle = struct FunctionObject *;
using StreamHandle = struct StreamObject *;
using EventHandle = struct EventObject *;
using GraphHandle = struct GraphObject *;
using GraphExecHandle = struct GraphExecObject *;

constexpr Result kSuccess = 0;
constexpr Result kOutOfMemory = 2;
constexpr Result kNoDevice = 100;
constexpr Result kInvalidDevice = 101;

/// CUdevice_attribute.
enum DeviceAttribute : int {
  kMultiprocessorCount = 16,
  kL2CacheSize = 38,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kMaxSharedMemoryPerBlockOptin = 97,
};

/// CUfunction_attribute.
enum FunctionAttribute : int { kLocalSizeBytes = 3, kNumRegisters = 4, kMaxDynamicSharedSizeBytes = 8 };

/// CUjit_option.
enum JitOption : int { kJitErrorLogBuffer = 5, kJitErrorLogBufferSizeBytes = 6 };

/// CUstream_flags, CUevent_flags.
constexpr unsigned kStreamNonBlocking = 1, kEventDefault = 0;

/// CUstreamCaptureMode: what other threads do meanwhile does not matter.
constexpr int kCaptureThreadLocal = 1;

/// CUlaunchAttributeID and CUlaunchAttribute.
enum LaunchAttributeId : int { kClusterDimension = 4, kProgrammaticStreamSerialization = 6 };
struct LaunchAttribute {
  int id;
  char pad[4];
  union {
    char pad[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int flag;
  } value;
};

/// CUlaunchConfig.
struct LaunchConfig {
  unsigned grid[3], block[3];
  unsigned sharedBytes;
  StreamHandle stream;
  LaunchAttribute *attributes;
  unsigned numAttributes;
};

/// CUtensorMap.
struct alignas(64) TensorMap {
  uint64_t opaque[16];
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_DRIVERTYPES_H
