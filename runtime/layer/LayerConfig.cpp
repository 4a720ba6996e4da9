#include "runtime/layer/LayerConfig.h"

#include "runtime/cache/RotaryArgument.h"

#include <stdexcept>
#include <string>

namespace gqa::layer {

static void require(bool holds, const std::string &message) {
  if (!holds)
    throw std::invalid_argument(message);
}

static void requirePositive(const char *what, int64_t value) {
  // Below 2^20 each, no product of three overflows.
  require(value > 0 && value <= int64_t(1) << 20, std::string(what) + " must be from 1 to " +
                                                      std::to_string(int64_t(1) << 20) + ", got " +
                                                      std::to_string(value));
}

void LayerConfig::check() const {
  requirePositive("d_model", dModel);
  requirePositive("query heads", numHeads);
  requirePositive("K/V heads", numKvHeads);
  require(numHeads % numKvHeads == 0, "query heads (" + std::to_string(numHeads) +
                                          ") must be a multiple of K/V heads (" + std::to_string(numKvHeads) + ")");
  if (headDim == 0)
    require(dModel % numHeads == 0, "d_model (" + std::to_string(dModel) + ") must be a multiple of query heads (" +
                                        std::to_string(numHeads) + ") where no head dim is given");
  requirePositive("head dim", getHeadDim());
  require(normEpsilon >= 0, "the epsilon of norms must not be negative, got " + std::to_string(normEpsilon));
  require(threads >= 0, "threads must not be negative, got " + std::to_string(threads));
  std::string problem = cache::check(cache::makeRotaryConfig(rotary), getHeadDim());
  require(problem.empty(), problem);
}

gqa_cache_layer LayerConfig::describeCacheLayer(gqa_cache_type type, int64_t capacity) const {
  gqa_cache_layer layer = {};
  layer.num_kv_heads = numKvHeads;
  layer.key_dim = layer.value_dim = getHeadDim();
  layer.key_type = layer.value_type = type;
  layer.storage = GQA_CACHE_CONTIGUOUS;
  layer.capacity = capacity;
  layer.rotary = rotary;
  return layer;
}

} // namespace gqa::layer
