#ifndef GQA_RUNTIME_CACHE_CACHEHANDLE_H
#define GQA_RUNTIME_CACHE_CACHEHANDLE_H

#include "runtime/cache/KVCache.h"
#include "runtime/cuda/CacheDevice.h"

#include <memory>

/// The state behind a gqa_cache.
struct gqa_cache {
  gqa_cache(gqa::cache::CacheConfig config, const gqa::cache::Allocator &allocator)
      : cache(std::move(config), allocator) {}
  gqa_cache(gqa::cache::CacheConfig config, std::unique_ptr<gqa::cuda::CacheDevice> place)
      : device(std::move(place)), cache(std::move(config), device->getAllocator()) {
    device->setLayers(cache);
  }

  DLDevice getDevice() const { return device ? device->getDevice() : DLDevice{kDLCPU, 0}; }

  std::unique_ptr<gqa::cuda::CacheDevice> device; ///< null: in the host's memory
  gqa::cache::KVCache cache;
};

#endif // GQA_RUNTIME_CACHE_CACHEHANDLE_H
