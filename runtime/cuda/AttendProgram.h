#ifndef GQA_RUNTIME_CUDA_ATTENDPROGRAM_H
#define GQA_RUNTIME_CUDA_ATTENDPROGRAM_H

#include "runtime/cache/RowMove.h"
#include "runtime/cuda/AttendKernels.h"
#include "runtime/cuda/Program.h"

namespace gqa::cuda {

/// The kernels beside attention, on one device. Functions start work on a stream and return; they throw gqa::Failure.
/// May be used by any threads.
class AttendProgram {
public:
  /// Loads the kernels.
  explicit AttendProgram(std::shared_ptr<const Device> device);

  const Device &getDevice() const { return program->getDevice(); }

  /// Writes numbers of the host to the device.
  void put(StreamHandle stream, int32_t *to, const int32_t *words, int64_t count) const;

  /// Copies rows to where they lie densely, or back.
  void move(StreamHandle stream, const cache::RowMove &rows, bool isBack) const;

  /// Merges the parts of `rows` rows.
  void merge(StreamHandle stream, const MergeTask &task, int64_t rows) const;

private:
  void start(StreamHandle stream, const char *kernel, int64_t x, int64_t y, int64_t sharedBytes,
             const void *task) const;

  std::unique_ptr<Program> program;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_ATTENDPROGRAM_H
