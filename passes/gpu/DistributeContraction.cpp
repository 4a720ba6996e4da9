#include "passes/gpu/DistributeContraction.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>

namespace mlir::gqa {

namespace {

using gqa_gpu::LdMatrixOp;
using gqa_gpu::MmaOp;

struct ContractionBuilder {
  ContractionBuilder(const Lane &lane, Fragment a, const Fragment &b, Fragment init, bool isTransposed)
      : lane(lane), a(std::move(a)), matrix(b), result(std::move(init)), isTransposed(isTransposed) {
    pair = VectorType::get({2}, matrix.type.getElementType());
    if (this->a.address)
      aLane = getPlainOffset(this->a.type);
    bLane = isTransposed ? getPlainOffset(matrix.type) : getTransposedOffset(matrix.type);
  }

  Fragment build() {
    int64_t rowBlocks = result.type.getDimSize(0) / 16, columnBlocks = result.type.getDimSize(1) / 8;
    int64_t steps = a.type.getDimSize(1) / 16;
    for (int64_t step = 0; step < steps; ++step) {
      SmallVector<std::array<Value, 4>> rows;
      for (int64_t rowBlock = 0; rowBlock < rowBlocks; ++rowBlock)
        rows.push_back(a.address ? loadRows(rowBlock, step) : packRows(rowBlock, step));
      // ldmatrix brings what two blocks of columns need.
      for (int64_t columnBlock = 0; columnBlock < columnBlocks; columnBlock += 2) {
        std::array<Value, 4> columns = loadColumns(columnBlock, step);
        for (int64_t rowBlock = 0; rowBlock < rowBlocks; ++rowBlock) {
          multiply(rows[rowBlock], columns[0], columns[1], {rowBlock, 0, columnBlock, 0});
          multiply(rows[rowBlock], columns[2], columns[3], {rowBlock, 0, columnBlock + 1, 0});
        }
      }
    }
    return result;
  }

private:
  /// Where a lane reads, in bytes from the corner of 16x16 elements, so that ldmatrix's four matrices are the quarters
  /// upper left, lower left, upper right, lower right.
  Value getPlainOffset(RankedTensorType type) {
    Value row = lane.bitAnd(lane.lane, 15), column = lane.shiftRight(lane.lane, 4);
    return lane.add(lane.mul(row, getPitch(type)), lane.mul(column, 16));
  }
  /// The same in the order upper left, upper right, lower left, lower right.
  Value getTransposedOffset(RankedTensorType type) {
    Value row = lane.add(lane.bitAnd(lane.lane, 7), lane.shiftLeft(lane.shiftRight(lane.lane, 4), 3));
    Value column = lane.bitAnd(lane.shiftRight(lane.lane, 3), 1);
    return lane.add(lane.mul(row, getPitch(type)), lane.mul(column, 16));
  }
  static int64_t getPitch(RankedTensorType type) {
    return gqa_gpu::getSharedPitch(type.getDimSize(1), type.getElementType());
  }

  std::array<Value, 4> load(const Fragment &tile, Value laneOffset, int64_t row, int64_t column, bool isTransposed) {
    Value address = lane.advance(tile.address, laneOffset, row * getPitch(tile.type) + 2 * column);
    auto load = LdMatrixOp::create(lane.b, lane.loc, pair, pair, pair, pair, address, isTransposed);
    return {load.getR0(), load.getR1(), load.getR2(), load.getR3()};
  }

  std::array<Value, 4> loadRows(int64_t rowBlock, int64_t step) {
    return load(a, aLane, 16 * rowBlock, 16 * step, /*isTransposed=*/false);
  }

  std::array<Value, 4> loadColumns(int64_t columnBlock, int64_t step) {
    if (isTransposed)
      return load(matrix, bLane, 16 * step, 8 * columnBlock, /*isTransposed=*/true);
    return load(matrix, bLane, 8 * columnBlock, 16 * step, /*isTransposed=*/false);
  }

  /// Accumulators as the operand A.
  std::array<Value, 4> packRows(int64_t rowBlock, int64_t step) {
    std::array<Value, 4> packed;
    for (int64_t i = 0; i < 4; ++i) {
      FragmentElement first{rowBlock, /*half=*/i % 2, /*columnBlock=*/2 * step + i / 2, /*parity=*/0};
      FragmentElement second = first;
      second.parity = 1;
      packed[i] = vector::FromElementsOp::create(lane.b, lane.loc, pair, ValueRange{a.at(first), a.at(second)});
    }
    return packed;
  }

  void multiply(const std::array<Value, 4> &rows, Value b0, Value b1, FragmentElement corner) {
    SmallVector<FragmentElement, 4> positions;
    for (int64_t half : {0, 1})
      for (int64_t parity : {0, 1})
        positions.push_back({corner.rowBlock, half, corner.columnBlock, parity});
    Type f32 = lane.b.getF32Type();
    auto mma = MmaOp::create(lane.b, lane.loc, f32, f32, f32, f32, rows[0], rows[1], rows[2], rows[3], b0, b1,
                             result.at(positions[0]), result.at(positions[1]), result.at(positions[2]),
                             result.at(positions[3]));
    for (auto [position, value] : llvm::zip_equal(positions, mma.getResults()))
      result.at(position) = value;
  }

  const Lane &lane;
  Fragment a;
  const Fragment &matrix;
  Fragment result;
  bool isTransposed;
  VectorType pair;
  Value aLane, bLane;
};

} // namespace

Fragment buildContraction(const Lane &lane, Fragment a, const Fragment &b, Fragment init, bool isTransposed) {
  return ContractionBuilder(lane, std::move(a), b, std::move(init), isTransposed).build();
}

} // namespace mlir::gqa
