#include "tools/MachineLimits.h"

#include "tools/LimitKernels.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <omp.h>
#include <stdexcept>
#include <unistd.h>

namespace gqa {
namespace {

constexpr int repetitions = 6;
constexpr double megabyte = 1 << 20;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Seconds that `work(thread)` takes on all threads together.
template <typename Work> double timeOnAllThreads(int threads, Work work) {
  double start = seconds();
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num());
  return seconds() - start;
}

/// Shortest of some repetitions.
template <typename Work> double bestTime(int threads, Work work) {
  double best = timeOnAllThreads(threads, work);
  for (int i = 1; i < repetitions; ++i)
    best = std::min(best, timeOnAllThreads(threads, work));
  return best;
}

volatile float sink;

/// GFLOP/s of `kernel`, in repetitions of some 10 ms.
double measureArithmetic(int threads, float (*kernel)(int64_t), double flopsPerIteration) {
  int64_t iterations = 10000;
  auto work = [&](int) { sink = kernel(iterations); };
  double time = bestTime(threads, work);
  iterations = std::max<int64_t>(iterations, iterations * 0.01 / std::max(time, 1e-6));
  return threads * iterations * flopsPerIteration / bestTime(threads, work) * 1e-9;
}

/// Bytes to read, all threads together: four times the last-level cache or so; pages cost time too.
size_t chooseBufferBytes() {
  double cache = std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE));
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(std::clamp(4 * cache, 256 * megabyte, 512 * megabyte), memory / 8);
}

/// 10^9 bytes per second of reading `bytes` bytes, a part per thread, which that thread also wrote first.
double measureRead(int threads, float (*kernel)(const float *, size_t), size_t bytes) {
  size_t share = bytes / sizeof(float) / threads / 1024 * 1024;
  std::unique_ptr<float, decltype(&std::free)> buffer(
      static_cast<float *>(std::aligned_alloc(1 << 21, (share * threads * sizeof(float) + (1 << 21) - 1) >> 21 << 21)),
      &std::free);
  if (!buffer)
    throw std::runtime_error("no memory to measure DRAM bandwidth: " + std::to_string(bytes) + " bytes");
  timeOnAllThreads(threads,
                   [&](int thread) { std::fill_n(buffer.get() + thread * share, share, static_cast<float>(thread)); });
  double time = bestTime(threads, [&](int thread) { sink = kernel(buffer.get() + thread * share, share); });
  return static_cast<double>(share) * threads * sizeof(float) / time * 1e-9;
}

} // namespace

void MachineLimits::keepBest(const MachineLimits &other) {
  fmaGflops = std::max(fmaGflops, other.fmaGflops);
  bf16Gflops = std::max(bf16Gflops, other.bf16Gflops);
  dramReadGBs = std::max(dramReadGBs, other.dramReadGBs);
}

MachineLimits measureMachineLimits(int threads) {
  MachineLimits limits;
  limits.threads = threads > 0 ? threads : omp_get_max_threads();
  LimitKernels kernels = selectLimitKernels();
  limits.fmaGflops = measureArithmetic(limits.threads, kernels.fma, kernels.fmaFlopsPerIteration);
  if (kernels.bf16Dot)
    limits.bf16Gflops = measureArithmetic(limits.threads, kernels.bf16Dot, kernels.bf16FlopsPerIteration);
  size_t bytes = chooseBufferBytes();
  limits.bufferMiB = bytes / megabyte;
  limits.dramReadGBs = measureRead(limits.threads, kernels.read, bytes);
  return limits;
}

} // namespace gqa
