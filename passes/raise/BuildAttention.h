#ifndef GQA_PASSES_RAISE_BUILDATTENTION_H
#define GQA_PASSES_RAISE_BUILDATTENTION_H

#include "dialect/GQADialect.h"
#include "passes/raise/Arrangement.h"
#include "passes/raise/Masks.h"
#include "passes/raise/Operands.h"
#include "passes/raise/Softmax.h"

namespace mlir::gqa::raise {

/// Builds gqa.attention for a matched softmax, in front of its root.
class AttentionBuilder {
public:
  AttentionBuilder(OpBuilder &b, Tracer &tracer, Softmax &softmax)
      : b(b), loc(softmax.root.getLoc()), tracer(tracer), softmax(softmax), operands(b, loc, tracer, names) {}

  /// Sets `replacement`, for `replaced`, and `lseReplacement`, for `lse`, if there is one, or says why there is none.
  /// What was built until then is dead.
  std::optional<Mismatch> build(const std::optional<Lse> &lse);

  Value replaced; ///< the root, or what transposes and reshapes make of it
  Value replacement, lseReplacement;
  AttentionOp attention;

private:
  // ShareHeads.cpp
  void shareHeads();
  void shareHeads(ExprRef &load, ExprRef other);

  /// Gives each loop its name.
  std::optional<Mismatch> nameLoops();
  std::optional<Mismatch> nameShared(ArrayRef<Loop> shared);
  std::optional<Mismatch> nameBatch(ArrayRef<Loop> shared);
  Loop chooseHeads(ArrayRef<Loop> shared);
  std::optional<Mismatch> nameRows(ArrayRef<Loop> rows, ArrayRef<Loop> shared);
  /// Splits masks into attributes of the op and what remains a mask.
  void placeMasks();
  bool placeUpper(const Offset &upper);
  bool placeLower(const Offset &lower);
  void placePositions(PositionMasks &masks);

  std::optional<Mismatch> addTensors();
  std::optional<Mismatch> addOperand(ExprRef expr, ArrayRef<Dim> allowed, bool isBoolean, StringRef name);
  std::optional<Mismatch> finish(const std::optional<Lse> &lse);
  /// Adds a destination that runs through `loops`, outermost first; says which dimensions it lists.
  std::optional<SmallVector<Dim>> addOutput(ArrayRef<Loop> loops, Type elementType);
  Arrangement arrangeOutput();
  int64_t getStaticExtent(Dim dim, ArrayRef<Loop> loops);
  ExprRef combineMasks();
  ExprRef getKvLen();
  ExprRef sumBiases();

  OpBuilder &b;
  Location loc;
  Tracer &tracer;
  Softmax &softmax;
  DenseMap<Loop, Dim> names;
  OperandBuilder operands;

  std::optional<Loop> rowLoop;
  SmallVector<ExprRef> masks; // what remains
  SmallVector<Offset> lengths;
  bool isCausal = false;
  std::optional<int64_t> windowLeft, windowRight;
  std::optional<Alignment> alignment;
  ExprRef offset = nullptr;

  SmallVector<Value> tensors;
  SmallVector<AffineMap> maps;
  SmallVector<int32_t> segments;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_BUILDATTENTION_H
