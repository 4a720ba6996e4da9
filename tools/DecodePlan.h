#ifndef GQA_TOOLS_DECODEPLAN_H
#define GQA_TOOLS_DECODEPLAN_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gqa {

/// Decoding on a KV cache, one new token per sequence, in many layouts of the cache.
struct DecodePlan {
  int64_t heads = 32, kvHeads = 8, headDim = 128;
  int64_t tokens = 8192;  ///< of a sequence
  int64_t sequences = 32; ///< where there are several
  int rounds = 15;
  int threads = 0;
  std::string device; ///< "" or cuda:N, where the cache lies and attention runs
};

/// How keys and values are stored. The queries are f16.
struct DecodeCase {
  std::string name;
  std::string section;
  std::string type;     ///< as in gqa-compile --for-cache
  int64_t pageSize = 0; ///< 0: contiguous
  int64_t tokens = 0;   ///< that have been appended
  int64_t window = 0;   ///< of a ring; 0: none
  int64_t slack = 0;    ///< of a ring
  int64_t sequences = 1;
  bool sharesPrefix = false; ///< all sequences are forks of one

  std::string against; ///< the case that its time is compared with; "": none

  /// Keys that each sequence attends to.
  int64_t countKeys() const { return window && window < tokens ? window : tokens; }
};

struct DecodeTime {
  DecodeCase layout;
  double seconds = 0; ///< median; caches are empty before
  double least = 0;
  double bytes = 0;               ///< of keys, values and scales that must be read
  double ratio = 1;               ///< median over rounds of the time over that of `against`
  std::optional<double> inCaches; ///< seconds that the same takes where 256 keys are read again and again
};

struct DecodeResult {
  DecodePlan plan;
  double dramReadGBs = 0; ///< median of the reads that empty the caches between calls; on a device of large copies
  std::string deviceName; ///< "" or the device's
  std::vector<DecodeTime> times;
};

/// The cases of a plan, section by section.
std::vector<DecodeCase> listDecodeCases(const DecodePlan &plan);

/// The layer of a case as gqa-compile --for-cache takes it, decoding alone.
std::string printCacheSpec(const DecodePlan &plan, const DecodeCase &layout, const std::string &name);

/// Compiles, fills a cache per case and measures them in turns. Throws std::runtime_error.
DecodeResult measureDecoding(const DecodePlan &plan);

} // namespace gqa

#endif // GQA_TOOLS_DECODEPLAN_H
