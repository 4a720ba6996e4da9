#include "passes/LinalgRoles.h"
#include "passes/Passes.h"
#include "passes/TargetOptions.h"
#include "passes/WordProducts.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"

#include <numeric>

namespace mlir::gqa {
#define GEN_PASS_DEF_TILETOREGISTERS
#include "passes/Passes.h.inc"

namespace {

/// Vector registers, in numbers of f32 elements.
struct Registers {
  int64_t lanes;
  int64_t count;
};

int64_t largestDivisorUpTo(int64_t extent, int64_t bound) {
  for (int64_t divisor = std::min(extent, bound); divisor > 1; --divisor)
    if (extent % divisor == 0)
      return divisor;
  return 1;
}

/// The loop that runs along the innermost dimension of an operand, if it has one.
std::optional<unsigned> getInnermostLoop(AffineMap map) {
  if (map.getNumResults() == 0)
    return std::nullopt;
  auto dim = dyn_cast<AffineDimExpr>(map.getResults().back());
  return dim ? std::optional<unsigned>(dim.getPosition()) : std::nullopt;
}

bool isContraction(linalg::LinalgOp op) { return op.getNumDpsInputs() == 2 && op.getNumReductionLoops() > 0; }

/// The contraction whose partial sums `op` adds up: the second half of a dot product along the lanes.
linalg::LinalgOp getPartialSums(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1)
    return nullptr;
  auto producer = op.getDpsInputs()[0].getDefiningOp<linalg::LinalgOp>();
  return producer && isContraction(producer) && producer->hasOneUse() ? producer : nullptr;
}

/// An input that lists its dimensions in another order than the output.
bool isTransposition(linalg::LinalgOp op) {
  std::optional<unsigned> lanes = getInnermostLoop(op.getMatchingIndexingMap(op.getDpsInitOperand(0)));
  return llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *input) {
    AffineMap map = op.getMatchingIndexingMap(input);
    std::optional<unsigned> loop = getInnermostLoop(map);
    return loop && loop != lanes && lanes && map.isFunctionOfDim(*lanes) &&
           op.getIteratorTypesArray()[*loop] == utils::IteratorType::parallel;
  });
}

/// Lanes of one block: whole vectors where the extent allows, one, two or four of them. LLVM does not split vectors of
/// three registers into three: it takes them apart element by element.
int64_t getLanes(int64_t extent, Registers registers) {
  constexpr int64_t kMaxVectors = 4;
  if (extent % registers.lanes == 0)
    return registers.lanes * std::gcd(extent / registers.lanes, kMaxVectors);
  return largestDivisorUpTo(extent, registers.lanes * kMaxVectors);
}

/// Accumulator rows of one block: at most three quarters of the registers hold accumulators; one row of lanes and a
/// broadcast need room, too. More would spill. Where many rows are not divided by that number, the last block has
/// fewer.
int64_t getAccumulatorRows(int64_t rows, int64_t lanes, Registers registers) {
  int64_t vectorsPerRow = llvm::divideCeil(lanes, registers.lanes);
  int64_t room = std::min(registers.count * 3 / 4, registers.count - vectorsPerRow - 1);
  int64_t most = std::max<int64_t>(1, room / vectorsPerRow);
  // A last block of one row would wait for its multiplications.
  bool hasRemainder = rows > 2 * most && rows % most != 1;
  return hasRemainder ? most : largestDivisorUpTo(rows, most);
}

/// Tile sizes that leave the accumulators of one register block and one step of the reduction.
SmallVector<int64_t> getContractionTile(linalg::LinalgOp op, Registers registers) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<int64_t> tile(extents.size(), 1);
  AffineMap outputMap = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  std::optional<unsigned> lanes = getInnermostLoop(outputMap);
  if (!lanes)
    return tile;
  tile[*lanes] = getLanes(extents[*lanes], registers);
  if (isWordContraction(op) || isShortContraction(op))
    tile.back() = extents.back();
  if (outputMap.getNumResults() > 1) {
    unsigned rows = outputMap.getDimPosition(outputMap.getNumResults() - 2);
    tile[rows] = getAccumulatorRows(extents[rows], tile[*lanes], registers);
  }
  return tile;
}

/// Tile sizes of the sum over lanes: as many dot products as half of the registers hold partial sums for.
SmallVector<int64_t> getDotTile(linalg::LinalgOp op, Registers registers) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  int64_t vectorsPerDot = llvm::divideCeil(extents.back(), registers.lanes);
  int64_t dots = registers.count / 2 / vectorsPerDot;
  SmallVector<int64_t> tile(extents.size(), 0);
  tile[0] = largestDivisorUpTo(extents[0], std::min<int64_t>(4, dots));
  tile[1] = largestDivisorUpTo(extents[1], dots / tile[0]);
  return tile;
}

/// Tile sizes that leave one row of lanes, or a square block of a transposition.
SmallVector<int64_t> getRowTile(linalg::LinalgOp op, Registers registers) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<int64_t> tile(extents.size(), 1);
  if (isWordInterleave(op))
    return {1, extents[2] == 2 ? extents[1] : getLanes(extents[1], registers), extents[2]};
  if (isWordExchange(op))
    return {largestDivisorUpTo(extents[0], registers.lanes), largestDivisorUpTo(extents[1], registers.lanes),
            extents[2]};
  if (isNibbleUnpacking(op))
    return {1, getLanes(extents[1], registers), 2};
  if (isWordTransposition(op))
    return {largestDivisorUpTo(extents[0], registers.lanes), largestDivisorUpTo(extents[1], registers.lanes), 2};
  bool isTransposed = isTransposition(op);
  auto keep = [&](std::optional<unsigned> loop) {
    if (loop)
      tile[*loop] =
          isTransposed ? largestDivisorUpTo(extents[*loop], registers.lanes) : getLanes(extents[*loop], registers);
  };
  // A reduction along the lanes takes one row at a time; its output has no lanes.
  bool isHorizontal = false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    std::optional<unsigned> loop = getInnermostLoop(op.getMatchingIndexingMap(input));
    bool isReduced = loop && op.getIteratorTypesArray()[*loop] == utils::IteratorType::reduction;
    isHorizontal |= isReduced;
    if (isTransposed || isReduced)
      keep(loop);
  }
  if (!isHorizontal)
    keep(getInnermostLoop(op.getMatchingIndexingMap(op.getDpsInitOperand(0))));
  return tile;
}

/// What initialises the accumulators of a contraction, and can be computed block by block without being computed twice.
linalg::LinalgOp getFusableInit(linalg::LinalgOp op) {
  auto init = op.getDpsInits()[0].getDefiningOp<linalg::LinalgOp>();
  if ((!isContraction(op) && !getPartialSums(op)) || !init || init.getNumReductionLoops() > 0)
    return nullptr;
  // A constant is cheaper to make again than to copy: other users keep the fill that they share.
  return init->hasOneUse() || isa<linalg::FillOp>(init) ? init : nullptr;
}

/// The tiles of an op and of producers that were fused with it, and the loops around them.
struct Blocks {
  SmallVector<linalg::LinalgOp> ops;
  SmallVector<LoopLikeOpInterface> loops;
};

/// Tiles `op` by `tile` with scf.for and fuses `producers`.
FailureOr<Blocks> tileAndFuse(RewriterBase &rewriter, linalg::LinalgOp op, ArrayRef<int64_t> tile,
                              ArrayRef<linalg::LinalgOp> producers) {
  scf::SCFTileAndFuseOptions options;
  options.tilingOptions.setTileSizes(getAsIndexOpFoldResult(rewriter.getContext(), tile));
  options.setFusionControlFn([&](tensor::ExtractSliceOp, OpResult producer,
                                 bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
    if (!llvm::is_contained(producers, producer.getOwner()))
      return std::nullopt;
    return scf::SCFTileAndFuseOptions::ControlFnResult{};
  });
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTileAndFuseResult> result =
      scf::tileConsumerAndFuseProducersUsingSCF(rewriter, cast<TilingInterface>(op.getOperation()), options);
  if (failed(result))
    return op.emitOpError() << "cannot be tiled to registers";
  for (auto [oldValue, newValue] : result->replacements)
    rewriter.replaceAllUsesWith(oldValue, newValue);
  rewriter.eraseOp(op);
  return Blocks{
      llvm::map_to_vector(result->tiledAndFusedOps, [](Operation *tiled) { return cast<linalg::LinalgOp>(tiled); }),
      result->loops};
}

/// Last blocks that are smaller than the others become code of their own, so that all have static shapes.
void peelLastBlocks(RewriterBase &rewriter, ArrayRef<LoopLikeOpInterface> loops) {
  for (LoopLikeOpInterface loop : llvm::reverse(loops)) {
    scf::ForOp last;
    (void)scf::peelForLoopAndSimplifyBounds(rewriter, cast<scf::ForOp>(loop), last); // nothing to do if it fails
  }
}

/// Only the parallel, or only the reduction loops of `tile`.
SmallVector<int64_t> restrictTile(linalg::LinalgOp op, ArrayRef<int64_t> tile, utils::IteratorType iterator) {
  SmallVector<int64_t> restricted(tile);
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind != iterator)
      restricted[loop] = 0;
  return restricted;
}

LogicalResult tileReductions(RewriterBase &rewriter, linalg::LinalgOp op, ArrayRef<int64_t> tile) {
  SmallVector<int64_t> steps = restrictTile(op, tile, utils::IteratorType::reduction);
  if (llvm::all_of(steps, [](int64_t size) { return size == 0; }))
    return success();
  return tileAndFuse(rewriter, op, steps, {});
}

LogicalResult tileToRegisters(RewriterBase &rewriter, linalg::LinalgOp op, Registers registers) {
  if (linalg::LinalgOp sums = getPartialSums(op)) {
    SmallVector<linalg::LinalgOp> producers = {sums};
    for (linalg::LinalgOp accumulating : {op, sums})
      if (linalg::LinalgOp init = getFusableInit(accumulating))
        producers.push_back(init);
    FailureOr<Blocks> blocks = tileAndFuse(rewriter, op, getDotTile(op, registers), producers);
    if (failed(blocks))
      return failure();
    linalg::LinalgOp dots = blocks->ops[1];
    SmallVector<int64_t> step(dots.getNumLoops(), 1);
    if (isShortDot(dots)) {
      // Two steps read a cache line of a key.
      step[3] = largestDivisorUpTo(dots.getStaticLoopRanges()[3], 2);
      step.back() = kShortsPerLane;
    }
    return tileReductions(rewriter, dots, step);
  }
  SmallVector<int64_t> tile = isContraction(op) ? getContractionTile(op, registers) : getRowTile(op, registers);
  SmallVector<linalg::LinalgOp> producers;
  if (linalg::LinalgOp init = getFusableInit(op))
    producers.push_back(init);
  FailureOr<Blocks> blocks =
      tileAndFuse(rewriter, op, restrictTile(op, tile, utils::IteratorType::parallel), producers);
  if (failed(blocks) || failed(tileReductions(rewriter, blocks->ops.front(), tile)))
    return failure();
  peelLastBlocks(rewriter, blocks->loops);
  return success();
}

struct TileToRegisters : impl::TileToRegistersBase<TileToRegisters> {
  using TileToRegistersBase::TileToRegistersBase;

  void runOnOperation() override {
    if (failed(verifyTargetOptions(getOperation(), vectorBits, registers)))
      return signalPassFailure();
    Registers target{vectorBits / 32, registers};
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!op.hasDynamicShape() && !readsBackwards(op) && !op->hasAttr(kMatrixTiles))
        ops.push_back(op);
    });
    // Consumers first: tiling a consumer may fuse the op that initialises it, which is then dead.
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : llvm::reverse(ops)) {
      if (op->use_empty()) {
        rewriter.eraseOp(op);
        continue;
      }
      if (failed(tileToRegisters(rewriter, op, target)))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace mlir::gqa
