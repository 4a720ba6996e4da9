#ifndef GQA_RUNTIME_CUDA_CACHEDEVICE_H
#define GQA_RUNTIME_CUDA_CACHEDEVICE_H

#include "runtime/cache/BlockDevice.h"
#include "runtime/cache/KVCache.h"
#include "runtime/cuda/CacheKernels.h"
#include "runtime/cuda/Program.h"
#include "runtime/cuda/Resources.h"

#include <dlpack/dlpack.h>

namespace gqa::cuda {

/// What a cache on a device has there beside its blocks: the kernels that write rows, and the constants of layers.
class CacheDevice {
public:
  /// Loads the kernels. Throws gqa::Failure.
  explicit CacheDevice(std::shared_ptr<const Device> device);

  /// Takes device memory; throws gqa::Failure when there is none. The allocator is valid as long as this.
  cache::Allocator getAllocator();

  /// Uploads the constants of the layers, once.
  void setLayers(const cache::KVCache &cache);

  DLDevice getDevice() const { return {kDLCUDA, device->getOrdinal()}; }

  /// The channel scales of a layer's keys on the device, or null.
  const float *getChannelScales(const cache::LayerStore &layer) const;

  /// Rotates rows [tokens, heads, dim] in place as `layer` rotates keys, token t to positions[t].
  void rotate(StreamHandle stream, const cache::LayerStore &layer, const int64_t *positions,
              const cache::TokenRows &rows, int64_t tokens, int64_t heads) const;

  /// The device as a cache sees it during a call that is ordered on `stream`.
  class Work : public cache::BlockDevice {
  public:
    Work(const CacheDevice &owner, StreamHandle stream) : owner(owner), scope(*owner.device), stream(stream) {}
    void copy(void *to, const void *from, int64_t bytes) override;
    void upload(void *to, const void *from, int64_t bytes) override;
    void download(void *to, const void *from, int64_t bytes) override;
    void append(const cache::LayerStore &layer, const cache::BlockArena &arena, const std::vector<cache::RowRun> &runs,
                const cache::TokenRows &source) override;

  private:
    const Driver &getDriver() const { return owner.device->getDriver(); }
    void synchronize();

    const CacheDevice &owner;
    Device::Scope scope;
    StreamHandle stream;
  };

private:
  struct LayerConstants {
    Memory frequencies, channelScales;
  };
  DeviceRotary makeRotary(const cache::LayerStore &layer) const;
  void start(StreamHandle stream, const char *kernel, int64_t tokens, int64_t heads, int64_t sharedBytes,
             const void *task) const;

  std::shared_ptr<const Device> device;
  std::unique_ptr<Program> program;
  std::map<const cache::LayerStore *, LayerConstants> layers;
  std::mutex mutex;
  std::map<void *, Memory> allocations;
};

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_CACHEDEVICE_H
