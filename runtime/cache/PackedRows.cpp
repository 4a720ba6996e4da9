#include "runtime/cache/PackedRows.h"

#include "runtime/Context.h"
#include "runtime/ElementNames.h"
#include "runtime/TensorLayout.h"
#include "runtime/cache/TensorArgument.h"

#include <algorithm>

namespace gqa::cache {

PackedRows::PackedRows(const DLTensor *tensor, const std::string &what, const std::vector<int64_t> &wanted,
                       DLDevice device)
    : what(what), shape(cache::getShape(tensor, what)), strides(shape.size(), 1) {
  auto refuse = [&](const std::string &problem) { fail(GQA_INVALID_ARGUMENT, what + " " + problem); };
  checkDevice(*tensor, what, device);
  if (shape.size() != wanted.size())
    refuse("must have rank " + std::to_string(wanted.size()) + ", got " + std::to_string(shape.size()));
  if (!isAddressable(*tensor))
    refuse("is larger than any memory");
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
  if (!isElementType(dtype, name))
    fail(GQA_INVALID_ARGUMENT,
         what + " must be " + name + " as the artifact's entry has them, got " + printElementType(dtype));
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(getElementBytes()) != 0)
    fail(GQA_INVALID_ARGUMENT,
         what + " must be aligned to its elements of " + std::to_string(getElementBytes()) + " bytes");
}

RowGroup::RowGroup(const PackedRows &rows, const std::vector<int64_t> &firstRows, int64_t count, AttendMemory &memory)
    : rows(rows), firstRows(firstRows), count(count), memory(memory) {
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
  copy = static_cast<char *>(memory.take(getNumSequences() * sequenceStride * rows.getElementBytes()));
}

void RowGroup::move(bool isBack) const {
  if (!copy)
    return;
  const std::vector<int64_t> &shape = rows.getShape(), &strides = rows.getStrides();
  bool hasHeads = shape.size() == 3;
  RowMove move = {};
  move.packed = rows.getRow(0);
  move.copied = copy;
  move.elementBytes = rows.getElementBytes();
  move.rowStride = strides[0] * move.elementBytes;
  move.headStride = hasHeads ? strides[1] * move.elementBytes : 0;
  move.headBytes = shape.back() * move.elementBytes;
  move.heads = hasHeads ? shape[1] : 1;
  move.count = count;
  move.firstRows = &firstRows;
  memory.move(move, isBack);
}

} // namespace gqa::cache
