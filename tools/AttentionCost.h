#ifndef GQA_TOOLS_ATTENTIONCOST_H
#define GQA_TOOLS_ATTENTIONCOST_H

#include <cstdint>

namespace gqa {

/// Elements of the q, k, v and o projections of all layers: dModel x heads x headDim for q and o each, dModel x kvHeads
/// x headDim for k and v each.
inline double attentionParameters(int64_t layers, int64_t dModel, int64_t heads, int64_t kvHeads, int64_t headDim) {
  return 2.0 * layers * dModel * headDim * (heads + kvHeads);
}

/// One attention of one sequence: `queries` tokens over `keys` tokens.
struct AttentionWork {
  int64_t heads = 0;
  int64_t kvHeads = 0;
  int64_t headDim = 0;
  int64_t queries = 0;
  int64_t keys = 0;
  bool causal = false; // query i sees keys 0 to i; queries == keys

  /// Pairs of a query and a key that it sees, per head.
  double pairs() const { return causal ? 0.5 * queries * (queries + 1) : 1.0 * queries * keys; }

  /// Floating-point operations of both products; masked pairs and the softmax are not counted.
  double flops() const { return 4.0 * heads * headDim * pairs(); }

  /// Bytes of q, k, v and o, each once, whose elements have `elementBytes` bytes.
  double bytes(int64_t elementBytes) const { return 2.0 * headDim * elementBytes * (heads * queries + kvHeads * keys); }

  /// Bytes that the unfused form keeps in memory at least: scores and probabilities in f32, and repeated K and V.
  double unfusedBytes(int64_t elementBytes) const {
    return heads * (8.0 * queries * keys + 2.0 * keys * headDim * elementBytes);
  }
};

} // namespace gqa

#endif // GQA_TOOLS_ATTENTIONCOST_H
