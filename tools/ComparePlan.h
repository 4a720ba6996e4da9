#ifndef GQA_TOOLS_COMPAREPLAN_H
#define GQA_TOOLS_COMPAREPLAN_H

#include "tools/AttentionCost.h"
#include "tools/AttentionProblem.h"
#include "tools/HeadOptions.h"

namespace gqa {

/// Prefill: all tokens of a prompt attend causally to each other. Decode: one token attends to all cached ones.
enum class Phase { prefill, decode };

inline const char *getName(Phase phase) { return phase == Phase::prefill ? "prefill" : "decode"; }

/// What gqa-run compare measures.
struct ComparePlan {
  HeadOptions heads; // resolved
  ElementType type = ElementType::f32;
  std::vector<int64_t> prefill = {512, 2048};
  std::vector<int64_t> decode = {2048, 8192};
  int threads = 0;
  std::string device; // "cuda:N", or empty: the CPU
  uint64_t seed = 1;
  double secondsPerLength = 10;
  bool withProjections = false; // whole layers, too

  /// Elements of query and output, and of key and value, of the largest case.
  double maxQueryElements() const;
  double maxKeyElements() const;
  /// Bytes of these four.
  double dataBytes() const { return 2 * (maxQueryElements() + maxKeyElements()) * getByteSize(type); }

  AttentionWork work(Phase phase, int64_t kvHeads, int64_t tokens) const;

  /// The same as an attention, on tensors of layout [heads, tokens, head dim].
  AttentionProblem problem(Phase phase, int64_t kvHeads, int64_t tokens) const;

  /// A module with one function per phase and number of K/V heads, for any number of tokens.
  std::string moduleText() const;
  static std::string functionName(Phase phase, int64_t kvHeads);
};

/// What the heads' model has that is not measured ("windows, softcap"), or "".
std::string describeLeftOut(const HeadOptions &heads);

} // namespace gqa

#endif // GQA_TOOLS_COMPAREPLAN_H
