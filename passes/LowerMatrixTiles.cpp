#include "passes/Passes.h"
#include "passes/WordProducts.h"

#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_LOWERMATRIXTILES
#include "passes/Passes.h.inc"

namespace {

/// Emits one word contraction: out[row, lane] += rows[row, word, part] * lanes[word, lane, part].
struct Emitter {
  Emitter(RewriterBase &b, linalg::GenericOp op)
      : b(b), loc(op.getLoc()), rows(op.getDpsInputs()[0]), lanes(op.getDpsInputs()[1]), out(op.getDpsInits()[0]),
        extents(op.getStaticLoopRanges()), depth(getMatrixDepth(extents[2])), isFromZeros(op->hasAttr(kFromZeros)) {}

  /// Loops over blocks of up to 2 x 2 tiles of `out`: with two tiles each of `rows` and `lanes` they fill the eight
  /// registers, and each tile that is loaded serves two products.
  void emit() {
    int64_t rowTiles = extents[0] % (2 * kMatrixTile) == 0 ? 2 : 1,
            laneTiles = extents[1] % (2 * kMatrixTile) == 0 ? 2 : 1;
    Value zero = index(0);
    auto rowLoop = scf::ForOp::create(b, loc, zero, index(extents[0]), index(rowTiles * kMatrixTile));
    b.setInsertionPointToStart(rowLoop.getBody());
    auto laneLoop = scf::ForOp::create(b, loc, zero, index(extents[1]), index(laneTiles * kMatrixTile));
    b.setInsertionPointToStart(laneLoop.getBody());
    emitBlock(getTiles(rowLoop.getInductionVar(), rowTiles), getTiles(laneLoop.getInductionVar(), laneTiles));
  }

private:
  /// The indices of `count` tiles from `first` on.
  SmallVector<Value> getTiles(Value first, int64_t count) {
    return llvm::map_to_vector(llvm::seq<int64_t>(count), [&](int64_t i) -> Value {
      return i == 0 ? first : arith::AddIOp::create(b, loc, first, index(i * kMatrixTile)).getResult();
    });
  }

  void emitBlock(ArrayRef<Value> rowTiles, ArrayRef<Value> laneTiles) {
    Type element = getElementTypeOrSelf(rows.getType());
    bool isFloat = element.isBF16();
    auto sumType = amx::TileType::get({kMatrixTile, kMatrixTile}, getElementTypeOrSelf(out.getType()));
    auto leftType = amx::TileType::get({kMatrixTile, depth * extents[3]}, element);
    auto rightType = amx::TileType::get({depth, kMatrixTile * extents[3]}, element);
    SmallVector<Value> sums;
    for (Value row : rowTiles)
      for (Value lane : laneTiles)
        sums.push_back(isFromZeros ? amx::TileZeroOp::create(b, loc, sumType).getResult()
                                   : load(sumType, out, {row, lane}));
    for (int64_t word = 0; word < extents[2]; word += depth) {
      SmallVector<Value> right = llvm::map_to_vector(
          laneTiles, [&](Value lane) { return load(rightType, lanes, {index(word), lane, index(0)}); });
      for (auto [i, row] : llvm::enumerate(rowTiles)) {
        Value left = load(leftType, rows, {row, index(word), index(0)});
        for (auto [j, other] : llvm::enumerate(right)) {
          Value &sum = sums[i * laneTiles.size() + j];
          sum = isFloat ? amx::TileMulFOp::create(b, loc, sumType, left, other, sum).getResult()
                        : amx::TileMulIOp::create(b, loc, sumType, left, other, sum).getResult();
        }
      }
    }
    for (auto [i, row] : llvm::enumerate(rowTiles))
      for (auto [j, lane] : llvm::enumerate(laneTiles))
        amx::TileStoreOp::create(b, loc, out, ValueRange{row, lane}, sums[i * laneTiles.size() + j], getStride(out));
  }

  Value load(amx::TileType type, Value buffer, ArrayRef<Value> indices) {
    return amx::TileLoadOp::create(b, loc, type, buffer, indices, getStride(buffer));
  }

  /// The distance between rows of a buffer, in elements.
  Value getStride(Value buffer) {
    int64_t stride = cast<MemRefType>(buffer.getType()).getStridesAndOffset().first.front();
    if (!ShapedType::isDynamic(stride))
      return index(stride);
    return memref::ExtractStridedMetadataOp::create(b, loc, buffer).getStrides().front();
  }

  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  RewriterBase &b;
  Location loc;
  Value rows, lanes, out;
  SmallVector<int64_t> extents;
  int64_t depth; ///< words that one register takes of a row
  bool isFromZeros;
};

/// Whether the innermost dimensions of each operand make rows without gaps, as a tile load reads them.
bool hasDenseRows(linalg::GenericOp op) {
  return llvm::all_of(op->getOperandTypes(), [](Type type) {
    auto buffer = cast<MemRefType>(type);
    auto [strides, offset] = buffer.getStridesAndOffset();
    int64_t next = 1;
    for (int64_t dim = buffer.getRank() - 1; dim > 0; --dim) {
      if (strides[dim] != next)
        return false;
      next *= buffer.getDimSize(dim);
    }
    return true;
  });
}

struct LowerMatrixTiles : impl::LowerMatrixTilesBase<LowerMatrixTiles> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) {
      if (op->hasAttr(kMatrixTiles))
        ops.push_back(op);
    });
    IRRewriter b(&getContext());
    for (linalg::GenericOp op : ops) {
      if (!op.hasPureBufferSemantics() || !hasDenseRows(op)) {
        op.emitOpError() << "marked '" << kMatrixTiles << "' needs buffers with dense rows";
        return signalPassFailure();
      }
      b.setInsertionPoint(op);
      Emitter(b, op).emit();
      b.eraseOp(op);
    }
  }
};

} // namespace
} // namespace mlir::gqa
