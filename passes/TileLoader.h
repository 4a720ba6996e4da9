#ifndef GQA_PASSES_TILELOADER_H
#define GQA_PASSES_TILELOADER_H

#include "passes/AttentionTask.h"

namespace mlir::gqa {

/// The part of an operand that a task needs, as a tile of static shape: what sticks out of the tensor is padded.
class TileLoader {
public:
  explicit TileLoader(AttentionTask &task)
      : task(task), b(task.b), loc(task.loc), math(task.math), schedule(task.schedule) {}

  /// The task's part of `operand`, in the order of `dims`, padded with zeros to the tile's extents.
  MappedTensor loadTile(MappedTensor operand, ArrayRef<Dim> dims);

  /// The task's rows of `operand` with g and m flattened to one dimension `m`, then `innerDims`.
  MappedTensor loadRows(MappedTensor operand, ArrayRef<Dim> innerDims);

  /// A bias or mask: what varies over rows gets the rows' layout, what does not stays as it is.
  std::optional<MappedTensor> loadScoreOperand(std::optional<MappedTensor> operand);

  /// [rowDims..., inner...] -> [rows, inner...], with rows that no query row fills set to `padding`.
  Value flattenRows(Value tile, Attribute padding);

  /// `tile` with its dimensions in the order of `dims`, broadcast along those that it does not have.
  MappedTensor transpose(MappedTensor tile, ArrayRef<Dim> dims);

  /// The sizes that a slice keeps: all but static 1s. Dropping some of several unit dimensions would leave open which,
  /// and memref.subview can tell them apart only by strides that are not known.
  static SmallVector<int64_t> dropUnits(ArrayRef<OpFoldResult> sizes);

private:
  /// A bias or mask that varies over rows and keys as [n, m], the layout of scores whose rows fill the vector lanes.
  /// Heads that share it are copied after it is turned, not before.
  MappedTensor loadScoreColumns(MappedTensor operand);
  /// `tile` with integers of another width.
  MappedTensor convert(MappedTensor tile, Type elementType);
  Value slice(Value tensor, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
              ArrayRef<OpFoldResult> strides, ArrayRef<int64_t> kept);
  Value padTo(Value tile, ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> extents);
  Value restoreUnits(Value tile, ArrayRef<int64_t> extents);
  Value reshape(Value tile, int64_t rows, ArrayRef<int64_t> inner);

  AttentionTask &task;
  RewriterBase &b;
  Location loc;
  IndexMath &math;
  ScheduleAttr schedule;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_TILELOADER_H
