#include "passes/Passes.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_PREFETCHTILES
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t kCacheLineBytes = 64;

/// Into the second-level cache: the first is full of what the block at hand needs.
constexpr unsigned kLocality = 2;

/// A read of a block of a larger buffer, where a loop runs over the blocks.
struct TileRead {
  vector::TransferReadOp read;
  SmallVector<Operation *> views; // from the tile's subview to the buffer that is read
  scf::ForOp loop;
};

/// The loop whose induction variable decides where `tile` lies, if the tile is in its body and the buffer outside.
scf::ForOp getBlockLoop(memref::SubViewOp tile) {
  auto loop = dyn_cast<scf::ForOp>(tile->getParentOp());
  if (!loop || !loop.isDefinedOutsideOfLoop(tile.getSource()))
    return nullptr;
  SetVector<Operation *> slice;
  BackwardSliceOptions options;
  options.filter = [&](Operation *op) { return op->getBlock() == loop.getBody(); };
  (void)getBackwardSlice(tile.getOperation(), &slice, options);
  slice.insert(tile);
  bool isMoving =
      llvm::any_of(slice, [&](Operation *op) { return llvm::is_contained(op->getOperands(), loop.getInductionVar()); });
  return isMoving ? loop : scf::ForOp();
}

/// Vectors that lie in one piece in memory, of half a cache line or more.
bool isStreaming(vector::TransferReadOp read) {
  VectorType type = read.getVectorType();
  if (!read.getPermutationMap().isMinorIdentity() || type.getRank() == 0)
    return false;
  return type.getShape().back() * type.getElementTypeBitWidth() / 8 >= kCacheLineBytes / 2;
}

std::optional<TileRead> match(vector::TransferReadOp read) {
  if (!isStreaming(read))
    return std::nullopt;
  TileRead result{read, {}, nullptr};
  for (Value base = read.getBase(); Operation *op = base.getDefiningOp();) {
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    if (!view)
      return std::nullopt;
    result.views.insert(result.views.begin(), op);
    if (auto tile = dyn_cast<memref::SubViewOp>(op))
      if ((result.loop = getBlockLoop(tile)))
        return result;
    base = view.getViewSource();
  }
  return std::nullopt;
}

/// Emits, beside each read, prefetches of the same place in the next block.
struct Prefetcher {
  explicit Prefetcher(MLIRContext *context) : b(context) {}

  void prefetch(TileRead tile) {
    Value next = getNextTile(tile);
    b.setInsertionPoint(tile.read);
    VectorType type = tile.read.getVectorType();
    int64_t lineElements = kCacheLineBytes * 8 / type.getElementTypeBitWidth();
    SmallVector<int64_t> steps(type.getRank(), 1);
    steps.back() = std::min<int64_t>(lineElements, type.getShape().back());
    SmallVector<int64_t> position(type.getRank(), 0);
    emit(tile.read, next, type.getShape(), steps, position, 0);
  }

private:
  /// The views of `tile`, one block on.
  Value getNextTile(TileRead tile) {
    Value base = tile.read.getBase();
    if (Value known = nextTiles.lookup(base))
      return known;
    scf::ForOp loop = tile.loop;
    b.setInsertionPointAfter(tile.views.back());
    IRMapping mapping;
    Value one = arith::ConstantIndexOp::create(b, loop.getLoc(), 1);
    mapping.map(loop.getInductionVar(),
                arith::AddIOp::create(b, loop.getLoc(), loop.getInductionVar(), one).getResult());

    SetVector<Operation *> slice;
    BackwardSliceOptions options;
    options.filter = [&](Operation *op) { return op->getBlock() == loop.getBody(); };
    (void)getBackwardSlice(tile.views.front(), &slice, options);
    for (Operation *view : tile.views)
      slice.insert(view);
    for (Operation *op : slice)
      b.clone(*op, mapping);
    return nextTiles[base] = mapping.lookup(base);
  }

  void emit(vector::TransferReadOp read, Value next, ArrayRef<int64_t> shape, ArrayRef<int64_t> steps,
            MutableArrayRef<int64_t> position, unsigned dim) {
    if (dim == shape.size()) {
      emitOne(read, next, position);
      return;
    }
    for (position[dim] = 0; position[dim] < shape[dim]; position[dim] += steps[dim])
      emit(read, next, shape, steps, position, dim + 1);
  }

  void emitOne(vector::TransferReadOp read, Value next, ArrayRef<int64_t> position) {
    SmallVector<Value> indices(read.getIndices());
    unsigned leading = indices.size() - position.size();
    for (auto [dim, offset] : llvm::enumerate(position))
      if (offset != 0) {
        Value constant = arith::ConstantIndexOp::create(b, read.getLoc(), offset);
        indices[leading + dim] = arith::AddIOp::create(b, read.getLoc(), indices[leading + dim], constant);
      }
    memref::PrefetchOp::create(b, read.getLoc(), next, indices, /*isWrite=*/false, kLocality, /*isDataCache=*/true);
  }

  OpBuilder b;
  DenseMap<Value, Value> nextTiles;
};

struct PrefetchTiles : impl::PrefetchTilesBase<PrefetchTiles> {
  void runOnOperation() override {
    SmallVector<TileRead> reads;
    getOperation().walk([&](vector::TransferReadOp read) {
      if (std::optional<TileRead> tile = match(read))
        reads.push_back(*tile);
    });
    Prefetcher prefetcher(&getContext());
    for (TileRead &tile : reads)
      prefetcher.prefetch(tile);
  }
};

} // namespace
} // namespace mlir::gqa
