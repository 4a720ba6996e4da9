// The C interface of merging partial results.

#include "runtime/Context.h"
#include "runtime/DeviceType.h"
#include "runtime/MergePartials.h"
#include "runtime/TensorLayout.h"
#include "runtime/cache/DeviceMerge.h"
#include "runtime/gqa_cache.h"

namespace gqa::cache {

namespace {

/// Steps through the elements of a shape in row-major order.
class Odometer {
public:
  explicit Odometer(const std::vector<int64_t> &shape) : shape(shape), index(shape.size(), 0) {}

  /// The offset, in elements, of the current element; `strides` may be longer than the shape.
  int64_t getOffset(const std::vector<int64_t> &strides) const {
    int64_t offset = 0;
    for (size_t dim = 0; dim < index.size(); ++dim)
      offset += index[dim] * strides[dim];
    return offset;
  }

  /// Whether there was a next element.
  bool advance() {
    for (size_t dim = index.size(); dim > 0; --dim) {
      if (++index[dim - 1] < shape[dim - 1])
        return true;
      index[dim - 1] = 0;
    }
    return false;
  }

private:
  const std::vector<int64_t> &shape;
  std::vector<int64_t> index;
};

float *getElement(const TensorArgument &tensor, const Odometer &odometer) {
  return reinterpret_cast<float *>(tensor.data) + odometer.getOffset(tensor.strides);
}

void mergeOnHost(const MergeTensors &result, const std::vector<MergeTensors> &parts) {
  std::vector<Partial> partials(parts.size());
  std::vector<double> weights(parts.size());
  Odometer row(result.lse.shape);
  do {
    for (size_t part = 0; part < parts.size(); ++part)
      partials[part] = {getElement(parts[part].output, row), *getElement(parts[part].lse, row)};
    *getElement(result.lse, row) =
        mergePartials(partials.data(), static_cast<int64_t>(parts.size()), result.output.shape.back(), weights.data(),
                      getElement(result.output, row));
  } while (row.advance());
}

void merge(gqa_context &context, const DLTensor *const *outputs, const DLTensor *const *lses, int32_t numParts,
           const DLTensor *output, const DLTensor *lse) {
  std::vector<int64_t> shape = getShape(output, "output");
  if (shape.empty())
    fail(GQA_INVALID_ARGUMENT, "output must have rank 1 at least, got rank 0");
  std::vector<int64_t> rows(shape.begin(), shape.end() - 1);
  bool isOnDevice = getDeviceType(output->device) == kDLCUDA;
  DLDevice device = isOnDevice ? output->device : DLDevice{kDLCPU, 0};
  auto check = [&](const DLTensor *values, const DLTensor *sums, const std::string &suffix) -> MergeTensors {
    return {TensorArgument(values, "output" + suffix, shape, /*allowsHalf=*/false, device),
            TensorArgument(sums, "lse" + suffix, rows, /*allowsHalf=*/false, device)};
  };
  MergeTensors result = check(output, lse, "");
  checkWritable(*output, "output");
  checkWritable(*lse, "lse");
  std::vector<MergeTensors> parts;
  for (int32_t part = 0; part < numParts; ++part)
    parts.push_back(check(outputs[part], lses[part], " of part " + std::to_string(part)));
  for (int64_t extent : rows)
    if (extent == 0)
      return;
  if (!isOnDevice)
    return mergeOnHost(result, parts);
  int64_t count = 0;
  cuda::MergeTask task = makeMergeTask(result, parts, count);
  context.getAttendProgram(device.device_id).merge(static_cast<cuda::StreamHandle>(context.stream), task, count);
}

} // namespace
} // namespace gqa::cache

extern "C" GQA_API gqa_status gqa_merge(gqa_context *context, const DLTensor *const *outputs,
                                        const DLTensor *const *lses, int32_t num_parts, DLTensor *output,
                                        DLTensor *lse) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (num_parts < 0 || (num_parts > 0 && (!outputs || !lses)))
      gqa::fail(GQA_INVALID_ARGUMENT, "outputs and lses of " + std::to_string(num_parts) + " parts must not be null");
    gqa::cache::merge(*context, outputs, lses, num_parts, output, lse);
  });
}
