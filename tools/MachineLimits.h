#ifndef GQA_TOOLS_MACHINELIMITS_H
#define GQA_TOOLS_MACHINELIMITS_H

#include <cstddef>
#include <memory>
#include <vector>

namespace gqa {

/// What this machine can do at most with a number of threads, as measured.
struct MachineLimits {
  int threads = 0;
  double fmaGflops = 0;   // f32 fused multiply-adds, 2 operations each, GFLOP/s
  double bf16Gflops = 0;  // bf16 dot products into f32, GFLOP/s; 0: the CPU has none
  double dramReadGBs = 0; // reading memory that is in no cache, 10^9 bytes per second
};

/// Reads a buffer much larger than the caches, a part per thread: measures DRAM, and leaves the caches full of it.
class DramReader {
public:
  /// Throws std::runtime_error if there is no memory for the buffer.
  explicit DramReader(int threads);

  /// Reads all once; returns 10^9 bytes per second.
  double read() const;

  size_t sizeInBytes() const { return share * threads * sizeof(float); }

private:
  int threads;
  size_t share; // floats per thread
  std::unique_ptr<float, void (*)(void *)> buffer;
};

/// The number of threads that 0 stands for: as many as OpenMP gives.
int resolveThreads(int threads);

/// Measures what arithmetic runs at, time and again: a machine that is warm, or has neighbours, is slower than one that
/// was idle, so limits are to be taken in turn with what is compared to them.
class ArithmeticMeter {
public:
  /// With `threads` threads.
  explicit ArithmeticMeter(int threads) : threads(threads) {}

  /// Some 50 ms of each kind of arithmetic.
  void measure();

  /// The medians of all measurements, of which there is at least one, into `limits`.
  void report(MachineLimits &limits) const;

  int getCount() const { return static_cast<int>(fmaRates.size()); }

private:
  int threads;
  std::vector<double> fmaRates, bf16Rates; // GFLOP/s; no bf16 where the CPU has none
};

/// Measures everything with `threads` threads (0: as many as OpenMP gives), in about a second; medians of some
/// measurements. Throws std::runtime_error if there is no memory to read.
MachineLimits measureMachineLimits(int threads);

} // namespace gqa

#endif // GQA_TOOLS_MACHINELIMITS_H
