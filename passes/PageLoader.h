#ifndef GQA_PASSES_PAGELOADER_H
#define GQA_PASSES_PAGELOADER_H

#include "passes/TileLoader.h"

namespace mlir::gqa {

/// Loads blocks of keys, values and their scales from the pages that hold them (docs/kv-cache.md). A block is one slice
/// where it lies in one page. Smaller pages are read in place by gqa.gather_pages, or copied to a tile run by run; a
/// run is as many keys as are sure to lie in one page.
class PageLoader {
public:
  /// For the task at hand.
  PageLoader(AttentionTask &task, TileLoader &loader);

  /// The keys that range(n) selects of `operand`, which lists page, slot, and `row` if that is given: a tile [n, row],
  /// of which nothing beyond range(n).size is read if `isEdge`.
  MappedTensor load(MappedTensor operand, std::optional<Dim> row, bool isEdge);

private:
  /// Where a key lies.
  struct Place {
    OpFoldResult page, slot;
  };
  Place locate(OpFoldResult key);

  MappedTensor loadRun(MappedTensor operand, std::optional<Dim> row, OpFoldResult key, OpFoldResult size, int64_t run);
  MappedTensor gather(MappedTensor operand, Dim row);
  MappedTensor copy(MappedTensor operand, std::optional<Dim> row, bool isEdge);
  bool canGather(AffineMap map, std::optional<Dim> row);

  AttentionTask &task;
  TileLoader &loader;
  RewriterBase &b;
  Location loc;
  IndexMath &math;
  Value table;                  ///< the sequence's row: [block]
  std::optional<int64_t> slots; ///< in a page, if static
  bool hasOneBlock;             ///< a page holds a whole sequence
  int64_t run;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_PAGELOADER_H
