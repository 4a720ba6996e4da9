#ifndef GQA_TOOLS_HEADVARIANTS_H
#define GQA_TOOLS_HEADVARIANTS_H

#include <cstdint>
#include <stdexcept>
#include <string>

namespace gqa {

/// "MHA", "MQA" or "GQA-8": how many of `heads` query heads share a K/V head, by the usual name.
inline std::string variantName(int64_t heads, int64_t kvHeads) {
  if (kvHeads == heads)
    return "MHA";
  return kvHeads == 1 ? "MQA" : "GQA-" + std::to_string(kvHeads);
}

/// Throws std::runtime_error unless every K/V head serves the same number of query heads.
inline void checkHeads(int64_t heads, int64_t kvHeads) {
  if (kvHeads < 1 || heads % kvHeads != 0)
    throw std::runtime_error("query heads (" + std::to_string(heads) + ") must be a multiple of K/V heads (" +
                             std::to_string(kvHeads) + ")");
}

} // namespace gqa

#endif // GQA_TOOLS_HEADVARIANTS_H
