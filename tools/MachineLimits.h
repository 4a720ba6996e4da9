#ifndef GQA_TOOLS_MACHINELIMITS_H
#define GQA_TOOLS_MACHINELIMITS_H

namespace gqa {

/// What this machine can do at most with a number of threads, as measured.
struct MachineLimits {
  int threads = 0;
  double fmaGflops = 0;   // f32 fused multiply-adds, 2 operations each, GFLOP/s
  double bf16Gflops = 0;  // bf16 dot products into f32, GFLOP/s; 0: the CPU has none
  double dramReadGBs = 0; // reading memory that is in no cache, 10^9 bytes per second
  double bufferMiB = 0;   // memory that was read for dramReadGBs, all threads together

  /// The greater of each pair: measure twice, a disturbed measurement only ever makes limits too low.
  void keepBest(const MachineLimits &other);
};

/// Measures with `threads` OpenMP threads (0: as many as OpenMP gives), in a few hundred milliseconds. Throws
/// std::runtime_error if there is no memory for the buffer.
MachineLimits measureMachineLimits(int threads);

} // namespace gqa

#endif // GQA_TOOLS_MACHINELIMITS_H
