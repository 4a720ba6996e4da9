#ifndef GQA_TEST_UNIT_CACHE_FAILINGMEMORY_H
#define GQA_TEST_UNIT_CACHE_FAILINGMEMORY_H

#include "runtime/cache/CacheConfig.h"

/// A test that links FailingMemory.cpp gets all memory, that of `operator new` included, through these counters.
namespace gqa::test {

/// Lets the next `count` allocations of this thread succeed, and the one after them fail.
void failAllocationAfter(int64_t count);
void stopFailing();

/// How many allocations have failed so far.
int64_t getNumFailures();

/// Bytes that are allocated now, as asked for.
int64_t getLiveBytes();

/// An allocator for caches that fails and counts like `operator new`.
cache::Allocator getFailingAllocator();

} // namespace gqa::test

#endif // GQA_TEST_UNIT_CACHE_FAILINGMEMORY_H
