#ifndef GQA_TOOLS_KVCACHESIZE_H
#define GQA_TOOLS_KVCACHESIZE_H

#include <algorithm>
#include <cstdint>

namespace gqa {

/// A KV cache, in elements.
struct KVCacheShape {
  int64_t layers = 0;
  int64_t batch = 0;
  int64_t kvHeads = 0;
  int64_t tokens = 0;
  int64_t headDim = 0;
  int64_t windowLayers = 0; ///< those of the layers that keep only the last `window` tokens
  int64_t window = 0;
};

/// The formulas as text, for reports.
inline constexpr char kvCacheFormula[] = "2 x layers x batch x K/V heads x tokens x head dim x bytes";
inline constexpr char windowedKVCacheFormula[] =
    "2 x batch x K/V heads x head dim x bytes x sum over layers of min(tokens, window)";

/// Bytes of a KV cache whose elements have `elementBits` bits: keys and values of every token that has been seen, and in
/// layers with a window, which are rings, of those in the window. Scales of quantised elements are not counted.
inline double kvCacheBytes(const KVCacheShape &shape, int elementBits) {
  int64_t windowed = std::min(shape.windowLayers, shape.layers);
  double tokens = 1.0 * static_cast<double>(shape.layers - windowed) * static_cast<double>(shape.tokens) +
                  1.0 * static_cast<double>(windowed) * static_cast<double>(std::min(shape.tokens, shape.window));
  return 2.0 * tokens * static_cast<double>(shape.batch * shape.kvHeads * shape.headDim) * elementBits / 8;
}

} // namespace gqa

#endif // GQA_TOOLS_KVCACHESIZE_H
