#ifndef GQA_RUNTIME_CACHE_BLOCKDEVICE_H
#define GQA_RUNTIME_CACHE_BLOCKDEVICE_H

#include "runtime/cache/RowRun.h"

#include <vector>

namespace gqa::cache {

class BlockArena;
class LayerStore;
struct TokenRows;

/// The device that the blocks of a cache are on, if they are not in the host's memory. It does what the host cannot do
/// itself, in the order of the calls. Functions throw gqa::Failure.
class BlockDevice {
public:
  virtual ~BlockDevice() = default;

  /// Copies between places on the device.
  virtual void copy(void *to, const void *from, int64_t bytes) = 0;
  /// Copies from and to the host; the host's memory may be used at once when they return.
  virtual void upload(void *to, const void *from, int64_t bytes) = 0;
  virtual void download(void *to, const void *from, int64_t bytes) = 0;

  /// Encodes rows of `source` into `arena`, which is the keys or the values of `layer`; keys are rotated.
  virtual void append(const LayerStore &layer, const BlockArena &arena, const std::vector<RowRun> &runs,
                      const TokenRows &source) = 0;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_BLOCKDEVICE_H
