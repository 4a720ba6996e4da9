#include "runtime/cuda/CacheDevice.h"

#include "runtime/Failure.h"
#include "runtime/cuda/CachePtx.h"
#include "runtime/cuda/DeviceCalls.h"

#include <algorithm>

namespace gqa::cuda {

constexpr char kAppend[] = "gqa_cache_append", kRotate[] = "gqa_cache_rotate";

CacheDevice::CacheDevice(std::shared_ptr<const Device> owner) : device(std::move(owner)) {
  if (kCachePtxBytes == 0)
    fail(GQA_UNSUPPORTED_TARGET, "this runtime was built without clang, and so without kernels for caches on devices");
  static const gqa_device_image images[] = {{GQA_DEVICE_PTX, 80, 0, 0, kCachePtx, kCachePtxBytes},
                                            {0, 0, 0, 0, nullptr, 0}};
  std::vector<KernelDescription> kernels = {{kAppend, 0, 0}, {kRotate, 0, 0}};
  program = std::make_unique<Program>(device, images, kernels);
}

cache::Allocator CacheDevice::getAllocator() {
  auto allocate = [](void *state, int64_t bytes, int64_t) -> void * {
    auto *self = static_cast<CacheDevice *>(state);
    Memory memory(self->device, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
    void *pointer = memory.get();
    std::lock_guard<std::mutex> lock(self->mutex);
    self->allocations.emplace(pointer, std::move(memory));
    return pointer;
  };
  auto deallocate = [](void *state, void *pointer) {
    auto *self = static_cast<CacheDevice *>(state);
    std::lock_guard<std::mutex> lock(self->mutex);
    self->allocations.erase(pointer);
  };
  return {allocate, deallocate, this};
}

void CacheDevice::setLayers(const cache::KVCache &cache) {
  Stream stream(device);
  auto put = [&](const void *data, size_t bytes) {
    Memory memory(device, bytes);
    stream.upload(memory.getPointer(), data, bytes);
    return memory;
  };
  for (int64_t index = 0; index < cache.getNumLayers(); ++index) {
    const cache::LayerStore &layer = cache.getLayer(index);
    const std::vector<double> &frequencies = layer.getRotary().getFrequencies();
    const std::vector<float> &scales = layer.getConfig().keyChannelScales;
    layers[&layer] = {put(frequencies.data(), frequencies.size() * sizeof(double)),
                      put(scales.data(), scales.size() * sizeof(float))};
  }
  stream.synchronize();
}

const float *CacheDevice::getChannelScales(const cache::LayerStore &layer) const {
  return static_cast<const float *>(layers.at(&layer).channelScales.get());
}

DeviceRotary CacheDevice::makeRotary(const cache::LayerStore &layer) const {
  const cache::Rotary &rotary = layer.getRotary();
  if (!rotary.isActive())
    return {};
  return {static_cast<const double *>(layers.at(&layer).frequencies.get()), rotary.getAttentionFactor(),
          static_cast<int32_t>(rotary.getConfig().dim / 2),
          rotary.getConfig().pairs == cache::RotaryPairs::Interleaved};
}

void CacheDevice::start(StreamHandle stream, const char *kernel, int64_t tokens, int64_t heads, int64_t sharedBytes,
                        const void *task) const {
  launchTask(*program, stream, kernel, {tokens, heads, kCacheThreads, sharedBytes}, task);
}

void CacheDevice::rotate(StreamHandle stream, const cache::LayerStore &layer, const int64_t *positions,
                         const cache::TokenRows &rows, int64_t tokens, int64_t heads) const {
  DeviceRotary rotary = makeRotary(layer);
  if (!rotary.frequencies)
    return;
  Device::Scope scope(*device);
  RotateTask task = {};
  task.rotary = rotary;
  for (int64_t first = 0; first < tokens; first += kMaxPositions) {
    int64_t count = std::min<int64_t>(tokens - first, kMaxPositions);
    std::copy_n(positions + first, count, task.positions);
    int64_t bytes = first * rows.tokenStride * cache::getBits(rows.type) / 8;
    task.rows = {const_cast<char *>(static_cast<const char *>(rows.data)) + bytes, rows.tokenStride, rows.headStride,
                 rows.type, static_cast<int32_t>(layer.getConfig().keyDim)};
    start(stream, kRotate, count, heads, /*sharedBytes=*/0, &task);
  }
}

void CacheDevice::Work::copy(void *to, const void *from, int64_t bytes) {
  getDriver().check(getDriver().cuMemcpyDtoDAsync_v2(reinterpret_cast<Pointer>(to), reinterpret_cast<Pointer>(from),
                                                     static_cast<size_t>(bytes), stream),
                    "cuMemcpyDtoDAsync");
}

void CacheDevice::Work::upload(void *to, const void *from, int64_t bytes) {
  getDriver().check(
      getDriver().cuMemcpyHtoDAsync_v2(reinterpret_cast<Pointer>(to), from, static_cast<size_t>(bytes), stream),
      "cuMemcpyHtoDAsync");
  synchronize();
}

void CacheDevice::Work::download(void *to, const void *from, int64_t bytes) {
  getDriver().check(
      getDriver().cuMemcpyDtoHAsync_v2(to, reinterpret_cast<Pointer>(from), static_cast<size_t>(bytes), stream),
      "cuMemcpyDtoHAsync");
  synchronize();
}

void CacheDevice::Work::synchronize() {
  getDriver().check(getDriver().cuStreamSynchronize(stream), "cuStreamSynchronize");
}

void CacheDevice::Work::append(const cache::LayerStore &layer, const cache::BlockArena &arena,
                               const std::vector<cache::RowRun> &runs, const cache::TokenRows &source) {
  const cache::BlockArena::Shape &shape = arena.getShape();
  bool isKey = &arena == &layer.getKeys();
  AppendTask task = {};
  task.source = {const_cast<void *>(source.data), source.tokenStride, source.headStride, source.type,
                 static_cast<int32_t>(shape.dim)};
  if (isKey)
    task.rotary = owner.makeRotary(layer);
  task.rows = const_cast<uint8_t *>(arena.getRow({0, 0, 0}));
  task.scales = arena.getScales();
  task.channelScales = isKey ? owner.getChannelScales(layer) : nullptr;
  task.blockTokens = shape.blockTokens;
  task.type = shape.type;
  task.heads = static_cast<int32_t>(shape.heads);
  for (size_t first = 0; first < runs.size(); first += kMaxRuns) {
    task.numRuns = static_cast<int32_t>(std::min<size_t>(runs.size() - first, kMaxRuns));
    std::copy_n(runs.begin() + static_cast<int64_t>(first), task.numRuns, task.runs);
    int64_t tokens = 0;
    for (int run = 0; run < task.numRuns; ++run)
      tokens += task.runs[run].count;
    owner.start(stream, kAppend, tokens, shape.heads, shape.dim * static_cast<int64_t>(sizeof(float)), &task);
  }
}

} // namespace gqa::cuda
