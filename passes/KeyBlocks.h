#ifndef GQA_PASSES_KEYBLOCKS_H
#define GQA_PASSES_KEYBLOCKS_H

#include "passes/PageLoader.h"
#include "passes/RingRange.h"

namespace mlir::gqa {

/// The loops of one task over blocks of keys. Blocks in which every row sees every key run in a loop of their own,
/// without masks and padding; edge blocks lie on both sides of them.
class KeyBlocks {
public:
  /// For the task at hand.
  KeyBlocks(AttentionTask &task, TileLoader &loader);

  /// The state of the softmax after the keys in [begin, end) that rows of the task can see.
  SoftmaxState build(OpFoldResult begin, OpFoldResult end);

private:
  /// Blocks [low, high), of which [fullLow, fullHigh) are full; and where the keys end.
  struct BlockRange {
    OpFoldResult low, fullLow, fullHigh, high, end;
  };
  BlockRange getBlocks(OpFoldResult begin, OpFoldResult end);
  Ring getRing(OpFoldResult lastPosition);
  bool hasEdges();
  bool isRingByPosition() { return op.getLength() && op.isMaskedByPosition(); }

  void setLengths();
  void setPositions();
  OpFoldResult loadIndex(MappedTensor perBatch);
  OpFoldResult clampIndex(OpFoldResult index, OpFoldResult low, OpFoldResult high);
  Value buildPositions();

  MappedTensor loadQuery();
  std::optional<MappedTensor> loadKeys(std::optional<MappedTensor> operand, std::optional<Dim> row, bool isEdge);
  std::optional<MappedTensor> loadKeyScale(bool isEdge);
  MappedTensor buildKeyBound();
  MappedTensor buildRingPositions();
  SoftmaxState buildBlockLoop(OpFoldResult begin, OpFoldResult end, const SoftmaxState &init,
                              function_ref<SoftmaxState(Value, const SoftmaxState &)> body);
  SoftmaxState buildBlock(MappedTensor query, const SoftmaxState &state, bool isEdge);

  AttentionTask &task;
  TileLoader &loader;
  RewriterBase &b;
  Location loc;
  AttentionOp op;
  IndexMath &math;
  std::optional<PageLoader> pages;
  OpFoldResult kvLen;         ///< keys of the task's sequence
  OpFoldResult length;        ///< tokens of the task's sequence: in a ring, more than it has keys
  OpFoldResult firstPosition; ///< of the task's rows
  Value positions;            ///< of each row
};

} // namespace mlir::gqa

#endif // GQA_PASSES_KEYBLOCKS_H
