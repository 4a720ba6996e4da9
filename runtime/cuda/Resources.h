#ifndef GQA_RUNTIME_CUDA_RESOURCES_H
#define GQA_RUNTIME_CUDA_RESOURCES_H

#include "runtime/cuda/Device.h"

#include <functional>

namespace gqa::cuda {

/// Device memory, freed in the end. What it holds is undefined.
class Memory {
public:
  Memory() = default;
  /// Throws gqa::Failure.
  Memory(std::shared_ptr<const Device> device, size_t bytes);
  ~Memory();
  Memory(Memory &&other) noexcept : device(std::move(other.device)), pointer(other.pointer), bytes(other.bytes) {}
  Memory &operator=(Memory &&other) noexcept;

  void *get() const { return reinterpret_cast<void *>(pointer); }
  Pointer getPointer() const { return pointer; }
  size_t getBytes() const { return bytes; }

private:
  std::shared_ptr<const Device> device;
  Pointer pointer = 0;
  size_t bytes = 0;
};

/// A stream that does not wait for the default one.
class Stream {
public:
  explicit Stream(std::shared_ptr<const Device> device);
  ~Stream();
  Stream(const Stream &) = delete;

  StreamHandle get() const { return handle; }
  const std::shared_ptr<const Device> &getSharedDevice() const { return device; }

  /// Copies and fills are ordered on the stream. What `upload` reads, and `download` writes, must stay until
  /// synchronize().
  void upload(Pointer to, const void *from, size_t bytes) const;
  void download(void *to, Pointer from, size_t bytes) const;
  void copy(Pointer to, Pointer from, size_t bytes) const;
  void fill(Pointer to, uint8_t value, size_t bytes) const;

  /// Waits for all that was started on the stream; throws what went wrong in it.
  void synchronize() const;

private:
  std::shared_ptr<const Device> device;
  StreamHandle handle = nullptr;
};

/// Work that a stream was given once, to be given to it again and again (a CUDA graph).
class Graph {
public:
  /// Captures what `work` starts on `stream`. Throws what `work` throws, and gqa::Failure.
  Graph(const Stream &stream, const std::function<void()> &work);
  ~Graph();
  Graph(const Graph &) = delete;

  void launch(const Stream &stream) const;

private:
  std::shared_ptr<const Device> device;
  GraphExecHandle executable = nullptr;
};

/// A moment on a stream, for measuring time.
class Event {
public:
  explicit Event(std::shared_ptr<const Device> device);
  ~Event();
  Event(Event &&other) noexcept : device(std::move(other.device)), handle(other.handle) {}

  void record(const Stream &stream) const;
  void synchronize() const;
  /// Seconds from `start` to this; both are over.
  double getSecondsSince(const Event &start) const;

private:
  std::shared_ptr<const Device> device;
  EventHandle handle = nullptr;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_RESOURCES_H
