#include "runtime/cache/DeviceMerge.h"

#include "runtime/Failure.h"

#include <algorithm>

namespace gqa::cache {

namespace {

/// The dimensions of rows: an extent, and the stride in each tensor.
struct Dim {
  int64_t extent;
  std::vector<int64_t> strides;

  /// Whether `inner` goes on where this steps to.
  bool continues(const Dim &inner) const {
    for (size_t i = 0; i < strides.size(); ++i)
      if (strides[i] != inner.strides[i] * inner.extent)
        return false;
    return true;
  }
};

std::vector<Dim> foldDims(const std::vector<const TensorArgument *> &tensors, const std::vector<int64_t> &rows) {
  std::vector<Dim> dims;
  for (size_t dim = 0; dim < rows.size(); ++dim) {
    if (rows[dim] == 1)
      continue;
    Dim next = {rows[dim], {}};
    for (const TensorArgument *tensor : tensors)
      next.strides.push_back(tensor->strides[dim]);
    if (!dims.empty() && dims.back().continues(next)) {
      next.extent *= dims.back().extent;
      dims.back() = next;
    } else {
      dims.push_back(next);
    }
  }
  return dims;
}

} // namespace

cuda::MergeTask makeMergeTask(const MergeTensors &result, const std::vector<MergeTensors> &parts, int64_t &rows) {
  if (parts.size() > size_t(cuda::kMaxParts))
    fail(GQA_INVALID_ARGUMENT, "on a device at most " + std::to_string(cuda::kMaxParts) +
                                   " parts are merged at once, got " + std::to_string(parts.size()));
  std::vector<const MergeTensors *> all = {&result};
  for (const MergeTensors &part : parts)
    all.push_back(&part);
  std::vector<const TensorArgument *> tensors;
  for (const MergeTensors *pair : all) {
    tensors.push_back(&pair->output);
    tensors.push_back(&pair->lse);
  }
  std::vector<Dim> dims = foldDims(tensors, result.lse.shape);
  if (dims.size() > size_t(cuda::kMergedDims))
    fail(GQA_INVALID_ARGUMENT, "on a device the rows that are merged must fold into " +
                                   std::to_string(cuda::kMergedDims) + " dimensions, got " +
                                   std::to_string(dims.size()) + " that do not lie behind each other");
  cuda::MergeTask task = {};
  task.dv = result.output.shape.back();
  task.numParts = static_cast<int32_t>(parts.size());
  rows = 1;
  std::fill_n(task.shape, cuda::kMergedDims, 1);
  for (size_t i = 0; i < dims.size(); ++i) {
    task.shape[i] = dims[i].extent;
    rows *= dims[i].extent;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    cuda::MergePlace &place = i == 0 ? task.result : task.parts[i - 1];
    place.output = reinterpret_cast<float *>(all[i]->output.data);
    place.lse = reinterpret_cast<float *>(all[i]->lse.data);
    for (size_t dim = 0; dim < dims.size(); ++dim) {
      place.outputStrides[dim] = dims[dim].strides[2 * i];
      place.lseStrides[dim] = dims[dim].strides[2 * i + 1];
    }
  }
  return task;
}

} // namespace gqa::cache
