#ifndef GQA_TOOLS_CACHEERRORS_H
#define GQA_TOOLS_CACHEERRORS_H

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace gqa {

/// What storing keys and values in narrower types costs, in attention's output.
struct CacheErrorPlan {
  int64_t kvHeads = 1;
  int64_t headDim = 128;
  int64_t tokens = 2048;
  int64_t queries = 32;
  double outliers = 1; ///< every 32nd channel of the keys is so many times as large, as in real models
  uint64_t seed = 1;
};

struct CacheErrorRow {
  std::string type;         ///< of keys and values; "int8 by channel": keys with fixed scales per channel
  double bytesPerToken = 0; ///< of one layer, scales included
  double relativeError = 0; ///< root mean square of output - f32 output, over that of the f32 output
  double greatestError = 0; ///< max |output - f32 output|
  double appendSeconds = 0; ///< for all tokens, the best of some runs
};

struct CacheErrorReport {
  CacheErrorPlan plan;
  std::vector<CacheErrorRow> rows;

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// Appends pseudo-random normal keys and values to a cache of each type, reads them back, and attends in float64.
/// Throws std::runtime_error.
CacheErrorReport measureCacheErrors(const CacheErrorPlan &plan);

} // namespace gqa

#endif // GQA_TOOLS_CACHEERRORS_H
