#include "passes/WordProducts.h"

#include "dialect/GQADialect.h"
#include "passes/LinalgRoles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace mlir::gqa {

namespace {

/// Lanes of one vdpbf16ps or vpdpwssd on 512 bits.
constexpr int64_t kLanes = 16;

/// The parts of a vector that x86's unpack instructions stay within.
constexpr int64_t kPartBytes = 16;

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

/// [rows, lanes, parts] as [rows, lanes * parts], rows of memory.
Value flattenWords(OpBuilder &b, Location loc, Value tensor) {
  ArrayRef<int64_t> shape = getTensorType(tensor).getShape();
  auto type = RankedTensorType::get({shape[0], shape[1] * shape[2]}, getTensorType(tensor).getElementType());
  return tensor::CollapseShapeOp::create(b, loc, type, tensor, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

/// A pair in every lane.
Value broadcastPair(OpBuilder &b, Location loc, Value pair) {
  Value word = vector::BitCastOp::create(b, loc, VectorType::get({1}, b.getI32Type()), pair);
  Value words = vector::BroadcastOp::create(b, loc, VectorType::get({kLanes}, b.getI32Type()), word);
  Type element = getElementTypeOrSelf(pair);
  return vector::BitCastOp::create(b, loc, VectorType::get({2 * kLanes}, element), words);
}

/// `sums` plus, in each lane, the products of a pair of `lhs` and one of `rhs`.
Value buildPairDot(OpBuilder &b, Location loc, Value sums, Value lhs, Value rhs) {
  if (getElementTypeOrSelf(sums).isF32())
    return x86vector::DotBF16Op::create(b, loc, sums.getType(), sums, lhs, rhs);
  return DotShortsOp::create(b, loc, sums.getType(), sums, lhs, rhs);
}

Value toShorts(OpBuilder &b, Location loc, Value bytes) {
  return arith::ExtSIOp::create(b, loc, cast<VectorType>(bytes.getType()).clone(b.getI16Type()), bytes);
}

Value extractSlice(OpBuilder &b, Location loc, Value vector, int64_t offset, int64_t size) {
  return vector::ExtractStridedSliceOp::create(b, loc, vector, ArrayRef{offset}, ArrayRef{size}, ArrayRef<int64_t>{1});
}

/// Whether `op` adds products of signed integers to i32, with `bits` in the first input and bytes in the second.
bool isIntegerContraction(linalg::LinalgOp op, unsigned bits) {
  if (op.getNumDpsInputs() != 2)
    return false;
  Block *body = op.getBlock();
  auto sum = body->getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  auto product = sum ? sum.getRhs().getDefiningOp<arith::MulIOp>() : arith::MulIOp();
  if (!product || sum.getLhs() != body->getArgument(2))
    return false;
  return llvm::all_of(llvm::enumerate(product->getOperands()), [&](auto factor) {
    auto widened = factor.value().template getDefiningOp<arith::ExtSIOp>();
    return widened && widened.getIn() == body->getArgument(factor.index()) &&
           widened.getIn().getType().isInteger(factor.index() == 0 ? bits : 8);
  });
}

/// Whether `op` only moves elements.
bool isCopy(linalg::LinalgOp op) {
  return op.getBlock()->getTerminator()->getOperand(0) == op.getBlock()->getArgument(0);
}

/// Elements of a word: of two bytes each, or of one.
bool isWord(int64_t parts, Type element) { return element.isBF16() ? parts == 2 : parts == 4 && element.isInteger(8); }

} // namespace

int64_t getMatrixDepth(int64_t words) {
  int64_t depth = std::min(words, kMatrixTile);
  while (words % depth != 0)
    --depth;
  return depth;
}

bool isWordContraction(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 2 || op.getNumLoops() != 4)
    return false;
  bool isFloat = isFloatContraction(op) && getElementTypeOrSelf(op.getDpsInputs()[1]).isBF16();
  if ((!isFloat && !isIntegerContraction(op, 8)) || op.getStaticLoopRanges()[3] != (isFloat ? 2 : 4))
    return false;
  AffineExpr row, lane, word, part;
  bindDims(op->getContext(), row, lane, word, part);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[1] == AffineMap::get(4, 0, {word, lane, part}, op->getContext()) &&
         maps[2] == AffineMap::get(4, 0, {row, lane}, op->getContext()) && maps[0].getNumResults() == 3 &&
         maps[0].getResult(2) == part;
}

bool isShortContraction(linalg::LinalgOp op) {
  if (op.getNumLoops() != 4 || op.getStaticLoopRanges()[3] != kShortsPerLane || !isIntegerContraction(op, 16))
    return false;
  AffineExpr row, lane, word, part;
  bindDims(op->getContext(), row, lane, word, part);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, op->getContext()); };
  return op.getIndexingMapsArray() ==
         SmallVector<AffineMap>{map({row, word, part}), map({word, part, lane}), map({row, lane})};
}

bool isShortDot(linalg::LinalgOp op) {
  if (op.getNumLoops() != 5 || op.getStaticLoopRanges()[4] != kShortsPerLane || !isIntegerContraction(op, 16))
    return false;
  AffineExpr row, column, lane, step, part;
  bindDims(op->getContext(), row, column, lane, step, part);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(5, 0, results, op->getContext()); };
  return op.getIndexingMapsArray() == SmallVector<AffineMap>{map({row, step, lane, part}),
                                                             map({column, step, lane, part}), map({row, column, lane})};
}

/// Whether `op` brings words, of elements as they are, to [word, lane, part]; `order` gives the input's dimensions.
static bool isWordCopy(linalg::LinalgOp op, ArrayRef<unsigned> order) {
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || !isCopy(op))
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[0] == AffineMap::getMultiDimMapWithTargets(3, order, op->getContext()) && maps[1].isIdentity() &&
         isWord(op.getStaticLoopRanges()[2], getElementTypeOrSelf(op.getDpsInits()[0]));
}

bool isWordInterleave(linalg::LinalgOp op) {
  return isWordCopy(op, {0, 2, 1}) &&
         (!getElementTypeOrSelf(op.getDpsInits()[0]).isInteger(8) || op.getStaticLoopRanges()[1] % kPartBytes == 0);
}

bool isWordExchange(linalg::LinalgOp op) { return isWordCopy(op, {1, 0, 2}); }

bool isWordTransposition(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || op.getStaticLoopRanges()[2] != 2)
    return false;
  AffineExpr lane, pair, half;
  bindDims(op->getContext(), lane, pair, half);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return maps[0] == AffineMap::get(3, 0, {pair, half, lane}, op->getContext()) && maps[1].isIdentity() &&
         getElementTypeOrSelf(op.getDpsInits()[0]).isBF16();
}

/// The words of all lanes of a block of one word.
static Value readWords(OpBuilder &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[1];
  int64_t lanes = getTensorType(op.getDpsInits()[0]).getDimSize(1);
  if (!isShortContraction(op))
    return readRow(b, loc, flattenWords(b, loc, input), {0, 0}, 2 * lanes);
  auto readPart = [&](int64_t part) { return toShorts(b, loc, readRow(b, loc, input, {0, part, 0}, lanes)); };
  return vector::InterleaveOp::create(b, loc, readPart(0), readPart(1));
}

Value vectorizeWordContraction(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value rows = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  ArrayRef<int64_t> shape = getTensorType(init).getShape();
  Value lanes = readWords(b, op);
  bool isPairFirst = getTensorType(rows).getDimSize(0) == 1 && shape[0] != 1;

  auto sumsType = VectorType::get(shape, getElementTypeOrSelf(init));
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
      sum = buildPairDot(b, loc, sum, pair, other);
      rowSums = vector::InsertStridedSliceOp::create(b, loc, sum, rowSums, ArrayRef{lane}, ArrayRef<int64_t>{1});
    }
    sums = vector::InsertOp::create(b, loc, rowSums, sums, row);
  }
  return vector::TransferWriteOp::create(b, loc, sums, init, zeros, inBounds).getResult();
}

/// [rows, steps, lanes, parts] as [rows, steps * lanes * parts].
static Value flattenSteps(OpBuilder &b, Location loc, Value tensor) {
  ArrayRef<int64_t> shape = getTensorType(tensor).getShape();
  auto type = RankedTensorType::get({shape[0], shape[1] * shape[2] * shape[3]}, getElementTypeOrSelf(tensor));
  return tensor::CollapseShapeOp::create(b, loc, type, tensor, ArrayRef<ReassociationIndices>{{0}, {1, 2, 3}});
}

Value vectorizeShortDot(RewriterBase &b, linalg::LinalgOp op) {
  constexpr int64_t kStep = kShortLanes * kShortsPerLane;
  Location loc = op.getLoc();
  Value init = op.getDpsInits()[0];
  ArrayRef<int64_t> shape = getTensorType(init).getShape();
  int64_t length = op.getStaticLoopRanges()[3] * kStep;
  auto readShorts = [&](Value tensor) {
    Value flat = flattenSteps(b, loc, tensor);
    return llvm::map_to_vector(llvm::seq(getTensorType(flat).getDimSize(0)), [&](int64_t row) {
      Value numbers = readRow(b, loc, flat, {row, 0}, length);
      return getElementTypeOrSelf(numbers).isInteger(8) ? toShorts(b, loc, numbers) : numbers;
    });
  };
  SmallVector<Value> rows = readShorts(op.getDpsInputs()[0]), columns = readShorts(op.getDpsInputs()[1]);

  auto sumsType = VectorType::get(shape, b.getI32Type());
  SmallVector<Value> zeros(3, arith::ConstantIndexOp::create(b, loc, 0));
  SmallVector<bool> inBounds(3, true);
  Value sums = vector::TransferReadOp::create(b, loc, sumsType, init, zeros, /*padding=*/std::nullopt, inBounds);
  for (auto [i, row] : llvm::enumerate(rows)) {
    for (auto [j, column] : llvm::enumerate(columns)) {
      SmallVector<int64_t> position = {static_cast<int64_t>(i), static_cast<int64_t>(j)};
      Value sum = vector::ExtractOp::create(b, loc, sums, position);
      for (int64_t at = 0; at < length; at += kStep)
        sum = DotShortsOp::create(b, loc, sum.getType(), sum, extractSlice(b, loc, row, at, kStep),
                                  extractSlice(b, loc, column, at, kStep));
      sums = vector::InsertOp::create(b, loc, sum, sums, position);
    }
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

/// Elements of two vectors of bytes by turns, `unit` bytes of each, within 16 bytes: those of their lower halves, or of
/// their upper ones.
static Value buildUnpacked(OpBuilder &b, Location loc, Value x, Value y, int64_t unit, bool isUpper) {
  int64_t lanes = cast<VectorType>(x.getType()).getNumElements();
  SmallVector<int64_t> mask;
  for (int64_t part = isUpper ? kPartBytes / 2 : 0; part < lanes; part += kPartBytes)
    for (int64_t i = part; i < part + kPartBytes / 2; i += unit)
      for (int64_t source : {i, lanes + i})
        llvm::append_range(mask, llvm::seq(source, source + unit));
  return vector::ShuffleOp::create(b, loc, x, y, mask);
}

/// Words of four bytes: brought together within 16 bytes, which one instruction does for a vector, and put in their
/// order by the stores.
static Value vectorizeByteInterleave(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  int64_t lanes = getTensorType(input).getDimSize(2);
  SmallVector<Value> parts;
  for (int64_t part = 0; part < 4; ++part)
    parts.push_back(readRow(b, loc, input, {0, part, 0}, lanes));
  Value flat = flattenWords(b, loc, init);
  int64_t quarter = 0;
  for (bool isUpper : {false, true}) {
    Value first = buildUnpacked(b, loc, parts[0], parts[1], 1, isUpper);
    Value second = buildUnpacked(b, loc, parts[2], parts[3], 1, isUpper);
    for (bool isUpperWord : {false, true}) {
      Value words = buildUnpacked(b, loc, first, second, 2, isUpperWord);
      for (int64_t lane = 0; lane < lanes; lane += kPartBytes) {
        Value indices[] = {arith::ConstantIndexOp::create(b, loc, 0),
                           arith::ConstantIndexOp::create(b, loc, 4 * lane + kPartBytes * quarter)};
        flat = vector::TransferWriteOp::create(b, loc, extractSlice(b, loc, words, lane, kPartBytes), flat, indices,
                                               ArrayRef<bool>{true})
                   .getResult();
      }
      ++quarter;
    }
  }
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

Value vectorizeWordInterleave(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  if (getElementTypeOrSelf(init).isInteger(8))
    return vectorizeByteInterleave(b, op);
  Value words = readInterleaved(b, loc, input, 0, getTensorType(input).getDimSize(2));
  Value flat = writeRow(b, loc, words, flattenWords(b, loc, init));
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

bool isNibbleUnpacking(linalg::LinalgOp op) {
  // The half that an element is decides over its shift; a repeat of bytes has the same shape without.
  if (op.getNumDpsInputs() != 1 || op.getNumLoops() != 3 || op.getStaticLoopRanges()[2] != 2 || !op.hasIndexSemantics())
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Type element = getElementTypeOrSelf(op.getDpsInits()[0]);
  return maps[1].isIdentity() && maps[0] == maps[1].getMajorSubMap(2) &&
         getElementTypeOrSelf(op.getDpsInputs()[0]).isInteger(8) && (element.isF32() || element.isInteger(8));
}

Value vectorizeNibbleUnpacking(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  int64_t bytes = getTensorType(input).getDimSize(1);
  auto type = VectorType::get({bytes}, b.getI8Type());
  Value row = readRow(b, loc, input, {0, 0}, bytes);
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, b.getI8IntegerAttr(value)));
  };
  // There are no shifts of bytes that keep a sign: 4 bits x, of two's complement, are (x ^ 8) - 8.
  auto toSigned = [&](Value bits) -> Value {
    return arith::SubIOp::create(b, loc, arith::XOrIOp::create(b, loc, bits, constant(8)), constant(8));
  };
  Value low = toSigned(arith::AndIOp::create(b, loc, row, constant(15)));
  Value high = toSigned(arith::ShRUIOp::create(b, loc, row, constant(4)));
  auto convert = [&](Value half) -> Value {
    return getElementTypeOrSelf(init).isF32()
               ? arith::SIToFPOp::create(b, loc, type.clone(b.getF32Type()), half).getResult()
               : half;
  };
  Value elements = vector::InterleaveOp::create(b, loc, convert(low), convert(high));
  Value flat = writeRow(b, loc, elements, flattenWords(b, loc, init));
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

Value vectorizeWordTransposition(RewriterBase &b, linalg::LinalgOp op) {
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
  Value flat = flattenWords(b, loc, init);
  SmallVector<Value> zeros(2, arith::ConstantIndexOp::create(b, loc, 0));
  flat = vector::TransferWriteOp::create(b, loc, vector::BitCastOp::create(b, loc, rowsType, words), flat, zeros,
                                         ArrayRef<bool>{true, true})
             .getResult();
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

Value vectorizeWordExchange(RewriterBase &b, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value input = op.getDpsInputs()[0], init = op.getDpsInits()[0];
  ArrayRef<int64_t> shape = getTensorType(init).getShape();
  int64_t words = shape[0], lanes = shape[1], parts = shape[2];
  SmallVector<Value> zeros(2, arith::ConstantIndexOp::create(b, loc, 0));
  SmallVector<bool> inBounds(2, true);
  auto rows = VectorType::get({lanes, words * parts}, getElementTypeOrSelf(init));
  Value matrix = vector::TransferReadOp::create(b, loc, rows, flattenWords(b, loc, input), zeros,
                                                /*padding=*/std::nullopt, inBounds);
  matrix = vector::BitCastOp::create(b, loc, VectorType::get({lanes, words}, b.getI32Type()), matrix);
  matrix = vector::TransposeOp::create(b, loc, matrix, ArrayRef<int64_t>{1, 0});
  matrix = vector::BitCastOp::create(b, loc, VectorType::get({words, lanes * parts}, rows.getElementType()), matrix);
  Value flat = vector::TransferWriteOp::create(b, loc, matrix, flattenWords(b, loc, init), zeros, inBounds).getResult();
  return tensor::ExpandShapeOp::create(b, loc, getTensorType(init), flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

} // namespace mlir::gqa
