#ifndef GQA_RUNTIME_CACHE_DEVICEMERGE_H
#define GQA_RUNTIME_CACHE_DEVICEMERGE_H

#include "runtime/cache/TensorArgument.h"
#include "runtime/cuda/AttendKernels.h"

namespace gqa::cache {

/// Outputs [rows..., dv] and their lse [rows...].
struct MergeTensors {
  TensorArgument output, lse;
};

/// The task of the kernel that merges `parts` into `result`, all of the same shape, and the number of rows. Dimensions
/// of rows that lie behind each other in all tensors become one. Throws gqa::Failure if there are too many parts or
/// dimensions.
cuda::MergeTask makeMergeTask(const MergeTensors &result, const std::vector<MergeTensors> &parts, int64_t &rows);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_DEVICEMERGE_H
