// The names of what the fake driver returns.

#include "test/unit/cuda/FakeState.h"

using namespace gqa::cuda;
using namespace fakecuda;

#pragma GCC visibility push(default)
extern "C" {

Result cuGetErrorName(Result error, const char **name) {
  switch (error) {
  case kSuccess:
    *name = "CUDA_SUCCESS";
    break;
  case invalidValue:
    *name = "CUDA_ERROR_INVALID_VALUE";
    break;
  case kOutOfMemory:
    *name = "CUDA_ERROR_OUT_OF_MEMORY";
    break;
  case notInitialized:
    *name = "CUDA_ERROR_NOT_INITIALIZED";
    break;
  case kNoDevice:
    *name = "CUDA_ERROR_NO_DEVICE";
    break;
  case invalidImage:
    *name = "CUDA_ERROR_INVALID_IMAGE";
    break;
  case invalidContext:
    *name = "CUDA_ERROR_INVALID_CONTEXT";
    break;
  case kNoBinaryForGpu:
    *name = "CUDA_ERROR_NO_BINARY_FOR_GPU";
    break;
  case kInvalidPtx:
    *name = "CUDA_ERROR_INVALID_PTX";
    break;
  case invalidHandle:
    *name = "CUDA_ERROR_INVALID_HANDLE";
    break;
  case notFound:
    *name = "CUDA_ERROR_NOT_FOUND";
    break;
  case launchOutOfResources:
    *name = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES";
    break;
  case launchFailed:
    *name = "CUDA_ERROR_LAUNCH_FAILED";
    break;
  case captureUnsupported:
    *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED";
    break;
  default:
    *name = nullptr;
    return invalidValue;
  }
  return kSuccess;
}

Result cuGetErrorString(Result error, const char **text) {
  *text = error == invalidValue ? "invalid argument" : nullptr;
  return *text ? kSuccess : Result(invalidValue);
}

} // extern "C"
#pragma GCC visibility pop
