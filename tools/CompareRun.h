#ifndef GQA_TOOLS_COMPARERUN_H
#define GQA_TOOLS_COMPARERUN_H

#include "tools/CompareResult.h"

namespace gqa {

/// Compiles the plan's attentions fused and unfused, checks both against the float64 reference and times them in turn.
/// Throws std::runtime_error if compiling or running fails, or if an output is further from the reference than rounding
/// explains.
CompareResult runCompare(const ComparePlan &plan);

} // namespace gqa

#endif // GQA_TOOLS_COMPARERUN_H
