#ifndef GQA_TEST_FUZZ_RANDOMPROBLEM_H
#define GQA_TEST_FUZZ_RANDOMPROBLEM_H

#include "test/fuzz/Random.h"
#include "tools/AttentionProblem.h"
#include "tools/CachedProblem.h"

#include <set>

namespace gqa {

/// A function to compile: the extents of its dynamic dimensions are drawn anew for each call.
struct FuzzFunction {
  AttentionProblem problem;
  std::set<Dim> dynamicDims;
};

/// Draws head counts, head dims, lengths, options, layouts and element types.
FuzzFunction makeRandomFunction(Random &random);

/// A function with a twin on a KV cache: key and value are [b, hkv, n, d].
struct CachedFuzzFunction {
  FuzzFunction dense;
  CacheLayout layout;
};
CachedFuzzFunction makeRandomCachedFunction(Random &random);

/// The nearest function that kernels on a GPU can compute: head dims last and multiples of 8.
FuzzFunction restrictToGpu(FuzzFunction function);

/// The element type to which weights may be rounded: the values' own, or, where a GPU multiplies quantised ones as the
/// query's half type, that.
ElementType getWeightType(const AttentionProblem &problem, const CacheLayout &layout, bool isOnGpu);

/// The problem of one call.
AttentionProblem makeRandomCall(const FuzzFunction &function, Random &random);

/// One line that says everything about a problem but its data.
std::string describe(const AttentionProblem &problem, const std::set<Dim> &dynamicDims);

} // namespace gqa

#endif // GQA_TEST_FUZZ_RANDOMPROBLEM_H
