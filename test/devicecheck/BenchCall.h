#ifndef GQA_TEST_DEVICECHECK_BENCHCALL_H
#define GQA_TEST_DEVICECHECK_BENCHCALL_H

#include "test/devicecheck/CheckFunctions.h"
#include "tools/LoadedArtifact.h"

#include <nlohmann/json.hpp>

namespace gqa {

/// Times one function of the bench stage and checks a sample of its rows. `device`: CPU or CUDA; `isSmall`: sizes that
/// say nothing of speed. Throws std::exception if a result is wrong.
nlohmann::ordered_json runCacheBench(const CheckFunction &function, const LoadedArtifact &artifact, DLDevice device,
                                     bool isSmall);

/// The same for functions that are not on a cache.
nlohmann::ordered_json runBench(const CheckFunction &function, const LoadedArtifact &artifact, DLDevice device,
                                bool isSmall);

} // namespace gqa

#endif // GQA_TEST_DEVICECHECK_BENCHCALL_H
