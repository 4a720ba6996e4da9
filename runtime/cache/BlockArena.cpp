#include "runtime/cache/BlockArena.h"

#include "runtime/cache/RowCodec.h"

#include <cstring>
#include <new>

namespace gqa::cache {

/// A cache line, and the widest vector.
constexpr int64_t kAlignment = 64;

static int64_t roundUp(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

BlockArena::Memory BlockArena::allocate(int64_t bytes, const Allocator &allocator) {
  void *pointer = allocator.allocate(allocator.state, roundUp(bytes), kAlignment);
  if (!pointer)
    throw std::bad_alloc();
  return Memory(static_cast<uint8_t *>(pointer), Deallocate{allocator});
}

BlockArena::BlockArena(const Shape &shape, const float *channelScales, const Allocator &allocator)
    : shape(shape), rowBytes(cache::getRowBytes(shape.type, shape.dim)), channelScales(channelScales),
      rows(allocate(getNumRows() * rowBytes, allocator)), scales(nullptr, Deallocate{allocator}) {
  if (isQuantised(shape.type) && !channelScales)
    scales = allocate(getNumRows() * static_cast<int64_t>(sizeof(float)), allocator);
}

void BlockArena::encode(const Row &row, const float *values) {
  const float *channels = channelScales ? channelScales + row.head * shape.dim : nullptr;
  encodeRow(shape.type, values, shape.dim, channels, getRow(row), scales ? getScale(row) : nullptr);
}

void BlockArena::decode(const Row &row, float *values) const {
  const float *channels = channelScales ? channelScales + row.head * shape.dim : nullptr;
  decodeRow(shape.type, getRow(row), shape.dim, channels, scales ? *getScale(row) : 1.0f, values);
}

void BlockArena::copyBlock(int32_t from, int32_t to, BlockDevice *device) {
  auto copy = [&](void *target, const void *source, int64_t bytes) {
    if (device)
      device->copy(target, source, bytes);
    else
      std::memcpy(target, source, static_cast<size_t>(bytes));
  };
  int64_t blockRows = shape.heads * shape.blockTokens;
  copy(getRow({to, 0, 0}), getRow({from, 0, 0}), blockRows * rowBytes);
  if (scales)
    copy(getScale({to, 0, 0}), getScale({from, 0, 0}), blockRows * static_cast<int64_t>(sizeof(float)));
}

int64_t BlockArena::getBytes() const {
  return roundUp(getNumRows() * rowBytes) + (scales ? roundUp(getNumRows() * static_cast<int64_t>(sizeof(float))) : 0);
}

} // namespace gqa::cache
