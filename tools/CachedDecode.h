#ifndef GQA_TOOLS_CACHEDDECODE_H
#define GQA_TOOLS_CACHEDDECODE_H

#include "tools/DecodePlan.h"
#include "tools/LoadedArtifact.h"
#include "tools/SeededData.h"

#include <memory>

namespace gqa {

/// A DLTensor [tokens, heads, dim] of f16, with memory of its own.
class HalfRows {
public:
  HalfRows(int64_t tokens, int64_t heads, int64_t dim);
  HalfRows(const HalfRows &) = delete;

  void setTokens(int64_t tokens) { shape[0] = tokens; }
  DLTensor *get() { return &tensor; }

private:
  int64_t shape[3];
  ElementBuffer buffer;
  DLTensor tensor = {};
};

/// The cache of one case, full of pseudo-random tokens, and its decoding step.
class CachedDecode {
public:
  /// `entry` of `artifact` attends. Throws std::runtime_error, as the other functions do.
  CachedDecode(const DecodePlan &plan, const DecodeCase &layout, std::string entry, const LoadedArtifact &artifact);

  /// One step of all sequences; seconds.
  double decode();

  /// Seconds that as many keys would take if 256 of them were all: what is left when memory costs nothing.
  double decodeInCaches();

  /// Bytes of keys, values and scales that a step reads if it reads each once.
  double countBytes() const;

private:
  void check(gqa_status status) const;
  void create();
  void scatterPages();
  void fill();
  void append(gqa_sequence sequence);
  int64_t countCopies() const { return layout.sharesPrefix ? 1 : layout.sequences; }
  double attend(const std::vector<gqa_sequence> &names);

  const DecodePlan &plan;
  const DecodeCase &layout;
  std::string entry;
  const LoadedArtifact &artifact;
  std::unique_ptr<gqa_cache, void (*)(gqa_cache *)> cache;
  std::unique_ptr<HalfRows> queries, output;
  std::vector<gqa_sequence> sequences;
  std::vector<gqa_sequence> shortOnes; ///< one sequence of kShort tokens, many times
};

} // namespace gqa

#endif // GQA_TOOLS_CACHEDDECODE_H
