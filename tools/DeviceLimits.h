#ifndef GQA_TOOLS_DEVICELIMITS_H
#define GQA_TOOLS_DEVICELIMITS_H

#include "runtime/cuda/Resources.h"

namespace gqa {

/// What a device can do at most, as measured.
struct DeviceLimits {
  double copyGBs = 0;     ///< a large copy within the device, bytes read and written, 10^9 per second
  double gemmTflops = 0;  ///< a large bf16 product with f32 accumulators; 0: there is no library for it
  std::string gemmSource; ///< which library, or why there is none
};

/// Medians of some runs, by events. The product is cuBLAS's, where libcublas.so is found by dlopen. Throws
/// gqa::Failure.
DeviceLimits measureDeviceLimits(const std::shared_ptr<const cuda::Device> &device);

} // namespace gqa

#endif // GQA_TOOLS_DEVICELIMITS_H
