#ifndef GQA_TEST_FUZZ_GUARDEDTENSOR_H
#define GQA_TEST_FUZZ_GUARDEDTENSOR_H

#include "tools/Reference.h"

#include <dlpack/dlpack.h>

namespace gqa {

/// A strided tensor whose last element lies just before a page that may not be touched. Every byte starts as 0xFF,
/// which is NaN in all float types, and stays so between the elements.
class GuardedTensor {
public:
  /// The elements of row-major order lie densely in an array of extents `padded`, at least as large as those of the
  /// operand. Throws std::bad_alloc.
  GuardedTensor(const AttentionProblem &problem, const Operand &operand, const std::vector<int64_t> &padded);
  GuardedTensor(GuardedTensor &&other) noexcept;
  GuardedTensor(const GuardedTensor &) = delete;
  ~GuardedTensor();

  const Operand &getOperand() const { return operand; }
  const std::vector<int64_t> &getShape() const { return shape; }
  TensorView view() const { return {operand.type, data, strides}; }

  /// For the runtime; valid as long as this.
  DLTensor getDLTensor();
  /// The part of one batch entry, as a batch of one; the whole if the operand has no b.
  DLTensor getBatchEntry(int64_t entry);

  double get(const PerDim &index) const { return readElement(view(), getOffset(index)); }
  /// Rounds to the element type.
  void set(const PerDim &index, double value);

  /// The bytes of one element.
  std::string getBits(const PerDim &index) const;
  /// True if no byte outside the elements has changed.
  bool isPaddingIntact() const;

  /// Calls `visit` with the index of each element.
  template <typename Visit> void forEach(Visit visit) const {
    PerDim index = {};
    forEachFrom(0, index, visit);
  }

private:
  int64_t getOffset(const PerDim &index) const;
  template <typename Visit> void forEachFrom(size_t position, PerDim &index, Visit &visit) const {
    if (position == shape.size()) {
      visit(index);
      return;
    }
    for (int64_t i = 0; i < shape[position]; ++i) {
      at(index, operand.dims[position]) = i;
      forEachFrom(position + 1, index, visit);
    }
    at(index, operand.dims[position]) = 0;
  }

  Operand operand;
  std::vector<int64_t> shape, entryShape, dlStrides;
  PerDim strides = {};
  void *mapping = nullptr;
  size_t mappingSize = 0, usableSize = 0;
  char *data = nullptr;
};

} // namespace gqa

#endif // GQA_TEST_FUZZ_GUARDEDTENSOR_H
