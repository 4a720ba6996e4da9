#ifndef GQA_TOOLS_COMPAREDATA_H
#define GQA_TOOLS_COMPAREDATA_H

#include "tools/Reference.h"
#include "tools/SeededData.h"

#include <dlpack/dlpack.h>

/// What comparisons on the CPU and on devices have in common.
namespace gqa {

/// Rows of each case that are compared with the reference.
constexpr int rowsToCheck = 16;

/// Queries reach further than keys and values, so that the softmax is neither flat nor a single key: the standard
/// deviation of scores is amplitude / 3 = 2.
constexpr float queryAmplitude = 6;

inline DLDataType toDLType(ElementType type) {
  uint8_t code = type == ElementType::bf16 ? kDLBfloat : kDLFloat;
  return {code, static_cast<uint8_t>(8 * getByteSize(type)), 1};
}

/// A dense operand of a problem, as the C interface takes it.
struct DenseTensor {
  std::vector<int64_t> shape;
  DLTensor tensor = {};

  DenseTensor(const AttentionProblem &problem, const Operand &operand, const ElementBuffer &buffer)
      : shape(getShape(problem, operand)) {
    tensor.data = buffer.data();
    tensor.device = {kDLCPU, 0};
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = toDLType(buffer.getType());
    tensor.shape = shape.data(); // strides NULL: dense
  }
  DenseTensor(const DenseTensor &) = delete;
};

inline TensorView viewOf(const AttentionProblem &problem, const Operand &operand, const ElementBuffer &buffer) {
  return {buffer.getType(), buffer.data(), getDenseStrides(problem, operand)};
}

} // namespace gqa

#endif // GQA_TOOLS_COMPAREDATA_H
