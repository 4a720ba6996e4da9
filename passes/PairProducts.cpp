#include "passes/PairProducts.h"

#include "passes/LinalgRoles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace mlir::gqa {

namespace {

/// Lanes of one vdpbf16ps on 512 bits.
constexpr int64_t kLanes = 16;

RankedTensorType getTensorType(Value tensor) { return cast<RankedTensorType>(tensor.getType()); }

/// `count` elements of `tensor` from `indices` on, along its innermost dimension.
Value readRow(OpBuilder &b, Location loc, Value tensor, ArrayRef<int64_t> indices, int64_t count) {
  SmallVector<Value> values =
      llvm::map_to_vector(indices, [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, loc, i); });
  auto type = VectorType::get({count}, getTensorType(tensor).getElementType());
  return vector::TransferReadOp::create(b, loc, type, tensor, values, /*padding=*/std::nullopt, ArrayRef<bool>{true});
}

Value writeRow(OpBuilder &b, Location loc, Value vector, Value tensor) {
  SmallVector<Value> zeros(getTensorType(tensor).getRank(), arith::ConstantIndexOp::create(b, loc, 0));
  return vector::TransferWriteOp::create(b, loc, vector, tensor, zeros, ArrayRef<bool>{true}).getResult();
}

/// [1, lanes, 2] as [1, 2 * lanes], which is one row of memory.
Value flattenPairs(OpBuilder &b, Location loc, Value tensor) {
  ArrayRef<int64_t> shape = getTensorType(tensor).getShape();
  auto type = RankedTensorType::get({shape[0], shape[1] * shape[2]}, getTensorType(tensor).getElementType());
  return tensor::CollapseShapeOp::create(b, loc, type, tensor, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

/// A pair in every lane.
Value broadcastPair(OpBuilder &b, Location loc, Value pair) {
  Value word = vector::BitCastOp::create(b, loc, VectorType::get({1}, b.getI32Type()), pair);
  Value words = vector::BroadcastOp::create(b, loc, VectorType::get({kLanes}, b.getI32Type()), word);
  return vector::BitCastOp::create(b, loc, VectorType::get({2 * kLanes}, b.getBF16Type()), words);
}

Value extractSlice(OpBuilder &b, Location loc, Value vector, int64_t offset, int64_t size) {
  return vector::ExtractStridedSliceOp::create(b, loc, vector, ArrayRef{offset}, ArrayRef{size}, ArrayRef<int64_t>{1});
}

} // namespace

bool isPairContraction(linalg::LinalgOp op) {
  if (!isFloatContraction(op) || op.getNumLoops() != 4 || op.getStaticLoopRanges()[3] != 2)
    return false;
  AffineExpr row, lane, pair, half;
  bindDims(op->getContext(), row, lane, pair, half);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[1] == AffineMap::get(4, 0, {pair, lane, half}, op->getContext()) &&
         maps[2] == AffineMap::get(4, 0, {row, lane}, op->getContext()) && maps[0].getResult(2) == half &&
         getElementTypeOrSelf(op.getDpsInputs()[1]).isBF16();
}

bool isPairInterleave(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || op.getStaticLoopRanges()[2] != 2 ||
      op.getBlock()->getTerminator()->getOperand(0) != op.getBlock()->getArgument(0))
    return false;
  AffineExpr pair, lane, half;
  bindDims(op->getContext(), pair, lane, half);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[0] == AffineMap::get(3, 0, {pair, half, lane}, op->getContext()) && maps[1].isIdentity() &&
         getTensorType(op.getDpsInits()[0]).getElementType().isBF16();
}

bool isPairTransposition(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || op.getStaticLoopRanges()[2] != 2)
    return false;
  AffineExpr lane, pair, half;
  bindDims(op->getContext(), lane, pair, half);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[0] == AffineMap::get(3, 0, {pair, half, lane}, op->getContext()) && maps[1].isIdentity() &&
         getElementTypeOrSelf(op.getDpsInits()[0]).isBF16();
}

Value vectorizePairContraction(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value rows = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  ArrayRef<int64_t> shape = getTensorType(init).getShape();
  Value lanes = readRow(b, loc, flattenPairs(b, loc, op.getDpsInputs()[1]), {0, 0}, 2 * shape[1]);
  bool isPairFirst = getTensorType(rows).getDimSize(0) == 1 && shape[0] != 1;

  auto sumsType = VectorType::get(shape, b.getF32Type());
  SmallVector<Value> zeros(2, arith::ConstantIndexOp::create(b, loc, 0));
  SmallVector<bool> inBounds(2, true);
  Value sums = vector::TransferReadOp::create(b, loc, sumsType, init, zeros, /*padding=*/std::nullopt, inBounds);
  for (int64_t row = 0; row < shape[0]; ++row) {
    SmallVector<int64_t> position = isPairFirst ? SmallVector<int64_t>{0, row, 0} : SmallVector<int64_t>{row, 0, 0};
    Value pair = broadcastPair(b, loc, readRow(b, loc, rows, position, 2));
    Value rowSums = vector::ExtractOp::create(b, loc, sums, row);
    for (int64_t lane = 0; lane < shape[1]; lane += kLanes) {
      Value sum = extractSlice(b, loc, rowSums, lane, kLanes);
      Value other = extractSlice(b, loc, lanes, 2 * lane, 2 * kLanes);
      sum = x86vector::DotBF16Op::create(b, loc, sum.getType(), sum, pair, other);
      rowSums = vector::InsertStridedSliceOp::create(b, loc, sum, rowSums, ArrayRef{lane}, ArrayRef<int64_t>{1});
    }
    sums = vector::InsertOp::create(b, loc, rowSums, sums, row);
  }
  return vector::TransferWriteOp::create(b, loc, sums, init, zeros, inBounds).getResult();
}

/// `lanes` pairs as bf16, whose halves are two rows of `input` at [pair, 0] and [pair, 1].
static Value readInterleaved(OpBuilder &b, Location loc, Value input, int64_t pair, int64_t lanes) {
  auto readHalf = [&](int64_t half) -> Value {
    Value row = readRow(b, loc, input, {pair, half, 0}, lanes);
    auto type = cast<VectorType>(row.getType());
    if (type.getElementType().isBF16())
      return row;
    return arith::TruncFOp::create(b, loc, type.clone(b.getBF16Type()), row);
  };
  return vector::InterleaveOp::create(b, loc, readHalf(0), readHalf(1));
}

Value vectorizePairInterleave(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  Value pairs = readInterleaved(b, loc, input, 0, getTensorType(input).getDimSize(2));
  Value flat = writeRow(b, loc, pairs, flattenPairs(b, loc, init));
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

bool isNibbleUnpacking(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || op.getStaticLoopRanges()[2] != 2)
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[1].isIdentity() && maps[0] == maps[1].getMajorSubMap(2) &&
         getTensorType(op.getDpsInputs()[0]).getElementType().isInteger(8) &&
         getTensorType(op.getDpsInits()[0]).getElementType().isF32();
}

Value vectorizeNibbleUnpacking(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  int64_t bytes = getTensorType(input).getDimSize(1);
  auto words = VectorType::get({bytes}, b.getI32Type());
  Value row = arith::ExtSIOp::create(b, loc, words, readRow(b, loc, input, {0, 0}, bytes));
  auto shift = [&](int64_t bits) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(words, b.getI32IntegerAttr(bits)));
  };
  Value low = arith::ShRSIOp::create(b, loc, arith::ShLIOp::create(b, loc, row, shift(28)), shift(28));
  Value high = arith::ShRSIOp::create(b, loc, row, shift(4));
  auto toF32 = [&](Value half) { return arith::SIToFPOp::create(b, loc, words.clone(b.getF32Type()), half); };
  Value elements = vector::InterleaveOp::create(b, loc, toF32(low), toF32(high));
  Value flat = writeRow(b, loc, elements, flattenPairs(b, loc, init));
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

Value vectorizePairTransposition(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  int64_t lanes = getTensorType(init).getDimSize(0), pairs = getTensorType(init).getDimSize(1);
  // A pair moves as one word of 32 bits.
  auto wordsType = VectorType::get({pairs, lanes}, b.getI32Type());
  Value words = arith::ConstantOp::create(b, loc, b.getZeroAttr(wordsType));
  for (int64_t pair = 0; pair < pairs; ++pair) {
    Value row = readInterleaved(b, loc, input, pair, lanes);
    row = vector::BitCastOp::create(b, loc, VectorType::get({lanes}, b.getI32Type()), row);
    words = vector::InsertOp::create(b, loc, row, words, pair);
  }
  words = vector::TransposeOp::create(b, loc, words, ArrayRef<int64_t>{1, 0});
  auto rowsType = VectorType::get({lanes, 2 * pairs}, b.getBF16Type());
  Value flat = flattenPairs(b, loc, init);
  SmallVector<Value> zeros(2, arith::ConstantIndexOp::create(b, loc, 0));
  flat = vector::TransferWriteOp::create(b, loc, vector::BitCastOp::create(b, loc, rowsType, words), flat, zeros,
                                         ArrayRef<bool>{true, true})
             .getResult();
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

} // namespace mlir::gqa
