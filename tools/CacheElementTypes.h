#ifndef GQA_TOOLS_CACHEELEMENTTYPES_H
#define GQA_TOOLS_CACHEELEMENTTYPES_H

#include <map>
#include <string>

namespace gqa {

/// Bits of each type that a KV cache may store.
inline const std::map<std::string, int> &cacheElementBits() {
  static const std::map<std::string, int> bits = {{"f32", 32}, {"f16", 16}, {"bf16", 16},
                                                  {"int8", 8}, {"fp8", 8},  {"int4", 4}};
  return bits;
}

} // namespace gqa

#endif // GQA_TOOLS_CACHEELEMENTTYPES_H
