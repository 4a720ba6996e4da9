#include "tools/DeviceLimits.h"

#include "tools/Median.h"
#include "tools/SeededData.h"

#include <algorithm>
#include <dlfcn.h>
#include <vector>

namespace gqa {
namespace {

constexpr int kRuns = 20;

/// Median seconds of `start`, which starts work on the stream.
template <typename Start> double timeWork(const cuda::Stream &stream, Start start) {
  cuda::Event begin(stream.getSharedDevice()), end(stream.getSharedDevice());
  start(); // warms up
  std::vector<double> times;
  for (int run = 0; run < kRuns; ++run) {
    begin.record(stream);
    start();
    end.record(stream);
    end.synchronize();
    times.push_back(end.getSecondsSince(begin));
  }
  return median(times);
}

double measureCopy(const std::shared_ptr<const cuda::Device> &device, const cuda::Stream &stream) {
  // Many times the L2 cache, as far as the memory goes.
  size_t available = 0, total = 0;
  {
    cuda::Device::Scope scope(*device);
    device->getDriver().check(device->getDriver().cuMemGetInfo_v2(&available, &total), "cuMemGetInfo");
  }
  size_t bytes = std::min<size_t>(size_t(2) << 30, available / 8) / 256 * 256;
  cuda::Memory from(device, bytes), to(device, bytes);
  stream.fill(from.getPointer(), 1, bytes);
  double seconds = timeWork(stream, [&] { stream.copy(to.getPointer(), from.getPointer(), bytes); });
  return 2.0 * static_cast<double>(bytes) / seconds * 1e-9;
}

/// The part of cuBLAS's interface that one product takes, as in its reference.
class CuBlas {
public:
  CuBlas() {
    for (const char *name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"})
      if ((library = dlopen(name, RTLD_NOW | RTLD_LOCAL))) {
        found = name;
        break;
      }
    if (!library)
      return;
    load(create, "cublasCreate_v2");
    load(destroy, "cublasDestroy_v2");
    load(setStream, "cublasSetStream_v2");
    load(gemm, "cublasGemmEx");
    isUsable = create && destroy && setStream && gemm && create(&handle) == 0;
  }
  ~CuBlas() {
    if (isUsable)
      destroy(handle);
  }
  CuBlas(const CuBlas &) = delete;

  /// C = A B, all [n, n] in bf16. Returns cuBLAS's status.
  int multiply(const cuda::Stream &stream, const cuda::Memory &a, const cuda::Memory &b, const cuda::Memory &c,
               int n) const {
    constexpr int kNoTranspose = 0, kBF16 = 14, kComputeF32 = 68, kDefaultAlgorithm = -1;
    float one = 1, zero = 0;
    setStream(handle, stream.get());
    return gemm(handle, kNoTranspose, kNoTranspose, n, n, n, &one, a.get(), kBF16, n, b.get(), kBF16, n, &zero, c.get(),
                kBF16, n, kComputeF32, kDefaultAlgorithm);
  }

  std::string found;
  bool isUsable = false;

private:
  template <typename Function> void load(Function &function, const char *name) {
    function = reinterpret_cast<Function>(dlsym(library, name));
  }

  void *library = nullptr, *handle = nullptr; // the library stays: it does not like to be unloaded
  int (*create)(void **) = nullptr;
  int (*destroy)(void *) = nullptr;
  int (*setStream)(void *, cuda::StreamHandle) = nullptr;
  int (*gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int,
              const void *, void *, int, int, int, int) = nullptr;
};

void measureGemm(const std::shared_ptr<const cuda::Device> &device, const cuda::Stream &stream, DeviceLimits &limits) {
  cuda::Device::Scope scope(*device);
  CuBlas blas;
  if (!blas.isUsable) {
    limits.gemmSource = blas.found.empty() ? "libcublas.so not found" : blas.found + " cannot be used";
    return;
  }
  constexpr int n = 8192;
  constexpr size_t bytes = size_t(n) * n * 2;
  cuda::Memory a(device, bytes), b(device, bytes), c(device, bytes);
  // Random numbers: products of zeros run faster than those of data.
  ElementBuffer data(ElementType::bf16, int64_t(n) * n);
  data.fillRandom(/*seed=*/1, /*amplitude=*/1);
  stream.upload(a.getPointer(), data.data(), bytes);
  stream.upload(b.getPointer(), data.data(), bytes);
  stream.synchronize();
  int status = 0;
  double seconds = timeWork(stream, [&] { status |= blas.multiply(stream, a, b, c, n); });
  limits.gemmSource = blas.found;
  if (status == 0)
    limits.gemmTflops = 2.0 * n * n * n / seconds * 1e-12;
  else
    limits.gemmSource += " failed with status " + std::to_string(status);
}

} // namespace

DeviceLimits measureDeviceLimits(const std::shared_ptr<const cuda::Device> &device) {
  cuda::Stream stream(device);
  DeviceLimits limits;
  limits.copyGBs = measureCopy(device, stream);
  measureGemm(device, stream, limits);
  return limits;
}

} // namespace gqa
