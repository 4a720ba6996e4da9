#ifndef GQA_TOOLS_KVCACHESIZE_H
#define GQA_TOOLS_KVCACHESIZE_H

#include <cstdint>

namespace gqa {

/// A KV cache, in elements.
struct KVCacheShape {
  int64_t layers = 0;
  int64_t batch = 0;
  int64_t kvHeads = 0;
  int64_t tokens = 0;
  int64_t headDim = 0;
};

/// The formula as text, for reports.
inline constexpr char kvCacheFormula[] = "2 x layers x batch x K/V heads x tokens x head dim x bytes";

/// Bytes of a KV cache whose elements have `elementBits` bits: keys and values of every token that has been seen.
/// Scales of quantised elements are not counted, and windows get no credit.
inline double kvCacheBytes(const KVCacheShape &shape, int elementBits) {
  double elements = 2.0 * shape.layers * shape.batch * shape.kvHeads * shape.tokens * shape.headDim;
  return elements * elementBits / 8;
}

} // namespace gqa

#endif // GQA_TOOLS_KVCACHESIZE_H
