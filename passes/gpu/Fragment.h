#ifndef GQA_PASSES_GPU_FRAGMENT_H
#define GQA_PASSES_GPU_FRAGMENT_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

/// How the 32 lanes of a warp hold a tile: the layout of the accumulators of mma.m16n8k16, whatever the tile is for.
///
/// Element (row, column) belongs to lane (row mod 8) * 4 + (column mod 8) / 2. So a lane holds, of each 16x8 block, two
/// columns of two rows, 8 rows apart. A tile of rank 1 has one element per row, which the four lanes of a row all hold,
/// or one per column, which eight lanes hold. A tile of rank 0 is a scalar. The same layout serves as mma's A operand:
/// two blocks side by side are a 16x16 matrix.
namespace mlir::gqa {

/// One lane's element of a tile, without the lane's own part of its position.
struct FragmentElement {
  int64_t rowBlock = 0;    ///< 16 rows each
  int64_t half = 0;        ///< 0, or 1 for the row that is 8 further
  int64_t columnBlock = 0; ///< 8 columns each
  int64_t parity = 0;      ///< 0, or 1 for the second of two columns

  /// To be added to lane / 4 and to 2 * (lane mod 4).
  int64_t getRow() const { return 16 * rowBlock + 8 * half; }
  int64_t getColumn() const { return 8 * columnBlock + parity; }
};

/// What a lane holds of a tile.
class Fragment {
public:
  Fragment() = default;
  explicit Fragment(RankedTensorType type, bool isOfColumns = false) : type(type), isOfColumns(isOfColumns) {
    elements.resize(isOfColumns ? type.getDimSize(0) / 4 : getNumElements(type));
  }

  /// Whether the layout can hold tiles of `type`.
  static bool canHold(RankedTensorType type) {
    if (!type.hasStaticShape() || type.getRank() > 2)
      return false;
    return (type.getRank() < 1 || type.getDimSize(0) % 16 == 0) && (type.getRank() < 2 || type.getDimSize(1) % 8 == 0);
  }

  static int64_t getNumElements(RankedTensorType type) {
    if (type.getRank() == 0)
      return 1;
    int64_t rows = type.getDimSize(0) / 8;
    return type.getRank() == 1 ? rows : rows * (type.getDimSize(1) / 4);
  }

  /// All elements in order.
  SmallVector<FragmentElement> getPositions() const {
    SmallVector<FragmentElement> positions;
    if (isOfColumns) {
      for (int64_t columnBlock = 0; columnBlock < type.getDimSize(0) / 8; ++columnBlock)
        for (int64_t parity : {0, 1})
          positions.push_back({0, 0, columnBlock, parity});
      return positions;
    }
    int64_t rowBlocks = type.getRank() == 0 ? 1 : type.getDimSize(0) / 16, halves = type.getRank() == 0 ? 1 : 2;
    int64_t columnBlocks = type.getRank() == 2 ? type.getDimSize(1) / 8 : 1, parities = type.getRank() == 2 ? 2 : 1;
    for (int64_t rowBlock = 0; rowBlock < rowBlocks; ++rowBlock)
      for (int64_t columnBlock = 0; columnBlock < columnBlocks; ++columnBlock)
        for (int64_t half = 0; half < halves; ++half)
          for (int64_t parity = 0; parity < parities; ++parity)
            positions.push_back({rowBlock, half, columnBlock, parity});
    return positions;
  }

  /// The element at `position`, of which a tile of lower rank ignores the column, the row, or both.
  Value &at(const FragmentElement &position) {
    if (type.getRank() == 0)
      return elements[0];
    if (isOfColumns)
      return elements[2 * position.columnBlock + position.parity];
    if (type.getRank() == 1)
      return elements[2 * position.rowBlock + position.half];
    int64_t columnBlocks = type.getDimSize(1) / 8;
    return elements[4 * (position.rowBlock * columnBlocks + position.columnBlock) + 2 * position.half +
                    position.parity];
  }

  RankedTensorType type;
  bool isOfColumns = false; ///< of rank 1, with an element per column
  SmallVector<Value> elements;
  /// Where a tile in shared memory begins; it has no elements.
  Value address;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_FRAGMENT_H
