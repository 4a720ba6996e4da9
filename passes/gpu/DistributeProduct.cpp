#include "passes/gpu/DistributeProduct.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::gqa {

using namespace gqa_gpu;

namespace {

constexpr int64_t kStep = 16;                      ///< of k in one instruction
constexpr int64_t kSlabRowBytes = 128;             ///< 64 columns of two bytes
constexpr int64_t kGroupBytes = 8 * kSlabRowBytes; ///< eight rows, in which the swizzle repeats

/// A matrix descriptor (PTX ISA, "Matrix Descriptor Format" of wgmma): bits 0-13 address, 16-29 leading and 32-45
/// stride byte offset, each in units of 16 bytes; 62-63 the swizzle, 1 for that of 128 bytes. In a K-major matrix the
/// stride is that of eight rows, and the leading offset is not used. In one that is transposed, the leading offset is
/// that of 64 columns and the stride that of eight rows, which are steps along k.
struct Descriptor {
  Value low;
  int64_t high;
};

Descriptor buildDescriptor(const Lane &lane, Value address, int64_t leadingBytes) {
  Value offset = SharedOffsetOp::create(lane.b, lane.loc, lane.b.getI32Type(), address);
  Value low = lane.bitAnd(lane.shiftRight(offset, 4), 0x3fff);
  low = arith::OrIOp::create(lane.b, lane.loc, low, lane.constant((leadingBytes >> 4) << 16));
  return {low, (int64_t(1) << 30) | (kGroupBytes >> 4)};
}

/// What each step adds to a descriptor's low word. Along the rows of slabs a step is 32 bytes, and every fourth the
/// next slab; across rows it is 16 of them.
SmallVector<int64_t> getSteps(int64_t k, int64_t rows, bool isTransposed) {
  SmallVector<int64_t> steps;
  for (int64_t step = 0; step < k / kStep; ++step) {
    int64_t bytes = isTransposed ? step * kStep * kSlabRowBytes : step / 4 * rows * kSlabRowBytes + step % 4 * 32;
    steps.push_back(bytes >> 4);
  }
  return steps;
}

} // namespace

Fragment buildProduct(const Lane &lane, StartProductOp product, const ProductOperands &operands) {
  bool isTransposed = product.getTransposeB();
  int64_t k = product.getK(), bRows = product.getBRows();
  Descriptor a{}, b = buildDescriptor(lane, operands.bAddress, isTransposed ? bRows * kSlabRowBytes : kStep);
  SmallVector<int64_t> aSteps;
  if (!operands.a) {
    a = buildDescriptor(lane, operands.aAddress, kStep);
    aSteps = getSteps(k, product.getARows(), /*isTransposed=*/false);
  }
  Fragment result(cast<RankedTensorType>(product.getResult().getType()));
  SmallVector<Type> types(result.elements.size(), lane.b.getF32Type());
  auto wgmma = WgmmaOp::create(
      lane.b, lane.loc, types, operands.init ? ValueRange(operands.init->elements) : ValueRange(),
      operands.a ? ValueRange(operands.a->elements) : ValueRange(), a.low, b.low, result.type.getDimSize(1), a.high,
      b.high, aSteps, getSteps(k, bRows, isTransposed), isTransposed, product.getElement());
  llvm::copy(wgmma.getResults(), result.elements.begin());
  return result;
}

Fragment buildPackedPairs(const Lane &lane, Fragment &tile, PackPairsOp pack) {
  Fragment words;
  words.type = cast<RankedTensorType>(pack.getWords().getType());
  auto pair = VectorType::get({2}, pack.getElement());
  for (int64_t step = 0; step < tile.type.getDimSize(1) / kStep; ++step)
    for (int64_t i = 0; i < 4; ++i) {
      FragmentElement position{/*rowBlock=*/0, /*half=*/i % 2, /*columnBlock=*/2 * step + i / 2, /*parity=*/0};
      SmallVector<Value> rounded;
      for (position.parity = 0; position.parity < 2; ++position.parity)
        rounded.push_back(arith::TruncFOp::create(lane.b, lane.loc, pack.getElement(), tile.at(position)));
      Value packed = vector::FromElementsOp::create(lane.b, lane.loc, pair, rounded);
      words.elements.push_back(LLVM::BitcastOp::create(lane.b, lane.loc, lane.b.getI32Type(), packed));
    }
  return words;
}

} // namespace mlir::gqa
