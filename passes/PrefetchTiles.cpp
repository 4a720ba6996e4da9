#include "passes/MatrixPrefetch.h"
#include "passes/NextIteration.h"
#include "passes/Passes.h"
#include "passes/WordProducts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_PREFETCHTILES
#include "passes/Passes.h.inc"

namespace {

//===-- Loops over blocks -----------------------------------------------------------------------------------------===//

bool computesExponentials(scf::ForOp loop) {
  return loop.walk([](math::Exp2Op) { return WalkResult::interrupt(); }).wasInterrupted();
}

/// The loop over blocks of keys around `op`: the innermost one that holds a softmax's exponentials.
scf::ForOp getBlockLoop(Operation *op) {
  auto loop = op->getParentOfType<scf::ForOp>();
  while (loop && !computesExponentials(loop))
    loop = loop->getParentOfType<scf::ForOp>();
  return loop;
}

/// The same, if `op` is in a deeper loop, and so reads a part of the block.
scf::ForOp getKeyLoop(Operation *op) {
  scf::ForOp loop = getBlockLoop(op);
  return loop == op->getParentOfType<scf::ForOp>() ? scf::ForOp() : loop;
}

/// Any other loop that cuts a tile out of a buffer from outside, if the tile moves with it.
scf::ForOp getTileLoop(Value base) {
  SmallVector<Operation *> views = getViews(base);
  for (Operation *view : llvm::reverse(views)) {
    auto tile = dyn_cast<memref::SubViewOp>(view);
    auto loop = tile ? dyn_cast<scf::ForOp>(tile->getParentOp()) : scf::ForOp();
    if (loop && loop.isDefinedOutsideOfLoop(tile.getSource()) && NextIteration(loop).moves(tile))
      return loop;
  }
  return nullptr;
}

//===-- Prefetches ------------------------------------------------------------------------------------------------===//

/// Emits, beside each read of a block, prefetches of the same place in the next block.
class Prefetcher {
public:
  /// Reads of the copy that `copy` makes of a block, in deeper loops, are reads of that block: there the prefetches
  /// have time to spread, while beside the copy they would hold it up.
  void addPackedBlock(memref::CopyOp copy) {
    Value target = copy.getTarget();
    auto isDeeper = [&](Operation *user) {
      return isa<vector::TransferReadOp>(user) && getKeyLoop(user) == copy->getParentOp();
    };
    if (isa_and_nonnull<memref::AllocaOp>(target.getDefiningOp()) && llvm::any_of(target.getUsers(), isDeeper))
      packedBlocks[target] = copy;
  }

  void prefetchRead(vector::TransferReadOp read) {
    if (!read.getPermutationMap().isMinorIdentity() || read.getVectorType().getRank() == 0)
      return;
    memref::CopyOp copy = packedBlocks.lookup(read.getBase());
    Value base = copy ? copy.getSource() : read.getBase();
    prefetch(read, base, llvm::to_vector(read.getIndices()), read.getVectorType().getShape());
  }

  void prefetchCopy(memref::CopyOp copy) {
    auto type = cast<MemRefType>(copy.getSource().getType());
    if (!type.hasStaticShape() || type.getRank() == 0 || !type.isLastDimUnitStride() ||
        packedBlocks.contains(copy.getTarget()))
      return;
    OpBuilder b(copy);
    SmallVector<Value> indices(type.getRank(), arith::ConstantIndexOp::create(b, copy.getLoc(), 0));
    prefetch(copy, copy.getSource(), indices, type.getShape());
  }

private:
  void prefetch(Operation *op, Value base, SmallVector<Value> indices, ArrayRef<int64_t> shape) {
    int64_t elementBits = cast<MemRefType>(base.getType()).getElementTypeBitWidth();
    scf::ForOp loop = getKeyLoop(op);
    // In other loops, whose arithmetic may be little, it takes whole vectors to be worth it.
    if (!loop && shape.back() * elementBits / 8 < kCacheLineBytes / 2)
      return;
    if (!loop)
      loop = getTileLoop(base);
    if (!loop)
      return;
    NextIteration &next = iterations.try_emplace(loop, loop).first->second;
    bool hasMoved = next.moves(base) || llvm::any_of(indices, [&](Value index) { return next.moves(index); });
    if (!hasMoved)
      return;
    base = next.get(base);
    for (Value &index : indices)
      index = next.get(index);
    SmallVector<int64_t> steps(shape.size(), 1), position(shape.size(), 0);
    int64_t line = kCacheLineBytes * 8 / elementBits;
    steps.back() = std::min(line, shape.back());
    OpBuilder b(op);
    if (shape.back() < line)
      b.setInsertionPointToStart(buildFirstInLine(b, op->getLoc(), indices.back(), shape.back(), line));
    emit(b, op->getLoc(), base, indices, shape, steps, position, 0);
  }

  /// What runs for the first of the reads of `width` elements that touch one cache line.
  static Block *buildFirstInLine(OpBuilder &b, Location loc, Value index, int64_t width, int64_t line) {
    auto constant = [&](int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); };
    Value inLine = arith::RemUIOp::create(b, loc, index, constant(line));
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, inLine, constant(width));
    return scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false).thenBlock();
  }

  void emit(OpBuilder &b, Location loc, Value base, ArrayRef<Value> indices, ArrayRef<int64_t> shape,
            ArrayRef<int64_t> steps, MutableArrayRef<int64_t> position, unsigned dim) {
    if (dim == shape.size())
      return emitOne(b, loc, base, indices, position);
    for (position[dim] = 0; position[dim] < shape[dim]; position[dim] += steps[dim])
      emit(b, loc, base, indices, shape, steps, position, dim + 1);
  }

  static void emitOne(OpBuilder &b, Location loc, Value base, ArrayRef<Value> first, ArrayRef<int64_t> position) {
    SmallVector<Value> indices(first);
    unsigned leading = indices.size() - position.size();
    for (auto [dim, offset] : llvm::enumerate(position))
      if (offset != 0) {
        Value constant = arith::ConstantIndexOp::create(b, loc, offset);
        indices[leading + dim] = arith::AddIOp::create(b, loc, indices[leading + dim], constant);
      }
    memref::PrefetchOp::create(b, loc, base, indices, /*isWrite=*/false, kPrefetchLocality, /*isDataCache=*/true);
  }

  DenseMap<Operation *, NextIteration> iterations;
  DenseMap<Value, memref::CopyOp> packedBlocks;
};

struct PrefetchTiles : impl::PrefetchTilesBase<PrefetchTiles> {
  void runOnOperation() override {
    SmallVector<vector::TransferReadOp> reads;
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](vector::TransferReadOp read) { reads.push_back(read); });
    getOperation().walk([&](memref::CopyOp copy) { copies.push_back(copy); });
    prefetchMatrixBlocks(reads);
    Prefetcher prefetcher;
    for (memref::CopyOp copy : copies)
      prefetcher.addPackedBlock(copy);
    for (vector::TransferReadOp read : reads)
      prefetcher.prefetchRead(read);
    for (memref::CopyOp copy : copies)
      prefetcher.prefetchCopy(copy);
  }

private:
  /// Blocks that matrix registers read, and what else is read of them, which leaves `reads`.
  void prefetchMatrixBlocks(SmallVector<vector::TransferReadOp> &reads) {
    llvm::MapVector<Operation *, MatrixPrefetcher> blocks;
    getOperation().walk([&](linalg::GenericOp op) {
      if (scf::ForOp loop = op->hasAttr(kMatrixTiles) ? getBlockLoop(op) : scf::ForOp())
        blocks.try_emplace(loop, loop).first->second.add(op.getDpsInputs()[0]);
    });
    llvm::erase_if(reads, [&](vector::TransferReadOp read) {
      auto *block = blocks.find(getBlockLoop(read));
      return block != blocks.end() && block->second.add(read.getBase());
    });
    for (auto &[loop, block] : blocks)
      block.emit();
  }
};

} // namespace
} // namespace mlir::gqa
