// The C interface of the KV cache.

#include "runtime/Context.h"
#include "runtime/DeviceType.h"
#include "runtime/TensorLayout.h"
#include "runtime/cache/CacheHandle.h"
#include "runtime/cache/HostBlocks.h"
#include "runtime/cache/RotaryArgument.h"
#include "runtime/cache/RowCodec.h"
#include "runtime/cache/SequenceFile.h"
#include "runtime/cache/TensorArgument.h"
#include "runtime/gqa_cache.h"

#include <algorithm>
#include <optional>

namespace gqa::cache {

namespace {

LayerConfig makeLayer(const gqa_cache_layer &layer) {
  LayerConfig config;
  config.numKvHeads = layer.num_kv_heads;
  config.keyDim = layer.key_dim;
  config.valueDim = layer.value_dim;
  config.keyType = static_cast<ElementType>(layer.key_type);
  config.valueType = static_cast<ElementType>(layer.value_type);
  config.storage = static_cast<StorageKind>(layer.storage);
  config.capacity = layer.capacity;
  config.window = layer.window;
  config.sinks = layer.sinks;
  config.slack = layer.slack;
  config.rotary = makeRotaryConfig(layer.rotary);
  return config;
}

CacheConfig makeConfig(const gqa_cache_config &config) {
  CacheConfig made;
  made.maxSequences = config.max_sequences;
  made.maxTokens = config.max_tokens;
  made.pageSize = config.page_size;
  for (int32_t i = 0; i < config.num_layers; ++i)
    made.layers.push_back(makeLayer(config.layers[i]));
  // The scales are read only when the extents are known to be sensible.
  if (std::string problem = check(made); !problem.empty())
    fail(GQA_INVALID_ARGUMENT, problem);
  for (int32_t i = 0; i < config.num_layers; ++i) {
    const gqa_cache_layer &layer = config.layers[i];
    if (const float *scales = layer.key_channel_scales)
      made.layers[static_cast<size_t>(i)].keyChannelScales.assign(scales, scales + layer.num_kv_heads * layer.key_dim);
  }
  return made;
}

Allocator getAllocator(const gqa_context &context) {
  if (!context.options.allocate)
    return Allocator::getDefault();
  return {context.options.allocate, context.options.deallocate, context.options.state};
}

void requireList(const char *what, const void *list, int32_t size) {
  if (size < 0)
    fail(GQA_INVALID_ARGUMENT, std::string("number of ") + what + " must not be negative, got " + std::to_string(size));
  if (size > 0 && !list)
    fail(GQA_INVALID_ARGUMENT, std::string(what) + " must not be null");
}

template <typename... Pointers> void require(const char *what, Pointers... pointers) {
  if ((!pointers || ...))
    fail(GQA_INVALID_ARGUMENT, std::string(what) + " must not be null");
}

/// The sum of the counts, at most what a tensor can have; a negative one is left to the cache to name.
int64_t sum(const int64_t *counts, int32_t size) {
  int64_t total = 0;
  for (int32_t i = 0; i < size; ++i)
    if (counts[i] > 0)
      total = counts[i] > INT64_MAX - total ? INT64_MAX : total + counts[i];
  return total;
}

/// The device of a cache, for one call, on the context's stream; null if the cache is in the host's memory.
class DeviceWork {
public:
  DeviceWork(const gqa_context &context, const gqa_cache &cache) {
    if (cache.device)
      work.emplace(*cache.device, static_cast<cuda::StreamHandle>(context.stream));
  }
  BlockDevice *get() { return work ? &*work : nullptr; }

private:
  std::optional<cuda::CacheDevice::Work> work;
};

void append(const gqa_context &context, gqa_cache &owner, int32_t layer, const gqa_sequence *sequences,
            const int64_t *counts, int32_t numSequences, const DLTensor *keys, const DLTensor *values) {
  const LayerConfig &config = owner.cache.getLayer(layer).getConfig();
  int64_t tokens = sum(counts, numSequences);
  TensorArgument keyRows(keys, "keys", {tokens, config.numKvHeads, config.keyDim}, /*allowsHalf=*/true,
                         owner.getDevice());
  TensorArgument valueRows(values, "values", {tokens, config.numKvHeads, config.valueDim}, /*allowsHalf=*/true,
                           owner.getDevice());
  DeviceWork device(context, owner);
  owner.cache.append(layer, sequences, counts, numSequences, keyRows.getRows(), valueRows.getRows(), device.get());
}

void rotate(const LayerStore &layer, const int64_t *positions, const TensorArgument &rows) {
  const Rotary &rotary = layer.getRotary();
  if (!rotary.isActive())
    return;
  int64_t dim = rotary.getConfig().dim;
  std::vector<float> turns(static_cast<size_t>(dim)), row(static_cast<size_t>(dim));
  for (int64_t token = 0; token < rows.shape[0]; ++token) {
    rotary.computeTurns(positions[token], turns.data());
    for (int64_t head = 0; head < rows.shape[1]; ++head) {
      int64_t offset = token * rows.strides[0] + head * rows.strides[1];
      char *data = rows.data + offset * getBits(rows.type) / 8;
      decodeRow(rows.type, data, dim, nullptr, 1.0f, row.data());
      rotary.apply(turns.data(), row.data());
      encodeRow(rows.type, row.data(), dim, nullptr, data, nullptr);
    }
  }
}

/// One of the two tensors of gqa_cache_read, checked.
struct ReadTarget {
  ReadTarget(const DLTensor *tensor, const char *what, const LayerStore &layer, const BlockArena &arena,
             const LayerState &state, int64_t begin)
      : layer(layer), arena(arena), state(state), begin(begin),
        rows(tensor, what, {-1, arena.getShape().heads, arena.getShape().dim}, /*allowsHalf=*/false) {
    checkWritable(*tensor, what);
    if (begin < 0 || begin > state.length || rows.shape[0] > state.length - begin)
      fail(GQA_INVALID_ARGUMENT, std::string(what) + ": " + std::to_string(rows.shape[0]) + " tokens from " +
                                     std::to_string(begin) + " on are not among the " + std::to_string(state.length) +
                                     " of the sequence");
    for (int64_t position = begin; position < begin + rows.shape[0]; ++position)
      if (!layer.isStored(state, position))
        fail(GQA_INVALID_ARGUMENT, std::string(what) + ": token " + std::to_string(position) +
                                       " is not stored any more; the oldest in the ring is " +
                                       std::to_string(state.oldest));
  }

  void read(BlockDevice *device) const {
    if (!device)
      return readFrom(arena);
    HostBlocks blocks(arena, state, layer.getSlots().getUsedBlocks(state.length));
    blocks.download(*device);
    readFrom(blocks);
  }

  template <typename Blocks> void readFrom(Blocks &blocks) const {
    auto *data = reinterpret_cast<float *>(rows.data);
    for (int64_t token = 0; token < rows.shape[0]; ++token)
      for (int64_t head = 0; head < rows.shape[1]; ++head)
        blocks.decode(layer.locate(state, begin + token, head),
                      data + token * rows.strides[0] + head * rows.strides[1]);
  }

  const LayerStore &layer;
  const BlockArena &arena;
  const LayerState &state;
  int64_t begin;
  TensorArgument rows;
};

void read(const gqa_context &context, const gqa_cache &owner, gqa_sequence sequence, int32_t layer, int64_t begin,
          DLTensor *keys, DLTensor *values) {
  const KVCache &cache = owner.cache;
  const LayerState &state = cache.getState(sequence, layer);
  const LayerStore &store = cache.getLayer(layer);
  std::vector<ReadTarget> targets; // all are checked before the first is written
  if (keys)
    targets.emplace_back(keys, "keys", store, store.getKeys(), state, begin);
  if (values)
    targets.emplace_back(values, "values", store, store.getValues(), state, begin);
  DeviceWork device(context, owner);
  for (const ReadTarget &target : targets)
    target.read(device.get());
}

gqa_cache_pages describePages(const BlockArena &arena) {
  const BlockArena::Shape &shape = arena.getShape();
  gqa_cache_pages pages = {};
  pages.data = arena.getRows();
  pages.type = static_cast<int32_t>(shape.type);
  pages.dim = shape.dim;
  pages.token_stride = shape.dim;
  pages.head_stride = shape.blockTokens * pages.token_stride;
  pages.page_stride = shape.heads * pages.head_stride;
  pages.scales = arena.getScales();
  if (arena.hasTokenScales()) {
    pages.scale_head_stride = shape.blockTokens;
    pages.scale_page_stride = shape.heads * shape.blockTokens;
  }
  pages.channel_scales = arena.getHostChannelScales();
  return pages;
}

gqa_cache_view describeLayer(const gqa_cache &owner, int32_t index) {
  const LayerStore &layer = owner.cache.getLayer(index);
  gqa_cache_view view = {};
  view.keys = describePages(layer.getKeys());
  view.values = describePages(layer.getValues());
  if (owner.device)
    view.keys.channel_scales = owner.device->getChannelScales(layer);
  view.num_pages = layer.getPool().getNumBlocks();
  view.num_kv_heads = layer.getConfig().numKvHeads;
  view.page_size = layer.getSlots().blockTokens;
  if (layer.getSlots().isRing()) {
    view.sinks = layer.getSlots().sinks;
    view.ring_slots = layer.getSlots().getRingSlots();
    view.slack = layer.getSlots().slack;
  }
  return view;
}

/// Where gqa_cache_get_table writes.
struct TableTarget {
  int32_t *table;
  int64_t rowSize;
  int32_t *kvLengths;
  int64_t *lengths, *needed;
};

void getTable(const KVCache &cache, int32_t layer, const gqa_sequence *sequences, int32_t numSequences,
              const TableTarget &target) {
  const SlotMap &slots = cache.getLayer(layer).getSlots();
  int64_t longest = 0;
  for (int32_t i = 0; i < numSequences; ++i)
    longest = std::max(longest, slots.getUsedBlocks(cache.getState(sequences[i], layer).length));
  if (target.needed)
    *target.needed = longest;
  if (target.table && longest > target.rowSize)
    fail(GQA_INVALID_ARGUMENT, "rows of the table must have room for " + std::to_string(longest) + " pages, got " +
                                   std::to_string(target.rowSize));
  for (int32_t i = 0; i < numSequences; ++i) {
    const LayerState &state = cache.getState(sequences[i], layer);
    if (target.table && longest > 0)
      std::copy_n(state.table.begin(), slots.getUsedBlocks(state.length), target.table + i * target.rowSize);
    if (target.kvLengths)
      target.kvLengths[i] = static_cast<int32_t>(slots.getUsedSlots(state.length));
    if (target.lengths)
      target.lengths[i] = state.length;
  }
}

} // namespace
} // namespace gqa::cache

using gqa::cache::require;
using gqa::cache::requireList;

extern "C" {

GQA_API gqa_status gqa_cache_create(gqa_context *context, const gqa_cache_config *config, gqa_cache **cache) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("config and cache", config, cache);
    *cache = nullptr;
    requireList("layers", config->layers, config->num_layers);
    *cache = new gqa_cache(gqa::cache::makeConfig(*config), gqa::cache::getAllocator(*context));
  });
}

GQA_API gqa_status gqa_cache_create_on(gqa_context *context, const gqa_cache_config *config, DLDevice device,
                                       gqa_cache **cache) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  if (gqa::getDeviceType(device) == kDLCPU)
    return gqa_cache_create(context, config, cache);
  return context->guard([&] {
    require("config and cache", config, cache);
    *cache = nullptr;
    requireList("layers", config->layers, config->num_layers);
    if (gqa::getDeviceType(device) != kDLCUDA)
      gqa::fail(GQA_INVALID_ARGUMENT, "a cache must be in CPU memory (device type " + std::to_string(kDLCPU) +
                                          ") or on a CUDA device (" + std::to_string(kDLCUDA) + "), got device type " +
                                          std::to_string(gqa::getDeviceType(device)));
    gqa::cache::CacheConfig made = gqa::cache::makeConfig(*config);
    auto place = std::make_unique<gqa::cuda::CacheDevice>(context->getDevice(device.device_id));
    context->getAttendProgram(device.device_id);
    *cache = new gqa_cache(std::move(made), std::move(place));
  });
}

GQA_API void gqa_cache_destroy(gqa_cache *cache) { delete cache; }

GQA_API int64_t gqa_cache_bytes(const gqa_cache *cache) { return cache ? cache->cache.getBytes() : 0; }

GQA_API gqa_status gqa_cache_add(gqa_context *context, gqa_cache *cache, gqa_sequence *sequence) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache and sequence", cache, sequence);
    *sequence = cache->cache.add();
  });
}

GQA_API gqa_status gqa_cache_fork(gqa_context *context, gqa_cache *cache, gqa_sequence source, int64_t length,
                                  gqa_sequence *sequence) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache and sequence", cache, sequence);
    *sequence = cache->cache.fork(source, length);
  });
}

GQA_API gqa_status gqa_cache_remove(gqa_context *context, gqa_cache *cache, gqa_sequence sequence) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    cache->cache.remove(sequence);
  });
}

GQA_API gqa_status gqa_cache_truncate(gqa_context *context, gqa_cache *cache, gqa_sequence sequence, int64_t length) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    cache->cache.truncate(sequence, length);
  });
}

GQA_API gqa_status gqa_cache_length(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence, int32_t layer,
                                    int64_t *length) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache and length", cache, length);
    *length = cache->cache.getState(sequence, layer).length;
  });
}

GQA_API gqa_status gqa_cache_reserve(gqa_context *context, gqa_cache *cache, const gqa_sequence *sequences,
                                     const int64_t *counts, int32_t num_sequences) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    requireList("sequences", sequences, num_sequences);
    requireList("counts", counts, num_sequences);
    gqa::cache::DeviceWork device(*context, *cache);
    cache->cache.reserve(sequences, counts, num_sequences, device.get());
  });
}

GQA_API gqa_status gqa_cache_append(gqa_context *context, gqa_cache *cache, int32_t layer,
                                    const gqa_sequence *sequences, const int64_t *counts, int32_t num_sequences,
                                    const DLTensor *keys, const DLTensor *values) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    requireList("sequences", sequences, num_sequences);
    requireList("counts", counts, num_sequences);
    gqa::cache::append(*context, *cache, layer, sequences, counts, num_sequences, keys, values);
  });
}

GQA_API gqa_status gqa_cache_rotate(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                    const int64_t *positions, DLTensor *rows) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    const gqa::cache::LayerStore &store = cache->cache.getLayer(layer);
    gqa::cache::TensorArgument argument(rows, "rows", {-1, -1, store.getConfig().keyDim}, /*allowsHalf=*/true,
                                        cache->getDevice());
    gqa::checkWritable(*rows, "rows");
    if (argument.shape[0] > 0)
      require("positions", positions);
    if (cache->device)
      cache->device->rotate(static_cast<gqa::cuda::StreamHandle>(context->stream), store, positions, argument.getRows(),
                            argument.shape[0], argument.shape[1]);
    else
      gqa::cache::rotate(store, positions, argument);
  });
}

GQA_API gqa_status gqa_cache_read(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence, int32_t layer,
                                  int64_t begin, DLTensor *keys, DLTensor *values) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    gqa::cache::read(*context, *cache, sequence, layer, begin, keys, values);
  });
}

GQA_API gqa_status gqa_cache_save(gqa_context *context, const gqa_cache *cache, gqa_sequence sequence,
                                  const char *path) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache and path", cache, path);
    gqa::cache::DeviceWork device(*context, *cache);
    gqa::cache::saveSequence(cache->cache, sequence, path, device.get());
  });
}

GQA_API gqa_status gqa_cache_load(gqa_context *context, gqa_cache *cache, const char *path, gqa_sequence *sequence) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache, path and sequence", cache, path, sequence);
    gqa::cache::DeviceWork device(*context, *cache);
    *sequence = gqa::cache::loadSequence(cache->cache, path, device.get());
  });
}

GQA_API gqa_status gqa_cache_get_view(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                      gqa_cache_view *view) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache and view", cache, view);
    *view = gqa::cache::describeLayer(*cache, layer);
  });
}

GQA_API gqa_status gqa_cache_get_table(gqa_context *context, const gqa_cache *cache, int32_t layer,
                                       const gqa_sequence *sequences, int32_t num_sequences, int32_t *table,
                                       int64_t row_size, int32_t *kv_lengths, int64_t *lengths, int64_t *needed) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    require("cache", cache);
    requireList("sequences", sequences, num_sequences);
    gqa::cache::getTable(cache->cache, layer, sequences, num_sequences, {table, row_size, kv_lengths, lengths, needed});
  });
}

} // extern "C"
