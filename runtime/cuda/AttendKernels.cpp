// Kernels beside attention on a device. As CacheKernels.cpp, this is compiled for NVPTX, and for a CPU in tests.

#include "runtime/cuda/AttendKernels.h"
#include "runtime/PartialWeights.h"

namespace gqa::cuda {
namespace {

void put(const PutTask &task, int64_t index) {
  if (index < task.count)
    task.to[index] = task.words[index];
}

template <typename Element> void copy(char *to, const char *from, int32_t bytes, int thread, int threads) {
  for (int i = thread; i < bytes / static_cast<int>(sizeof(Element)); i += threads)
    reinterpret_cast<Element *>(to)[i] = reinterpret_cast<const Element *>(from)[i];
}

void move(const MoveTask &task, int64_t row, int64_t head, int thread, int threads) {
  int64_t token = task.firstRows[row / task.count] + row % task.count;
  char *packed = task.packed + token * task.rowStride + head * task.headStride;
  char *copied = task.copied + (row * task.heads + head) * task.headBytes;
  char *to = task.isBack ? packed : copied, *from = task.isBack ? copied : packed;
  if (task.elementBytes == 4)
    copy<uint32_t>(to, from, task.headBytes, thread, threads);
  else if (task.elementBytes == 2)
    copy<uint16_t>(to, from, task.headBytes, thread, threads);
  else
    copy<uint8_t>(to, from, task.headBytes, thread, threads);
}

/// One row, in two steps with a barrier between them: the result may lie over a part.
class RowMerger {
public:
  RowMerger(const MergeTask &task, int64_t row, double *weights)
      : task(task), weights(weights), sum([&](int64_t part) { return getLse(task.parts[part], row); }, task.numParts),
        row(row) {}

  void weigh(int thread, int threads) const {
    for (int part = thread; part < task.numParts; part += threads)
      weights[part] = sum.get(getLse(task.parts[part], row));
  }

  void merge(int thread, int threads) const {
    float *output = task.result.output + getOffset(task.result.outputStrides, row);
    for (int64_t d = thread; d < task.dv; d += threads)
      output[d] = sum.merge(weights, [&](int64_t part) { return getOutput(task.parts[part], row)[d]; }, task.numParts);
    if (thread == 0)
      task.result.lse[getOffset(task.result.lseStrides, row)] = sum.getLse();
  }

private:
  int64_t getOffset(const int64_t *strides, int64_t index) const {
    int64_t offset = 0;
    for (int dim = kMergedDims - 1; dim >= 0; --dim) {
      offset += index % task.shape[dim] * strides[dim];
      index /= task.shape[dim];
    }
    return offset;
  }
  float getLse(const MergePlace &place, int64_t index) const { return place.lse[getOffset(place.lseStrides, index)]; }
  const float *getOutput(const MergePlace &place, int64_t index) const {
    return place.output + getOffset(place.outputStrides, index);
  }

  const MergeTask &task;
  double *weights;
  PartialWeights sum;
  int64_t row;
};

} // namespace
} // namespace gqa::cuda

using namespace gqa::cuda;

#ifdef __NVPTX__

extern __attribute__((address_space(3))) double gqa_weights[];

extern "C" __attribute__((device_kernel)) void gqa_attend_put(const PutTask task) {
  put(task, int64_t(__nvvm_read_ptx_sreg_ctaid_x()) * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x());
}

extern "C" __attribute__((device_kernel)) void gqa_attend_move(const MoveTask task) {
  move(task, __nvvm_read_ptx_sreg_ctaid_x(), __nvvm_read_ptx_sreg_ctaid_y(), __nvvm_read_ptx_sreg_tid_x(),
       __nvvm_read_ptx_sreg_ntid_x());
}

extern "C" __attribute__((device_kernel)) void gqa_attend_merge(const MergeTask task) {
  RowMerger merger(task, __nvvm_read_ptx_sreg_ctaid_x(), (double *)gqa_weights);
  int thread = __nvvm_read_ptx_sreg_tid_x(), threads = __nvvm_read_ptx_sreg_ntid_x();
  merger.weigh(thread, threads);
  __syncthreads();
  merger.merge(thread, threads);
}

#else

/// Calls `body(x, y, thread)` for each thread.
template <typename Body> static void forEachThread(const unsigned *grid, const unsigned *block, Body body) {
  for (unsigned y = 0; y < grid[1]; ++y)
    for (unsigned x = 0; x < grid[0]; ++x)
      for (unsigned thread = 0; thread < block[0]; ++thread)
        body(x, y, static_cast<int>(thread));
}

extern "C" void gqa_attend_put(const unsigned *grid, const unsigned *block, void **parameters) {
  auto &task = *static_cast<const PutTask *>(parameters[0]);
  forEachThread(grid, block, [&](unsigned x, unsigned, int thread) { put(task, int64_t(x) * block[0] + thread); });
}

extern "C" void gqa_attend_move(const unsigned *grid, const unsigned *block, void **parameters) {
  auto &task = *static_cast<const MoveTask *>(parameters[0]);
  forEachThread(grid, block, [&](unsigned row, unsigned head, int thread) {
    move(task, row, head, thread, static_cast<int>(block[0]));
  });
}

extern "C" void gqa_attend_merge(const unsigned *grid, const unsigned *block, void **parameters) {
  auto &task = *static_cast<const MergeTask *>(parameters[0]);
  auto threads = static_cast<int>(block[0]);
  double weights[kMaxParts];
  for (unsigned row = 0; row < grid[0]; ++row) {
    RowMerger merger(task, row, weights);
    for (int thread = 0; thread < threads; ++thread)
      merger.weigh(thread, threads);
    for (int thread = 0; thread < threads; ++thread)
      merger.merge(thread, threads);
  }
}

#endif
