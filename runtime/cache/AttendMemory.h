#ifndef GQA_RUNTIME_CACHE_ATTENDMEMORY_H
#define GQA_RUNTIME_CACHE_ATTENDMEMORY_H

#include "runtime/cache/RowMove.h"
#include "runtime/cuda/AttendProgram.h"

#include <dlpack/dlpack.h>

#include <algorithm>

namespace gqa::cache {

/// What a call of gqa_cache_attend makes for an entry beside its caller's tensors: tables, lengths, copies of rows, the
/// entry's workspace. It lies where the cache does, and is made anew for each call of an entry.
class AttendMemory {
public:
  virtual ~AttendMemory() = default;

  virtual DLDevice getDevice() const = 0;

  /// Whether nothing is to be computed, but only memory to be counted.
  virtual bool isMeasuring() const { return false; }

  /// Memory until clear(). Throws std::bad_alloc.
  virtual void *take(int64_t bytes) = 0;
  virtual void clear() = 0;

  /// Copies numbers of the host to memory that was taken.
  virtual void put(int32_t *to, const std::vector<int32_t> &words) = 0;

  /// Copies rows to where they lie densely, or back.
  virtual void move(const RowMove &rows, bool isBack) = 0;
};

/// In the host's memory.
class HostAttendMemory : public AttendMemory {
public:
  DLDevice getDevice() const override { return {kDLCPU, 0}; }
  void *take(int64_t bytes) override;
  void clear() override { buffers.clear(); }
  void put(int32_t *to, const std::vector<int32_t> &words) override;
  void move(const RowMove &rows, bool isBack) override;

private:
  std::vector<std::vector<char>> buffers;
};

/// Counts the bytes of workspace on a device. Addresses are those of a workspace that nobody has.
class WorkspaceMeasure : public AttendMemory {
public:
  static constexpr int64_t kAlignment = 256;

  explicit WorkspaceMeasure(DLDevice device, char *begin = nullptr) : device(device), begin(begin) {}

  DLDevice getDevice() const override { return device; }
  bool isMeasuring() const override { return true; }
  void *take(int64_t bytes) override;
  void clear() override { used = 0; }
  void put(int32_t *, const std::vector<int32_t> &) override {}
  void move(const RowMove &, bool) override {}

  /// The most that was taken between two calls of clear().
  int64_t getBytes() const { return most; }

private:
  DLDevice device;
  char *begin;
  int64_t used = 0, most = 0;
};

/// In the workspace that the context has on a device, in the order of a stream: what a call of an entry has left is
/// overwritten by the next one's.
class WorkspaceMemory : public WorkspaceMeasure {
public:
  WorkspaceMemory(const cuda::AttendProgram &program, cuda::StreamHandle stream, void *workspace)
      : WorkspaceMeasure({kDLCUDA, program.getDevice().getOrdinal()}, static_cast<char *>(workspace)), program(program),
        stream(stream) {}

  bool isMeasuring() const override { return false; }
  void put(int32_t *to, const std::vector<int32_t> &words) override {
    program.put(stream, to, words.data(), static_cast<int64_t>(words.size()));
  }
  void move(const RowMove &rows, bool isBack) override { program.move(stream, rows, isBack); }

private:
  const cuda::AttendProgram &program;
  cuda::StreamHandle stream;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ATTENDMEMORY_H
