// The C interface of merging partial results.

#include "runtime/Context.h"
#include "runtime/MergePartials.h"
#include "runtime/cache/TensorArgument.h"
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

void merge(const DLTensor *const *outputs, const DLTensor *const *lses, int32_t numParts, const DLTensor *output,
           const DLTensor *lse) {
  std::vector<int64_t> shape = getShape(output, "output");
  if (shape.empty())
    fail(GQA_INVALID_ARGUMENT, "output must have rank 1 at least, got rank 0");
  TensorArgument mergedOutput(output, "output", shape, /*allowsHalf=*/false);
  int64_t dv = shape.back();
  std::vector<int64_t> rows(shape.begin(), shape.end() - 1);
  TensorArgument mergedLse(lse, "lse", rows, /*allowsHalf=*/false);
  std::vector<TensorArgument> partOutputs, partLses;
  for (int32_t part = 0; part < numParts; ++part) {
    std::string suffix = " of part " + std::to_string(part);
    partOutputs.emplace_back(outputs[part], "output" + suffix, shape, /*allowsHalf=*/false);
    partLses.emplace_back(lses[part], "lse" + suffix, rows, /*allowsHalf=*/false);
  }
  for (int64_t extent : rows)
    if (extent == 0)
      return;
  std::vector<Partial> partials(partOutputs.size());
  std::vector<double> weights(partOutputs.size());
  Odometer row(rows);
  do {
    for (size_t part = 0; part < partials.size(); ++part)
      partials[part] = {getElement(partOutputs[part], row), *getElement(partLses[part], row)};
    *getElement(mergedLse, row) =
        mergePartials(partials.data(), numParts, dv, weights.data(), getElement(mergedOutput, row));
  } while (row.advance());
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
    gqa::cache::merge(outputs, lses, num_parts, output, lse);
  });
}
