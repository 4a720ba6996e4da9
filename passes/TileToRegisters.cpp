#include "passes/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"

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

/// As many accumulator rows as the registers hold beside one row of lanes and one broadcast: half of the registers hide
/// the latency of the multiply-add, and more would spill.
int64_t getAccumulatorRows(int64_t rows, int64_t lanes, Registers registers) {
  int64_t registersPerRow = llvm::divideCeil(lanes, registers.lanes);
  return largestDivisorUpTo(rows, std::max<int64_t>(1, registers.count / 2 / registersPerRow));
}

/// Lanes of one block: at most a quarter of the registers, so that some rows fit.
int64_t getLanes(int64_t extent, Registers registers) {
  return largestDivisorUpTo(extent, registers.lanes * registers.count / 4);
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
  if (outputMap.getNumResults() > 1) {
    unsigned rows = outputMap.getDimPosition(outputMap.getNumResults() - 2);
    tile[rows] = getAccumulatorRows(extents[rows], tile[*lanes], registers);
  }
  return tile;
}

/// Tile sizes that leave one row of lanes, or a square block of a transposition.
SmallVector<int64_t> getRowTile(linalg::LinalgOp op, Registers registers) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<int64_t> tile(extents.size(), 1);
  bool isTransposed = isTransposition(op);
  auto keep = [&](std::optional<unsigned> loop) {
    if (loop)
      tile[*loop] =
          isTransposed ? largestDivisorUpTo(extents[*loop], registers.lanes) : getLanes(extents[*loop], registers);
  };
  keep(getInnermostLoop(op.getMatchingIndexingMap(op.getDpsInitOperand(0))));
  for (OpOperand *input : op.getDpsInputOperands()) {
    std::optional<unsigned> loop = getInnermostLoop(op.getMatchingIndexingMap(input));
    bool isReduced = loop && op.getIteratorTypesArray()[*loop] == utils::IteratorType::reduction;
    if (isTransposed || isReduced)
      keep(loop);
  }
  return tile;
}

/// What initialises the accumulators of a contraction and nothing else, and can be computed block by block.
Operation *getFusableInit(linalg::LinalgOp op) {
  auto init = op.getDpsInits()[0].getDefiningOp<linalg::LinalgOp>();
  if (!isContraction(op) || !init || init.getNumReductionLoops() > 0 || !init->hasOneUse())
    return nullptr;
  return init;
}

/// Tiles the loops of `op` that are of the kind `iterator`. What initialises accumulators is fused into parallel loops.
FailureOr<linalg::LinalgOp> tileLoops(RewriterBase &rewriter, linalg::LinalgOp op, utils::IteratorType iterator,
                                      SmallVector<int64_t> tile) {
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind != iterator)
      tile[loop] = 0;
  if (llvm::all_of(tile, [](int64_t size) { return size == 0; }))
    return op;

  scf::SCFTileAndFuseOptions options;
  options.tilingOptions.setTileSizes(getAsIndexOpFoldResult(rewriter.getContext(), tile));
  Operation *init = iterator == utils::IteratorType::parallel ? getFusableInit(op) : nullptr;
  options.setFusionControlFn([&](tensor::ExtractSliceOp, OpResult producer,
                                 bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
    if (producer.getOwner() != init)
      return std::nullopt;
    return scf::SCFTileAndFuseOptions::ControlFnResult{};
  });
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTileAndFuseResult> result =
      scf::tileConsumerAndFuseProducersUsingSCF(rewriter, cast<TilingInterface>(op.getOperation()), options);
  if (failed(result))
    return op.emitOpError() << "cannot be tiled to registers";
  linalg::LinalgOp tiled = cast<linalg::LinalgOp>(result->tiledAndFusedOps.front());
  for (auto [oldValue, newValue] : result->replacements)
    rewriter.replaceAllUsesWith(oldValue, newValue);
  rewriter.eraseOp(op);
  return tiled;
}

FailureOr<linalg::LinalgOp> tileToRegisters(RewriterBase &rewriter, linalg::LinalgOp op, Registers registers) {
  SmallVector<int64_t> tile = isContraction(op) ? getContractionTile(op, registers) : getRowTile(op, registers);
  FailureOr<linalg::LinalgOp> block = tileLoops(rewriter, op, utils::IteratorType::parallel, tile);
  if (failed(block))
    return failure();
  return tileLoops(rewriter, *block, utils::IteratorType::reduction, tile);
}

struct TileToRegisters : impl::TileToRegistersBase<TileToRegisters> {
  using TileToRegistersBase::TileToRegistersBase;

  void runOnOperation() override {
    Registers target{vectorBits / 32, registers};
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!op.hasDynamicShape())
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
