#ifndef GQA_TOOLS_ATTENTIONPROBLEM_H
#define GQA_TOOLS_ATTENTIONPROBLEM_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What one gqa.attention says, without MLIR: dialect/GQAOps.td is the specification.
namespace gqa {

/// The loop dimensions of attention, in their order everywhere, and those by which a KV cache stores keys and values.
enum class Dim { b, hkv, g, m, n, dqk, dv, page, block, slot, dqk2, dv2 };
constexpr int kNumDims = 12;

/// One number per dimension: extents, strides or an index.
using PerDim = std::array<int64_t, kNumDims>;

inline int64_t at(const PerDim &values, Dim dim) { return values[static_cast<size_t>(dim)]; }
inline int64_t &at(PerDim &values, Dim dim) { return values[static_cast<size_t>(dim)]; }

inline const char *getName(Dim dim) {
  static const char *const names[kNumDims] = {"b",  "hkv",  "g",     "m",    "n",    "dqk",
                                              "dv", "page", "block", "slot", "dqk2", "dv2"};
  return names[static_cast<size_t>(dim)];
}

enum class ElementType { f32, f16, bf16, i1, i8, i32, i64, f8E4M3FN };

inline const char *getName(ElementType type) {
  static const char *const names[] = {"f32", "f16", "bf16", "i1", "i8", "i32", "i64", "f8E4M3FN"};
  return names[static_cast<size_t>(type)];
}

/// Bytes of one element in memory; an i1 is a byte.
inline int64_t getByteSize(ElementType type) {
  static const int64_t sizes[] = {4, 2, 2, 1, 1, 4, 8, 1};
  return sizes[static_cast<size_t>(type)];
}

enum class Alignment { topLeft, bottomRight };

/// A tensor operand: its dimensions in their order in the tensor's shape, and its element type.
struct Operand {
  std::vector<Dim> dims;
  ElementType type = ElementType::f32;
};

/// Where keys stand whose sequence overwrites its oldest ones.
struct Ring {
  int64_t sinks, slots;
};

struct AttentionProblem {
  PerDim extents = {1, 1, 1, 1, 1, 1, 1};
  Operand query = {{Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::dqk}};
  Operand key = {{Dim::b, Dim::hkv, Dim::n, Dim::dqk}};
  Operand value = {{Dim::b, Dim::hkv, Dim::n, Dim::dv}};
  std::optional<Operand> bias, mask, kvLen, offset, sink, blockTable, keyScale, valueScale, length;
  Operand output = {{Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::dv}};
  std::optional<Operand> lse;

  float scale = 1;
  std::optional<float> softcap;
  bool causal = false;
  std::optional<int64_t> windowLeft, windowRight;
  std::optional<Alignment> alignment;
  std::optional<Ring> ring;

  int64_t getExtent(Dim dim) const { return at(extents, dim); }
  bool isMaskedByPosition() const { return causal || windowLeft || windowRight; }
};

/// The extents of an operand, in its own order.
inline std::vector<int64_t> getShape(const AttentionProblem &problem, const Operand &operand) {
  std::vector<int64_t> shape;
  for (Dim dim : operand.dims)
    shape.push_back(problem.getExtent(dim));
  return shape;
}

} // namespace gqa

#endif // GQA_TOOLS_ATTENTIONPROBLEM_H
