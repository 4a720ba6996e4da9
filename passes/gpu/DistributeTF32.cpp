// Products of f32 by mma of TF32, whose factors have 11 significant bits: each factor is the sum of two such numbers,
// and three of the four products of their parts are added. What is left out is below 2^-24 of the product.

#include "passes/gpu/DistributeContraction.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>

namespace mlir::gqa {

namespace {

using gqa_gpu::MmaTF32Op;

/// An f32 as two numbers of TF32.
struct Parts {
  Value high, low;
};

/// A step takes 8 of the inner dimension. The order in which mma numbers them does not matter as long as both factors
/// agree: its numbers t and t + 4 are here 2t and 2t + 1, which a lane holds of accumulators, and which lie side by
/// side in shared memory.
struct TF32Builder {
  TF32Builder(const Lane &lane, Fragment a, const Fragment &matrix, Fragment init, bool isTransposed)
      : b(lane.b), lane(lane), a(std::move(a)), matrix(matrix), result(std::move(init)), isTransposed(isTransposed) {
    int64_t pitch = getPitch(this->a.type);
    if (this->a.address)
      aLane = lane.add(lane.mul(lane.row, pitch), lane.mul(lane.column, 4));
    int64_t bPitch = getPitch(matrix.type);
    bLane = isTransposed ? lane.add(lane.mul(lane.column, bPitch), lane.mul(lane.row, 4))
                         : lane.add(lane.mul(lane.row, bPitch), lane.mul(lane.column, 4));
  }

  Fragment build() {
    int64_t rowBlocks = result.type.getDimSize(0) / 16, columnBlocks = result.type.getDimSize(1) / 8;
    for (int64_t step = 0; step < a.type.getDimSize(1) / 8; ++step) {
      SmallVector<std::array<Parts, 4>> rows;
      for (int64_t rowBlock = 0; rowBlock < rowBlocks; ++rowBlock)
        rows.push_back(getRows(rowBlock, step));
      for (int64_t columnBlock = 0; columnBlock < columnBlocks; ++columnBlock) {
        std::array<Parts, 2> columns = loadColumns(columnBlock, step);
        for (int64_t rowBlock = 0; rowBlock < rowBlocks; ++rowBlock)
          multiply(rows[rowBlock], columns, {rowBlock, 0, columnBlock, 0});
      }
    }
    return result;
  }

private:
  static int64_t getPitch(RankedTensorType type) {
    return gqa_gpu::getSharedPitch(type.getDimSize(1), type.getElementType());
  }

  /// `value` rounded to TF32, and the rest, rounded likewise.
  Parts split(Value value) {
    Value high = round(value);
    return {high, round(arith::SubFOp::create(b, lane.loc, value, high))};
  }

  Value round(Value value) {
    Value bits = arith::BitcastOp::create(b, lane.loc, b.getI32Type(), value);
    bits = lane.bitAnd(lane.add(bits, 0x1000), static_cast<int32_t>(0xffffe000));
    return arith::BitcastOp::create(b, lane.loc, b.getF32Type(), bits);
  }

  /// Rows q and q + 8, for 2t and for 2t + 1.
  std::array<Parts, 4> getRows(int64_t rowBlock, int64_t step) {
    std::array<Parts, 4> rows;
    for (int64_t half : {0, 1}) {
      Value pair = a.address ? loadPair(a, aLane, 16 * rowBlock + 8 * half, 8 * step) : Value();
      for (int64_t parity : {0, 1})
        rows[half + 2 * parity] = split(pair ? Value(vector::ExtractOp::create(b, lane.loc, pair, parity))
                                             : a.at({rowBlock, half, /*columnBlock=*/step, parity}));
    }
    return rows;
  }

  std::array<Parts, 2> loadColumns(int64_t columnBlock, int64_t step) {
    if (!isTransposed) {
      Value pair = loadPair(matrix, bLane, 8 * columnBlock, 8 * step);
      return {split(vector::ExtractOp::create(b, lane.loc, pair, 0)),
              split(vector::ExtractOp::create(b, lane.loc, pair, 1))};
    }
    auto load = [&](int64_t row) -> Value {
      Value address = lane.advance(matrix.address, bLane, row * getPitch(matrix.type) + 4 * 8 * columnBlock);
      return LLVM::LoadOp::create(b, lane.loc, b.getF32Type(), address);
    };
    return {split(load(8 * step)), split(load(8 * step + 1))};
  }

  /// Two elements side by side.
  Value loadPair(const Fragment &tile, Value laneOffset, int64_t row, int64_t column) {
    Value address = lane.advance(tile.address, laneOffset, row * getPitch(tile.type) + 4 * column);
    return LLVM::LoadOp::create(b, lane.loc, VectorType::get({2}, b.getF32Type()), address, /*alignment=*/8);
  }

  void multiply(const std::array<Parts, 4> &rows, const std::array<Parts, 2> &columns, FragmentElement corner) {
    SmallVector<FragmentElement, 4> positions;
    SmallVector<Value> sums;
    for (int64_t half : {0, 1})
      for (int64_t parity : {0, 1}) {
        positions.push_back({corner.rowBlock, half, corner.columnBlock, parity});
        sums.push_back(result.at(positions.back()));
      }
    Type f32 = b.getF32Type();
    // The small products first.
    for (auto [rowPart, columnPart] :
         {std::pair(&Parts::low, &Parts::high), {&Parts::high, &Parts::low}, {&Parts::high, &Parts::high}}) {
      auto mma = MmaTF32Op::create(b, lane.loc, f32, f32, f32, f32, rows[0].*rowPart, rows[1].*rowPart,
                                   rows[2].*rowPart, rows[3].*rowPart, columns[0].*columnPart, columns[1].*columnPart,
                                   sums[0], sums[1], sums[2], sums[3]);
      sums.assign(mma->result_begin(), mma->result_end());
    }
    for (auto [position, value] : llvm::zip_equal(positions, sums))
      result.at(position) = value;
  }

  OpBuilder &b;
  const Lane &lane;
  Fragment a;
  const Fragment &matrix;
  Fragment result;
  bool isTransposed;
  Value aLane, bLane; ///< where a lane reads, in bytes from a tile's corner
};

} // namespace

Fragment buildTF32Contraction(const Lane &lane, Fragment a, const Fragment &b, Fragment init, bool isTransposed) {
  return TF32Builder(lane, std::move(a), b, std::move(init), isTransposed).build();
}

} // namespace mlir::gqa
