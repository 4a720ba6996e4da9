#ifndef GQA_TEST_FUZZ_CACHEDKERNEL_H
#define GQA_TEST_FUZZ_CACHEDKERNEL_H

#include "test/fuzz/FuzzCase.h"
#include "test/fuzz/RandomProblem.h"
#include "tools/CachedProblem.h"

namespace gqa {

/// Dimensions that a function's twin on a cache has dynamic: the function's own, and those of pages.
std::set<Dim> getCachedDims(const FuzzFunction &function, const CacheLayout &layout);

/// Rounds keys and values of a case to what a cache of this layout can hold, so that reading them back is exact but for
/// a rounding of the product with the scale.
void roundToCache(FuzzCase &fuzzCase, const CacheLayout &layout);

/// A kernel on dense arguments of `problem` that stores keys and values in a cache first, and calls `cached`, which
/// takes the arguments of makeCachedProblem(). Pages lie in a random order, different in every call; those that nobody
/// uses are NaN, and unused entries of the block table any numbers.
Kernel makeCachedKernel(const AttentionProblem &problem, const CacheLayout &layout, Kernel cached, Random &random);

} // namespace gqa

#endif // GQA_TEST_FUZZ_CACHEDKERNEL_H
