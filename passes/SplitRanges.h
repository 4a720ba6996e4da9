#ifndef GQA_PASSES_SPLITRANGES_H
#define GQA_PASSES_SPLITRANGES_H

#include "passes/AttentionTask.h"

namespace mlir::gqa {

/// The ranges of keys that an attention's schedule splits it into, and which of them sequences have: as many as their
/// lengths take, whatever there is room for. To merge an empty range would change nothing.
class SplitRanges {
public:
  explicit SplitRanges(AttentionTask &task) : task(task), b(task.b), loc(task.loc), math(task.math) {}

  /// How many ranges sequence `batch` has.
  OpFoldResult count(OpFoldResult batch);

  /// The ranges of all sequences, the first of each sequence first.
  struct List {
    Value ranges, batches; ///< tensor<?xindex>
    OpFoldResult size, mostRanges;
  };

  /// Lists them; none where all sequences have as many.
  std::optional<List> buildList();

private:
  List fillList(OpFoldResult size, OpFoldResult mostRanges);

  AttentionTask &task;
  RewriterBase &b;
  Location loc;
  IndexMath &math;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_SPLITRANGES_H
