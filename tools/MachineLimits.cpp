#include "tools/MachineLimits.h"

#include "tools/LimitKernels.h"
#include "tools/Median.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <omp.h>
#include <stdexcept>
#include <unistd.h>

namespace gqa {
namespace {

constexpr double megabyte = 1 << 20;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Seconds that `work(thread)` takes on all threads together.
template <typename Work> double timeOnAllThreads(int threads, Work work) {
  double start = seconds();
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num());
  return seconds() - start;
}

std::atomic<float> sink;

/// GFLOP/s of `kernel` over some 50 ms.
double measureKernel(int threads, float (*kernel)(int64_t), double flopsPerIteration) {
  constexpr double length = 0.05; // seconds
  int64_t iterations = 10000;
  auto work = [&](int) { sink.store(kernel(iterations), std::memory_order_relaxed); };
  timeOnAllThreads(threads, work); // wakes the threads
  double time = timeOnAllThreads(threads, work);
  iterations = std::max<int64_t>(iterations, iterations * length / std::max(time, 1e-6));
  return threads * iterations * flopsPerIteration / timeOnAllThreads(threads, work) * 1e-9;
}

/// Bytes to read, all threads together: four times the last-level cache or so; pages cost time too.
size_t chooseBufferBytes() {
  double cache = std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE));
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return std::min(std::clamp(4 * cache, 256 * megabyte, 512 * megabyte), memory / 8);
}

} // namespace

DramReader::DramReader(int threads)
    : threads(threads), share(chooseBufferBytes() / sizeof(float) / threads / 1024 * 1024),
      buffer(nullptr, &std::free) {
  constexpr size_t hugePage = 1 << 21;
  buffer.reset(
      static_cast<float *>(std::aligned_alloc(hugePage, (sizeInBytes() + hugePage - 1) / hugePage * hugePage)));
  if (!buffer)
    throw std::runtime_error("no memory to measure DRAM bandwidth: " + std::to_string(sizeInBytes()) + " bytes");
  // The thread that reads a part also writes it first, so that it lies in that thread's memory node.
  timeOnAllThreads(threads, [&](int thread) { std::fill_n(buffer.get() + thread * share, share, float(thread)); });
}

double DramReader::read() const {
  LimitKernels kernels = supportedLimitKernels().front();
  double time = timeOnAllThreads(threads, [&](int thread) {
    sink.store(kernels.read(buffer.get() + thread * share, share), std::memory_order_relaxed);
  });
  return sizeInBytes() / time * 1e-9;
}

int resolveThreads(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

void ArithmeticMeter::measure() {
  LimitKernels kernels = supportedLimitKernels().front();
  fmaRates.push_back(measureKernel(threads, kernels.fma, kernels.fmaFlopsPerIteration));
  if (kernels.bf16Dot)
    bf16Rates.push_back(measureKernel(threads, kernels.bf16Dot, kernels.bf16FlopsPerIteration));
}

void ArithmeticMeter::report(MachineLimits &limits) const {
  limits.fmaGflops = median(fmaRates);
  if (!bf16Rates.empty())
    limits.bf16Gflops = median(bf16Rates);
}

MachineLimits measureMachineLimits(int threads) {
  constexpr int repetitions = 5;
  MachineLimits limits;
  limits.threads = resolveThreads(threads);
  ArithmeticMeter meter(limits.threads);
  DramReader reader(limits.threads);
  std::vector<double> dramRates;
  for (int i = 0; i < repetitions; ++i) {
    meter.measure();
    dramRates.push_back(reader.read());
  }
  meter.report(limits);
  limits.dramReadGBs = median(dramRates);
  return limits;
}

} // namespace gqa
