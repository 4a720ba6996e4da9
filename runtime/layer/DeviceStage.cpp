#include "runtime/layer/DeviceStage.h"

#include <algorithm>

namespace gqa::layer {

void *DeviceStage::reserve(Slot slot, int64_t bytes) {
  cuda::Memory &memory = memories[slot];
  auto size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  if (memory.getBytes() < size) {
    stream.synchronize(); // what reads the old memory
    memory = cuda::Memory();
    memory = cuda::Memory(device, size);
  }
  return memory.get();
}

void *DeviceStage::upload(Slot slot, const void *data, int64_t bytes) {
  void *memory = reserve(slot, bytes);
  stream.upload(memories[slot].getPointer(), data, static_cast<size_t>(bytes));
  return memory;
}

void DeviceStage::download(void *data, Slot slot, int64_t bytes) const {
  stream.download(data, memories[slot].getPointer(), static_cast<size_t>(bytes));
  stream.synchronize();
}

void DeviceStage::setWorkspace(gqa_context *context, int64_t bytes) {
  void *memory = reserve(Workspace, bytes);
  gqa_context_set_workspace(context, memory, static_cast<int64_t>(memories[Workspace].getBytes()));
}

} // namespace gqa::layer
