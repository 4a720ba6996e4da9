// How gqa-gpu-distribute converts rows in shared memory: quantised elements to the floats that products take.

#include "passes/gpu/Distributor.h"

#include "dialect/OnlineSoftmax.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::gqa {

using namespace gqa_gpu;

namespace {

/// Converts one chunk of a row.
struct ChunkConverter {
  OpBuilder &b;
  Location loc;
  const Lane &lane;
  ConvertRowsOp op;
  Value factors; ///< of the chunk's first column, or null
  Value stride;  ///< from one factor to the next, in elements

  static constexpr int64_t kElements = 8;

  int64_t getSourceBytes() { return kElements * op.getFrom().getIntOrFloatBitWidth() / 8 / (op.getPacked() ? 2 : 1); }
  int64_t getResultBytes() { return kElements * op.getTo().getIntOrFloatBitWidth() / 8; }

  void convert(Value source, Value destination) {
    bool isByte = op.getFrom().getIntOrFloatBitWidth() == 8;
    Type unit = isByte ? b.getI8Type() : op.getFrom();
    auto type = VectorType::get({getSourceBytes() * 8 / unit.getIntOrFloatBitWidth()}, unit);
    Value loaded = LLVM::LoadOp::create(b, loc, type, source, static_cast<unsigned>(getSourceBytes()));
    SmallVector<Value> elements;
    for (int64_t i = 0; i < kElements; ++i)
      elements.push_back(scale(widen(loaded, i), i));
    // 16 bytes at a time
    int64_t perStore = 128 / op.getTo().getIntOrFloatBitWidth();
    for (int64_t first = 0; first < kElements; first += perStore)
      store(ArrayRef(elements).slice(first, perStore),
            lane.advance(destination, lane.constant(16 * (first / perStore))));
  }

private:
  /// Element `i` as f32.
  Value widen(Value loaded, int64_t i) {
    Value unit = vector::ExtractOp::create(b, loc, loaded, op.getPacked() ? i / 2 : i);
    if (op.getPacked())
      return buildToF32(b, loc, buildNibble(b, loc, unit, lane.constant(i % 2)));
    if (op.getFrom() != unit.getType())
      unit = arith::BitcastOp::create(b, loc, op.getFrom(), unit);
    return buildToF32(b, loc, unit);
  }

  Value scale(Value element, int64_t i) {
    if (!factors)
      return element;
    Value offset = arith::MulIOp::create(b, loc, stride, arith::ConstantIntOp::create(b, loc, i, 64));
    Value address = lane.getElement(factors, b.getF32Type(), offset);
    Value factor = LLVM::LoadOp::create(b, loc, b.getF32Type(), address, /*alignment=*/0, /*isVolatile=*/false,
                                        /*isNonTemporal=*/false, /*isInvariant=*/true);
    return arith::MulFOp::create(b, loc, element, factor);
  }

  void store(ArrayRef<Value> elements, Value destination) {
    Type type = op.getTo(), i32 = b.getI32Type();
    SmallVector<Value> words;
    if (type.isF32()) {
      words.assign(elements.begin(), elements.end());
    } else {
      // In pairs, which chips round together.
      for (size_t i = 0; i < elements.size(); i += 2) {
        Value halves[] = {arith::TruncFOp::create(b, loc, type, elements[i]),
                          arith::TruncFOp::create(b, loc, type, elements[i + 1])};
        Value pair = vector::FromElementsOp::create(b, loc, VectorType::get({2}, type), halves);
        words.push_back(LLVM::BitcastOp::create(b, loc, i32, pair));
      }
    }
    auto vector = VectorType::get({static_cast<int64_t>(words.size())}, words[0].getType());
    LLVM::StoreOp::create(b, loc, vector::FromElementsOp::create(b, loc, vector, words), destination,
                          /*alignment=*/16);
  }
};

} // namespace

LogicalResult Distributor::distributeConversion(ConvertRowsOp op) {
  Location loc = op.getLoc();
  int64_t perRow = op.getWidth() / ChunkConverter::kElements;
  auto mapped = [&](Value value) { return value ? mapping.lookup(value) : value; };
  Value source = mapped(op.getSource()), destination = mapped(op.getDestination());
  int64_t chunks = op.getRows() * perRow;
  forEachChunk(loc, chunks, op.getThreads(), /*atATime=*/chunks, [&](Value index) {
    Value row = arith::DivUIOp::create(b, loc, index, lane.constant(perRow));
    Value chunk = arith::RemUIOp::create(b, loc, index, lane.constant(perRow));
    ChunkConverter converter{b, loc, lane, op, mapped(op.getFactors()), mapped(op.getStride())};
    if (converter.factors) {
      // Columns beyond the tile's are zeros, whatever their factor.
      Value last = lane.constant(op.getColumns() / ChunkConverter::kElements - 1);
      Value known = arith::MinUIOp::create(b, loc, chunk, last);
      Value column = arith::ExtUIOp::create(b, loc, b.getI64Type(), lane.mul(known, ChunkConverter::kElements));
      Value offset = arith::MulIOp::create(b, loc, column, converter.stride);
      converter.factors = lane.getElement(converter.factors, b.getF32Type(), offset);
    }
    auto getPlace = [&](int64_t pitch, int64_t bytes) {
      return lane.add(lane.mul(row, pitch), lane.mul(chunk, bytes));
    };
    int64_t pitch = getSharedPitch(op.getWidth(), op.getTo());
    converter.convert(lane.advance(source, getPlace(op.getPitch(), converter.getSourceBytes())),
                      lane.advance(destination, getPlace(pitch, converter.getResultBytes())));
  });
  return success();
}

} // namespace mlir::gqa
