#ifndef GQA_PASSES_GPU_KEYRING_H
#define GQA_PASSES_GPU_KEYRING_H

#include "passes/KeyRange.h"
#include "passes/gpu/KernelFrame.h"
#include "passes/gpu/KeyLocator.h"

#include "dialect/OnlineSoftmax.h"

namespace mlir::gqa {

/// The blocks of keys that a thread block visits, full ones first, and how they come to shared memory: copied, as they
/// are stored, to a ring of stages, and, where products cannot take them so, converted to tiles once they have arrived.
class KeyRing {
public:
  explicit KeyRing(KernelFrame &frame);

  /// Numbers of visited blocks, index: [0, numFull) are full, [numFull, numBlocks) edges.
  Value numFull, numBlocks;
  KeyRange range;

  /// Whether some block may need masks by position or by the number of keys.
  bool hasEdges();
  /// The first key of the `number`-th visited block.
  Value getFirstKey(Value number);

  /// Begins to copy a block, if there is one, and makes it a group.
  void buildCopy(Value number);
  /// Converts a block that has arrived, if that is to be done.
  void buildConversion(Value number);

  /// The warp's part of a block that is ready: keys [n, dqk], values [n, dv], and their scales, [n] or [], if any.
  MappedTensor getKeys(Value number);
  MappedTensor getValues(Value number);
  std::optional<MappedTensor> getKeyScale(Value number);
  std::optional<MappedTensor> getValueScale(Value number);

private:
  Value getStage(Value number, int64_t offset);
  void copyKeys(OpOperand &operand, Value firstKey, Value destination, const CopiedRows &rows);
  bool convert(OpOperand &operand, const OperandTile &tile, Value source, int64_t destination);
  MappedTensor getTile(const OperandTile &tile, Value number, int64_t converted, int64_t offset, Dim row);
  std::optional<MappedTensor> getScale(MutableOperandRange scale, Value number, int64_t offset);

  KernelFrame &frame;
  OpBuilder &b;
  Location loc;
  AttentionOp op;
  IndexMath &math;
  KeyLocator locator;
};

/// All threads of the block begin to copy `count` rows; `address` says where each (i32) begins.
void buildCopyRows(KernelFrame &frame, const GlobalTensor &source, Value destination, int64_t count,
                   const CopiedRows &rows, function_ref<RowAddress(OpBuilder &, Value)> address);

/// All threads of the block convert `count` copied rows to a tile.
void buildConvertRows(KernelFrame &frame, Value source, Value destination, int64_t count, const OperandTile &tile,
                      Value factors = {}, Value stride = {});

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_KEYRING_H
