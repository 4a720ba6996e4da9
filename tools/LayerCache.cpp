#include "tools/LayerCache.h"

#include <algorithm>
#include <stdexcept>

namespace gqa {
namespace {

/// By gqa_cache_type: the name in options, and in --for-cache.
constexpr const char *kTypes[][2] = {{"f32", "f32"}, {"f16", "f16"},    {"bf16", "bf16"},
                                     {"int8", "i8"}, {"fp8", "f8e4m3"}, {"int4", "i4"}};

int32_t findType(const std::string &name) {
  const auto *found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto &row) { return name == row[0]; });
  if (found == std::end(kTypes))
    throw std::invalid_argument("a KV cache has no type '" + name + "'");
  return static_cast<int32_t>(found - std::begin(kTypes));
}

} // namespace

void LayerCache::check(int64_t headDim) const {
  if (isRing() && window < 1)
    throw std::runtime_error("a ring needs --window, or a model that has one");
  if (!isRing() && (window > 0 || sinks > 0))
    throw std::runtime_error("--window and --sinks are of --cache ring");
  if ((pageSize & (pageSize - 1)) != 0)
    throw std::runtime_error("--page-size must be a power of two, got " + std::to_string(pageSize));
  if (type == "int4" && headDim % 2 != 0)
    throw std::runtime_error("--cache-dtype int4 needs an even head dim, got " + std::to_string(headDim));
}

std::string LayerCache::describe() const {
  if (storage == GQA_CACHE_CONTIGUOUS)
    return "contiguous";
  std::string pages = "pages of " + std::to_string(pageSize);
  if (!isRing())
    return pages;
  return "ring, window " + std::to_string(window) + ", sinks " + std::to_string(sinks) + ", slack " +
         std::to_string(slack) + ", " + pages;
}

std::string LayerCache::printStorage() const {
  if (storage == GQA_CACHE_CONTIGUOUS)
    return "page-size=contiguous";
  std::string pages = "page-size=" + std::to_string(pageSize);
  if (!isRing())
    return pages;
  return pages + ",window=" + std::to_string(window) + ",sinks=" + std::to_string(sinks) +
         ",slack=" + std::to_string(slack);
}

std::string LayerCache::printType() const { return kTypes[findType(type)][1]; }

void LayerCache::apply(gqa_cache_layer &layer) const {
  layer.key_type = layer.value_type = findType(type);
  layer.storage = storage;
  if (!isRing())
    return;
  layer.window = window;
  layer.sinks = sinks;
  layer.slack = slack;
}

int64_t LayerCache::countKept(int64_t tokens) const {
  return isRing() ? std::min(tokens, sinks + window + slack) : tokens;
}

std::vector<uint8_t> LayerCache::makeMask(int64_t tokens) const {
  if (!isRing())
    return {};
  std::vector<uint8_t> mask(static_cast<size_t>(tokens * tokens));
  for (int64_t query = 0; query < tokens; ++query)
    for (int64_t key = 0; key < tokens; ++key)
      mask[static_cast<size_t>(query * tokens + key)] = key < sinks || key > query - window;
  return mask;
}

} // namespace gqa
