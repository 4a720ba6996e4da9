#ifndef GQA_TOOLS_COMPAREDEVICERUN_H
#define GQA_TOOLS_COMPAREDEVICERUN_H

#include "tools/CompareResult.h"

namespace gqa {

/// runCompare for a plan with a device: the same comparison there, timed by events. Throws std::exception if there is
/// no such device, if the compiler has no code for the fused form, or if a result is wrong.
CompareResult runCompareOnDevice(const ComparePlan &plan);

} // namespace gqa

#endif // GQA_TOOLS_COMPAREDEVICERUN_H
