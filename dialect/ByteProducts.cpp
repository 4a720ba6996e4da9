#include "dialect/ByteProducts.h"

#include "dialect/AttentionDims.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {

namespace {

constexpr int64_t kDigits = 3, kDigitBits = 8;

/// The largest fixed-point number: its digits and those of its negative are signed bytes.
constexpr double kMaxFixed = 127 << 16;

/// Added to a fixed-point number, this makes its signed digits unsigned ones, each by 128 larger, which are then bits.
constexpr int32_t kDigitOffset = 0x808080;

ArrayRef<int64_t> getShape(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getShape(); }

Value buildF32(OpBuilder &b, Location loc, double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
}

Value buildI32(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value));
}

Value buildEmpty(OpBuilder &b, Location loc, ArrayRef<int64_t> shape, Type element) {
  return tensor::EmptyOp::create(b, loc, shape, element);
}

/// A copy of `input` in another order: loops are the dimensions of the result, `shape`, and `map` finds the input.
Value buildReordered(OpBuilder &b, Location loc, Value input, ArrayRef<int64_t> shape, AffineMap map) {
  Value empty = buildEmpty(b, loc, shape, getElementTypeOrSelf(input));
  SmallVector<utils::IteratorType> loops(shape.size(), utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, empty.getType(), input, empty, ArrayRef{map, b.getMultiDimIdentityMap(shape.size())}, loops,
             [](OpBuilder &nested, Location l, ValueRange args) { linalg::YieldOp::create(nested, l, args[0]); })
      .getResult(0);
}

/// [a, b] as [a / first, first, b] or [a, b / last, last], where the other of the two is 0.
Value buildSplit(OpBuilder &b, Location loc, Value tensor, int64_t first, int64_t last) {
  ArrayRef<int64_t> shape = getShape(tensor);
  SmallVector<int64_t> split = first ? SmallVector<int64_t>{shape[0] / first, first, shape[1]}
                                     : SmallVector<int64_t>{shape[0], shape[1] / last, last};
  SmallVector<ReassociationIndices> groups =
      first ? SmallVector<ReassociationIndices>{{0, 1}, {2}} : SmallVector<ReassociationIndices>{{0}, {1, 2}};
  return tensor::ExpandShapeOp::create(b, loc, RankedTensorType::get(split, getElementTypeOrSelf(tensor)), tensor,
                                       groups);
}

/// `count` rows of `tensor`, [rows, x], from `first` on.
Value buildRows(OpBuilder &b, Location loc, Value tensor, int64_t first, int64_t count) {
  SmallVector<OpFoldResult> offsets = {b.getIndexAttr(first), b.getIndexAttr(0)};
  SmallVector<OpFoldResult> sizes = {b.getIndexAttr(count), b.getIndexAttr(getShape(tensor)[1])};
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(b, loc, tensor, offsets, sizes, strides);
}

} // namespace

FixedPoint buildFixedPoint(OpBuilder &b, Location loc, MappedTensor rows) {
  ArrayRef<int64_t> shape = getShape(rows.tensor);
  RowUnits units = buildRowUnits(b, loc, rows, kMaxFixed);
  Value bits = buildGeneric(b, loc, {rows, units.inverse}, {buildEmpty(b, loc, shape, b.getI32Type()), rows.map},
                            [](OpBuilder &nested, Location l, ValueRange args) -> Value {
                              Value fixed = buildFixed(nested, l, args[0], args[1]);
                              return arith::AddIOp::create(nested, l, fixed, buildI32(nested, l, kDigitOffset));
                            });
  int64_t digitRows = llvm::alignTo(kDigits * shape[0], kMatrixTile);
  Value digits = buildEmpty(b, loc, {digitRows, shape[1]}, b.getI8Type());
  for (int64_t i = 0; i < kDigits; ++i) {
    Value digit =
        buildGeneric(b, loc, MappedTensor{bits, rows.map}, {buildEmpty(b, loc, shape, b.getI8Type()), rows.map},
                     [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
                       Value shifted = arith::ShRUIOp::create(nested, l, args[0], buildI32(nested, l, kDigitBits * i));
                       Value low = arith::TruncIOp::create(nested, l, nested.getI8Type(), shifted);
                       Value sign = arith::ConstantOp::create(nested, l, nested.getI8IntegerAttr(-128));
                       return arith::XOrIOp::create(nested, l, low, sign);
                     });
    SmallVector<OpFoldResult> offsets = {b.getIndexAttr(i * shape[0]), b.getIndexAttr(0)};
    SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
    digits =
        tensor::InsertSliceOp::create(b, loc, digit, digits, offsets, tensor::getMixedSizes(b, loc, digit), strides);
  }
  return {digits, units.unit};
}

Value buildUnpacked(OpBuilder &b, Location loc, Value packed, Type element) {
  ArrayRef<int64_t> shape = getShape(packed);
  Value empty = buildEmpty(b, loc, {shape[0], shape[1], 2}, element);
  AffineMap all = b.getMultiDimIdentityMap(3);
  SmallVector<utils::IteratorType> loops(3, utils::IteratorType::parallel);
  auto unpacked = linalg::GenericOp::create(
      b, loc, empty.getType(), packed, empty, ArrayRef{all.getMajorSubMap(2), all}, loops,
      [&](OpBuilder &nested, Location l, ValueRange args) {
        Value half = arith::IndexCastOp::create(nested, l, nested.getI32Type(), linalg::IndexOp::create(nested, l, 2));
        Value number = buildNibble(nested, l, args[0], half);
        if (element.isF32())
          number = buildToF32(nested, l, number);
        else
          number = arith::TruncIOp::create(nested, l, element, number);
        linalg::YieldOp::create(nested, l, number);
      });
  auto type = RankedTensorType::get({shape[0], 2 * shape[1]}, element);
  return tensor::CollapseShapeOp::create(b, loc, type, unpacked.getResult(0),
                                         ArrayRef<ReassociationIndices>{{0}, {1, 2}});
}

Value buildWordsOfRows(OpBuilder &b, Location loc, Value bytes) {
  ArrayRef<int64_t> shape = getShape(bytes);
  AffineExpr word, row, byte;
  bindDims(b.getContext(), word, row, byte);
  return buildReordered(b, loc, buildSplit(b, loc, bytes, 0, kBytesPerWord),
                        {shape[1] / kBytesPerWord, shape[0], kBytesPerWord},
                        AffineMap::get(3, 0, {row, word, byte}, b.getContext()));
}

Value buildWordsOfLanes(OpBuilder &b, Location loc, Value bytes) {
  ArrayRef<int64_t> shape = getShape(bytes);
  AffineExpr word, lane, byte;
  bindDims(b.getContext(), word, lane, byte);
  return buildReordered(b, loc, buildSplit(b, loc, bytes, kBytesPerWord, 0),
                        {shape[0] / kBytesPerWord, shape[1], kBytesPerWord},
                        AffineMap::get(3, 0, {word, byte, lane}, b.getContext()));
}

Value buildWordContraction(OpBuilder &b, Location loc, Value rows, Value words) {
  AffineExpr row, lane, word, byte;
  bindDims(b.getContext(), row, lane, word, byte);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, b.getContext()); };
  Value empty = buildEmpty(b, loc, {getShape(rows)[0], getShape(words)[1]}, b.getI32Type());
  Value zeros = linalg::FillOp::create(b, loc, buildI32(b, loc, 0), empty).getResult(0);
  using utils::IteratorType;
  return linalg::GenericOp::create(
             b, loc, zeros.getType(), ValueRange{buildSplit(b, loc, rows, 0, kBytesPerWord), words}, zeros,
             ArrayRef<AffineMap>{map({row, word, byte}), map({word, lane, byte}), map({row, lane})},
             ArrayRef{IteratorType::parallel, IteratorType::parallel, IteratorType::reduction, IteratorType::reduction},
             [](OpBuilder &nested, Location l, ValueRange args) {
               auto widen = [&](Value byte) -> Value {
                 return arith::ExtSIOp::create(nested, l, nested.getI32Type(), byte);
               };
               Value product = arith::MulIOp::create(nested, l, widen(args[0]), widen(args[1]));
               linalg::YieldOp::create(nested, l, arith::AddIOp::create(nested, l, args[2], product).getResult());
             })
      .getResult(0);
}

Value buildFromDigits(OpBuilder &b, Location loc, Value sums, MappedTensor unit, MappedTensor out, bool isAdded) {
  int64_t rows = getShape(out.tensor)[0];
  SmallVector<MappedTensor> inputs;
  for (int64_t i = 0; i < kDigits; ++i)
    inputs.push_back({buildRows(b, loc, sums, i * rows, rows), out.map});
  inputs.push_back(unit);
  return buildGeneric(b, loc, inputs, out, [&](OpBuilder &nested, Location l, ValueRange args) -> Value {
    Value base = buildF32(nested, l, 1 << kDigitBits);
    Value number = buildToF32(nested, l, args[kDigits - 1]);
    for (int64_t i = kDigits - 2; i >= 0; --i)
      number = math::FmaOp::create(nested, l, number, base, buildToF32(nested, l, args[i]));
    return buildFromFixed(nested, l, number, args[kDigits], isAdded ? args.back() : Value());
  });
}

Value buildTransposed(OpBuilder &b, Location loc, Value sums) {
  ArrayRef<int64_t> shape = getShape(sums);
  return buildReordered(b, loc, sums, {shape[1], shape[0]},
                        AffineMap::getPermutationMap(ArrayRef<int64_t>{1, 0}, b.getContext()));
}

} // namespace mlir::gqa
