#ifndef GQA_TOOLS_LIMITKERNELS_H
#define GQA_TOOLS_LIMITKERNELS_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gqa {

/// Loops that do nothing but keep one execution unit busy; the best version for the CPU is chosen at run time.
struct LimitKernels {
  /// Runs independent chains of multiply-adds; the value only keeps the work from being dropped.
  float (*fma)(int64_t iterations);
  double fmaFlopsPerIteration;
  float (*bf16Dot)(int64_t iterations); // null: the CPU has no bf16 dot product
  double bf16FlopsPerIteration;
  /// Reads `floats` floats (a multiple of 1024) at `data` (64-byte aligned) and returns their sum.
  float (*read)(const float *data, size_t floats);
};

/// Those that this CPU can run, fastest first; the last are in plain C++, which runs anywhere.
std::vector<LimitKernels> supportedLimitKernels();

} // namespace gqa

#endif // GQA_TOOLS_LIMITKERNELS_H
