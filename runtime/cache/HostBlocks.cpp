#include "runtime/cache/HostBlocks.h"

#include "runtime/cache/RowCodec.h"

namespace gqa::cache {

HostBlocks::HostBlocks(const BlockArena &arena, const LayerState &state, int64_t numBlocks) : arena(arena) {
  for (int64_t i = 0; i < numBlocks; ++i)
    places.emplace(state.table[static_cast<size_t>(i)], i);
  rows.resize(static_cast<size_t>(numBlocks * getBlockRows() * arena.getRowBytes()));
  if (arena.hasTokenScales())
    scales.resize(static_cast<size_t>(numBlocks * getBlockRows()));
}

void HostBlocks::download(BlockDevice &device) {
  for (auto [block, place] : places) {
    BlockArena::Row first = {block, 0, 0};
    device.download(getRow(first), arena.getRow(first), getBlockRows() * arena.getRowBytes());
    if (arena.hasTokenScales())
      device.download(getScale(first), arena.getScale(first), getBlockRows() * static_cast<int64_t>(sizeof(float)));
  }
}

void HostBlocks::upload(BlockDevice &device) const {
  auto *self = const_cast<HostBlocks *>(this);
  for (auto [block, place] : places) {
    BlockArena::Row first = {block, 0, 0};
    auto *to = const_cast<uint8_t *>(arena.getRow(first));
    device.upload(to, self->getRow(first), getBlockRows() * arena.getRowBytes());
    if (arena.hasTokenScales())
      device.upload(const_cast<float *>(arena.getScale(first)), self->getScale(first),
                    getBlockRows() * static_cast<int64_t>(sizeof(float)));
  }
}

void HostBlocks::decode(const BlockArena::Row &row, float *values) {
  const BlockArena::Shape &shape = arena.getShape();
  const float *channels = arena.getHostChannelScales() ? arena.getHostChannelScales() + row.head * shape.dim : nullptr;
  decodeRow(shape.type, getRow(row), shape.dim, channels, hasTokenScales() ? *getScale(row) : 1.0f, values);
}

} // namespace gqa::cache
