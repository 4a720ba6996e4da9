#ifndef GQA_PASSES_KEYBLOCKS_H
#define GQA_PASSES_KEYBLOCKS_H

#include "passes/KeyRange.h"
#include "passes/PageLoader.h"

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
  bool hasEdges();

  void setPositions();
  Value buildPositions();

  MappedTensor loadQuery();
  std::optional<MappedTensor> loadKeys(std::optional<MappedTensor> operand, std::optional<Dim> row, bool isEdge);
  bool shouldPack(MappedTensor operand, Dim row);
  MappedTensor pack(MappedTensor tile);
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
  SequenceLength sequence;    ///< of the task
  OpFoldResult firstPosition; ///< of the task's rows
  Value positions;            ///< of each row
};

} // namespace mlir::gqa

#endif // GQA_PASSES_KEYBLOCKS_H
