#ifndef GQA_TOOLS_MEMORYREPORT_H
#define GQA_TOOLS_MEMORYREPORT_H

#include "tools/HeadOptions.h"
#include "tools/Plot.h"

#include <nlohmann/json.hpp>

namespace gqa {

/// KV-cache sizes over sequence lengths, one variant per number of K/V heads.
struct MemoryReport {
  HeadOptions heads; // resolved
  int64_t batch = 1;
  std::string elementType = "f16"; // one of cacheElementBits()
  std::vector<int64_t> tokens;

  double bytes(int64_t kvHeads, int64_t tokenCount) const;
  /// Percent of the cache of MHA, a K/V head per query head, that `kvHeads` saves.
  double savedPercent(int64_t kvHeads) const;

  std::string text() const;
  nlohmann::ordered_json json() const;
  Plot plot() const;
};

} // namespace gqa

#endif // GQA_TOOLS_MEMORYREPORT_H
