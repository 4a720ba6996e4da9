#include "runtime/cuda/AttendProgram.h"

#include "runtime/Failure.h"
#include "runtime/cuda/CachePtx.h"
#include "runtime/cuda/DeviceCalls.h"

#include <algorithm>

namespace gqa::cuda {

constexpr char kPut[] = "gqa_attend_put", kMove[] = "gqa_attend_move", kMerge[] = "gqa_attend_merge";

AttendProgram::AttendProgram(std::shared_ptr<const Device> device) {
  if (kAttendPtxBytes == 0)
    fail(GQA_UNSUPPORTED_TARGET, "this runtime was built without clang, and so without kernels for caches on devices");
  static const gqa_device_image images[] = {{GQA_DEVICE_PTX, 80, 0, 0, kAttendPtx, kAttendPtxBytes},
                                            {0, 0, 0, 0, nullptr, 0}};
  std::vector<KernelDescription> kernels = {{kPut, 0, 0}, {kMove, 0, 0}, {kMerge, 0, 0}};
  program = std::make_unique<Program>(std::move(device), images, kernels);
}

void AttendProgram::start(StreamHandle stream, const char *kernel, int64_t x, int64_t y, int64_t sharedBytes,
                          const void *task) const {
  Device::Scope scope(getDevice());
  launchTask(*program, stream, kernel, {x, y, kAttendThreads, sharedBytes}, task);
}

void AttendProgram::put(StreamHandle stream, int32_t *to, const int32_t *words, int64_t count) const {
  PutTask task = {};
  for (int64_t first = 0; first < count; first += kMaxWords) {
    task.to = to + first;
    task.count = static_cast<int32_t>(std::min<int64_t>(count - first, kMaxWords));
    std::copy_n(words + first, task.count, task.words);
    start(stream, kPut, (task.count + kAttendThreads - 1) / kAttendThreads, 1, /*sharedBytes=*/0, &task);
  }
}

void AttendProgram::move(StreamHandle stream, const cache::RowMove &rows, bool isBack) const {
  MoveTask task = {};
  task.packed = rows.packed;
  task.rowStride = rows.rowStride;
  task.headStride = rows.headStride;
  task.headBytes = static_cast<int32_t>(rows.headBytes);
  task.heads = static_cast<int32_t>(rows.heads);
  task.count = static_cast<int32_t>(rows.count);
  task.elementBytes = static_cast<int32_t>(rows.elementBytes);
  task.isBack = isBack;
  auto size = static_cast<int64_t>(rows.firstRows->size());
  for (int64_t first = 0; first < size; first += kMaxMoves) {
    task.copied = rows.copied + first * rows.count * rows.heads * rows.headBytes;
    task.numSequences = static_cast<int32_t>(std::min<int64_t>(size - first, kMaxMoves));
    std::copy_n(rows.firstRows->begin() + first, task.numSequences, task.firstRows);
    start(stream, kMove, task.numSequences * rows.count, rows.heads, /*sharedBytes=*/0, &task);
  }
}

void AttendProgram::merge(StreamHandle stream, const MergeTask &task, int64_t rows) const {
  start(stream, kMerge, rows, 1, kMaxParts * static_cast<int64_t>(sizeof(double)), &task);
}

} // namespace gqa::cuda
