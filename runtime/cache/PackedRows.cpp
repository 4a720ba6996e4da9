#include "runtime/cache/PackedRows.h"

#include "runtime/Context.h"
#include "runtime/cache/TensorArgument.h"

#include <algorithm>
#include <cstring>

namespace gqa::cache {

PackedRows::PackedRows(const DLTensor *tensor, const std::string &what, const std::vector<int64_t> &wanted)
    : what(what), shape(cache::getShape(tensor, what)), strides(shape.size(), 1) {
  auto refuse = [&](const std::string &problem) { fail(GQA_INVALID_ARGUMENT, what + " " + problem); };
  if (tensor->device.device_type != kDLCPU)
    refuse("must be in CPU memory, got device type " + std::to_string(tensor->device.device_type));
  if (shape.size() != wanted.size())
    refuse("must have rank " + std::to_string(wanted.size()) + ", got " + std::to_string(shape.size()));
  bool isEmpty = false;
  for (size_t dim = shape.size(); dim > 0; --dim) {
    int64_t extent = shape[dim - 1];
    if (wanted[dim - 1] >= 0 && extent != wanted[dim - 1])
      refuse("must have extent " + std::to_string(wanted[dim - 1]) + " in dimension " + std::to_string(dim - 1) +
             ", got " + std::to_string(extent));
    isEmpty |= extent == 0;
    if (dim < shape.size())
      strides[dim - 1] = strides[dim] * shape[dim];
  }
  if (tensor->strides)
    strides.assign(tensor->strides, tensor->strides + tensor->ndim);
  if (shape.back() > 1 && strides.back() != 1)
    refuse("must have an innermost stride of 1, got " + std::to_string(strides.back()));
  if (!tensor->data && !isEmpty)
    refuse("has no data");
  dtype = tensor->dtype;
  if (dtype.bits % 8 != 0 || dtype.lanes != 1)
    refuse("must have elements of whole bytes, got " + std::to_string(dtype.bits) + " bits");
  data = static_cast<char *>(tensor->data) + (tensor->data ? tensor->byte_offset : 0);
}

void PackedRows::requireType(const std::string &name) const {
  bool holds = name == "i8"     ? dtype.bits == 8
               : name == "bf16" ? dtype.code == kDLBfloat && dtype.bits == 16
                                : dtype.code == kDLFloat && dtype.bits == (name == "f32" ? 32 : 16);
  if (!holds)
    fail(GQA_INVALID_ARGUMENT, what + " must be " + name + " as the artifact's entry has them, got DLPack type (" +
                                   std::to_string(dtype.code) + ", " + std::to_string(dtype.bits) + ")");
}

RowGroup::RowGroup(const PackedRows &rows, const std::vector<int64_t> &firstRows, int64_t count)
    : rows(rows), firstRows(firstRows), count(count) {
  const std::vector<int64_t> &shape = rows.getShape(), &strides = rows.getStrides();
  int64_t step = firstRows.size() > 1 ? firstRows[1] - firstRows[0] : count;
  bool isEven = true;
  for (size_t i = 1; i < firstRows.size(); ++i)
    isEven &= firstRows[i] - firstRows[i - 1] == step;
  if (isEven) {
    rowStride = strides[0];
    sequenceStride = step * rowStride;
    headStride = strides[1];
    return;
  }
  int64_t elements = 1;
  for (size_t dim = 1; dim < shape.size(); ++dim)
    elements *= shape[dim];
  rowStride = elements;
  sequenceStride = count * elements;
  headStride = elements / std::max<int64_t>(1, shape[1]);
  copy.resize(static_cast<size_t>(getNumSequences() * sequenceStride * rows.getElementBytes()));
}

/// Calls visit(packed, copied, bytes) for each run of elements that lie densely in both.
template <typename Visit> void RowGroup::visitRuns(Visit visit) {
  if (copy.empty())
    return;
  const std::vector<int64_t> &shape = rows.getShape(), &strides = rows.getStrides();
  int64_t bytes = rows.getElementBytes(), heads = shape.size() == 3 ? shape[1] : 1;
  int64_t length = shape.back() * bytes;
  char *target = copy.data();
  for (int64_t first : firstRows)
    for (int64_t row = 0; row < count; ++row)
      for (int64_t head = 0; head < heads; ++head, target += length)
        visit(rows.getRow(first + row) + (shape.size() == 3 ? head * strides[1] * bytes : 0), target, length);
}

void RowGroup::gather() {
  visitRuns([](char *packed, char *copied, int64_t bytes) { std::memcpy(copied, packed, static_cast<size_t>(bytes)); });
}

void RowGroup::scatter() {
  visitRuns([](char *packed, char *copied, int64_t bytes) { std::memcpy(packed, copied, static_cast<size_t>(bytes)); });
}

} // namespace gqa::cache
