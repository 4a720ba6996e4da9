#ifndef GQA_RUNTIME_CACHE_ATTENDENTRY_H
#define GQA_RUNTIME_CACHE_ATTENDENTRY_H

#include "runtime/Artifact.h"

namespace gqa::cache {

/// An entry that attends to a layer of a cache, checked.
class AttendEntry {
public:
  /// Throws gqa::Failure, naming what the layer stores and what the entry takes, if they do not fit. `device`: where
  /// the cache is.
  AttendEntry(const EntryDescription &entry, const gqa_cache_view &view, int32_t layer, DLDevice device);

  /// The operand or result of this name; null if there is none.
  const AttentionOperand *find(const std::string &name) const;
  const AttentionOperand *findResult(const std::string &name) const;

  const std::string &getType(const AttentionOperand &operand) const { return entry.arguments[operand.index].type; }
  const std::string &getOutputType() const { return entry.results[findResult("output")->index].type; }
  bool takesRows() const;

  /// The static extent of `dim` of `operand`, or -1.
  int64_t getExtent(const AttentionOperand &operand, const char *dim) const;

  const std::string &getName() const { return entry.name; }
  size_t countArguments() const { return entry.arguments.size(); }

  [[noreturn]] void refuse(const std::string &what) const;

private:
  void require(bool holds, const std::string &stored, const std::string &taken) const;
  void requireExtent(const std::string &what, int64_t stored, int64_t taken) const;
  void checkRows(const std::string &name, const gqa_cache_pages &pages, const char *row, const char *packedRow) const;
  void checkRing() const;

  const EntryDescription &entry;
  const gqa_cache_view &view;
  int32_t layer;
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ATTENDENTRY_H
