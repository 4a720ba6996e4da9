#ifndef GQA_RUNTIME_LAYER_DEVICESTAGE_H
#define GQA_RUNTIME_LAYER_DEVICESTAGE_H

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"

#include <array>

namespace gqa::layer {

/// Memory on a device for what attention of a layer takes and gives there, while the rest of the layer is on the host.
/// Memory grows to what is asked for and stays. Functions throw gqa::Failure.
class DeviceStage {
public:
  enum Slot { Query, Key, Value, Mask, Sinks, Output, Workspace, NumSlots };

  explicit DeviceStage(int ordinal) : device(cuda::Device::open(ordinal)), stream(device) {}

  DLDevice getDevice() const { return {kDLCUDA, device->getOrdinal()}; }

  /// While this lives, calls with `context` run on the stage's stream.
  class Use {
  public:
    Use(const DeviceStage &stage, gqa_context *context) : context(context) {
      gqa_context_set_stream(context, stage.stream.get());
    }
    ~Use() {
      gqa_context_set_stream(context, nullptr);
      gqa_context_set_workspace(context, nullptr, 0);
    }
    Use(const Use &) = delete;

  private:
    gqa_context *context;
  };

  /// Memory of at least so many bytes.
  void *reserve(Slot slot, int64_t bytes);

  /// The same, with a copy of the host's. May return before it is there; the host's may change at once.
  void *upload(Slot slot, const void *data, int64_t bytes);

  /// Waits for all work, and copies to the host.
  void download(void *data, Slot slot, int64_t bytes) const;

  /// Gives the context a workspace of so many bytes.
  void setWorkspace(gqa_context *context, int64_t bytes);

private:
  std::shared_ptr<const cuda::Device> device;
  cuda::Stream stream;
  std::array<cuda::Memory, NumSlots> memories;
};

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_DEVICESTAGE_H
