#include "passes/IndexMath.h"
#include "passes/LinalgRoles.h"
#include "passes/Passes.h"
#include "passes/TailTiling.h"
#include "passes/TargetOptions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_TILEROWS
#include "passes/Passes.h.inc"

namespace {

/// Scalar steps that make a task worth its call.
constexpr int64_t kStepsPerTask = 16384;

/// What a loop of unknown extent is taken for where task sizes are chosen.
constexpr int64_t kAssumedExtent = 512;

int64_t getAssumed(int64_t extent) { return ShapedType::isDynamic(extent) ? kAssumedExtent : extent; }

/// The loop along the innermost dimension of an operand, if it has one.
std::optional<unsigned> getInnermostLoop(linalg::LinalgOp op, OpOperand *operand) {
  AffineMap map = op.getMatchingIndexingMap(operand);
  if (map.getNumResults() == 0)
    return std::nullopt;
  auto dim = dyn_cast<AffineDimExpr>(map.getResults().back());
  return dim ? std::optional<unsigned>(dim.getPosition()) : std::nullopt;
}

/// Whether the op is scalars in, scalars out on operands that list loops: linalg then vectorises it.
bool isVectorizable(linalg::LinalgOp op) {
  return llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isProjectedPermutation(); }) &&
         llvm::all_of(op.getBlock()->getOperations(), [](Operation &nested) {
           return isa<linalg::IndexOp, linalg::YieldOp>(nested) || OpTrait::hasElementwiseMappableTraits(&nested) ||
                  nested.hasTrait<OpTrait::ConstantLike>();
         });
}

/// The loops that become vectors: the innermost one of the output; or where no input is read along it, the one along
/// which the largest input is read, which is a reduction, or for a transposition parallel and taken together with the
/// first.
SmallVector<unsigned> getVectorLoops(linalg::LinalgOp op) {
  std::optional<unsigned> lanes = getInnermostLoop(op, op.getDpsInitOperand(0));
  std::optional<unsigned> read;
  int64_t rank = -1;
  bool isReadAlongLanes = false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    std::optional<unsigned> loop = getInnermostLoop(op, input);
    if (!loop)
      continue;
    isReadAlongLanes |= loop == lanes;
    int64_t inputRank = op.getMatchingIndexingMap(input).getNumResults();
    if (inputRank > rank) {
      rank = inputRank;
      read = loop;
    }
  }
  SmallVector<unsigned> loops;
  if (read && read != lanes) {
    bool isReduced = op.getIteratorTypesArray()[*read] == utils::IteratorType::reduction;
    if (isReduced && !isReadAlongLanes)
      return {*read};
    if (!isReduced)
      loops.push_back(*read);
  }
  if (lanes)
    loops.push_back(*lanes);
  return loops;
}

/// Cuts `op` to vectors by sequential loops: parallel loops, then vectors, then what remains of the reduction.
LogicalResult tileToVectors(RewriterBase &rewriter, linalg::LinalgOp op, int64_t vector) {
  SmallVector<unsigned> vectorLoops = getVectorLoops(op);
  bool isTransposition = vectorLoops.size() > 1;
  SmallVector<LoopSteps> order;
  auto add = [&](auto predicate) {
    for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
      bool isVector = llvm::is_contained(vectorLoops, loop);
      if (!predicate(kind, isVector))
        continue;
      LoopSteps steps{static_cast<unsigned>(loop), {1}};
      if (isVector)
        steps.steps = isTransposition ? SmallVector<int64_t>{vector, 1} : SmallVector<int64_t>{4 * vector, vector, 1};
      steps.keepsLanes = isVector && kind == utils::IteratorType::reduction && canKeepLanes(op);
      order.push_back(steps);
    }
  };
  using utils::IteratorType;
  add([](IteratorType kind, bool isVector) { return kind == IteratorType::parallel && !isVector; });
  add([](IteratorType kind, bool isVector) { return kind == IteratorType::parallel && isVector; });
  add([](IteratorType kind, bool isVector) { return kind == IteratorType::reduction && !isVector; });
  add([](IteratorType kind, bool isVector) { return kind == IteratorType::reduction && isVector; });
  return tileWithTails(rewriter, op, order);
}

/// Distributes an op over tasks.
struct TaskTiler {
  TaskTiler(RewriterBase &b, linalg::LinalgOp op) : b(b), loc(op.getLoc()), op(op), math{b, loc} {
    for (Range &range : cast<TilingInterface>(op.getOperation()).getIterationDomain(b))
      extents.push_back(range.size);
  }

  /// The op in one task; null if it could not be tiled. The original is replaced.
  linalg::LinalgOp tile() {
    SmallVector<std::pair<unsigned, int64_t>> loops = getTaskLoops();
    SmallVector<OpFoldResult> counts;
    for (auto [loop, size] : loops)
      counts.push_back(math.ceilDiv(extents[loop], size));
    auto forall = scf::ForallOp::create(b, loc, counts, op.getDpsInits(), /*mapping=*/std::nullopt);
    b.setInsertionPoint(forall.getTerminator());
    SmallVector<OpFoldResult> offsets(extents.size(), math.constant(0)), sizes(extents);
    for (auto [id, part] : llvm::zip_equal(forall.getInductionVars(), loops)) {
      auto [loop, size] = part;
      offsets[loop] = math.mul(id, size);
      sizes[loop] = math.tileSize(offsets[loop], extents[loop], size);
    }
    auto whole = cast<linalg::LinalgOp>(b.clone(*op.getOperation()));
    whole.getDpsInitsMutable().assign(forall.getRegionIterArgs());
    auto tileable = cast<TilingInterface>(whole.getOperation());
    FailureOr<TilingResult> tiled = tileable.getTiledImplementation(b, offsets, sizes);
    if (failed(tiled))
      return {};
    for (auto [number, value] : llvm::enumerate(tiled->tiledValues)) {
      SmallVector<OpFoldResult> resultOffsets, resultSizes;
      if (failed(tileable.getResultTilePosition(b, number, offsets, sizes, resultOffsets, resultSizes)))
        return {};
      SmallVector<OpFoldResult> strides(resultOffsets.size(), math.constant(1));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(forall.getTerminator().getBody());
      tensor::ParallelInsertSliceOp::create(b, loc, value, forall.getRegionIterArgs()[number], resultOffsets,
                                            resultSizes, strides);
    }
    b.eraseOp(whole);
    b.replaceOp(op, forall.getResults());
    return cast<linalg::LinalgOp>(tiled->tiledOps.front());
  }

  /// Whether there is enough to do for more than one task.
  bool isLarge() {
    int64_t work = 1;
    for (int64_t extent : op.getStaticLoopRanges())
      work *= ShapedType::isDynamic(extent) ? kStepsPerTask : std::min(extent, kStepsPerTask);
    return work > kStepsPerTask && !getTaskLoops().empty();
  }

private:
  /// The loops that tasks divide, and how many steps of each one task takes: one step of the outer loops, and of the
  /// innermost of them as many as make a task large enough.
  SmallVector<std::pair<unsigned, int64_t>> getTaskLoops() {
    SmallVector<int64_t> ranges = op.getStaticLoopRanges();
    SmallVector<unsigned> candidates;
    for (AffineExpr result : op.getMatchingIndexingMap(op.getDpsInitOperand(0)).getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(result); dim && isInAllOutputs(dim))
        candidates.push_back(dim.getPosition());
    SmallVector<std::pair<unsigned, int64_t>> loops;
    if (candidates.empty())
      return loops;
    SmallVector<unsigned> vectorLoops = getVectorLoops(op);
    if (candidates.size() > 1 && llvm::is_contained(vectorLoops, candidates.back()))
      candidates.pop_back();

    int64_t inner = 1;
    for (auto [loop, extent] : llvm::enumerate(ranges))
      if (!llvm::is_contained(candidates, loop))
        inner = std::min(inner * std::max<int64_t>(getAssumed(extent), 1), kStepsPerTask);
    for (unsigned loop : llvm::reverse(candidates)) {
      int64_t size = std::max<int64_t>(1, kStepsPerTask / inner);
      if (!ShapedType::isDynamic(ranges[loop]))
        size = std::min(size, std::max<int64_t>(ranges[loop], 1));
      loops.emplace_back(loop, size);
      inner = std::min(inner * size, kStepsPerTask);
    }
    std::reverse(loops.begin(), loops.end());
    return loops;
  }

  bool isInAllOutputs(AffineExpr dim) {
    return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &output) {
      return op.getMatchingIndexingMap(&output).getResultPosition(dim).has_value();
    });
  }

  RewriterBase &b;
  Location loc;
  linalg::LinalgOp op;
  IndexMath math;
  SmallVector<OpFoldResult> extents;
};

struct TileRows : impl::TileRowsBase<TileRows> {
  using TileRowsBase::TileRowsBase;

  void runOnOperation() override {
    if (failed(verifyTargetOptions(getOperation(), vectorBits, /*registers=*/16)))
      return signalPassFailure();
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (op.hasPureTensorSemantics())
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      bool isInTask = op->getParentOfType<scf::ForallOp>() != nullptr;
      if ((isInTask && !op.hasDynamicShape()) || readsBackwards(op))
        continue;
      rewriter.setInsertionPoint(op);
      TaskTiler tiler(rewriter, op);
      if (!isInTask && tiler.isLarge())
        op = tiler.tile();
      if (!op || (isVectorizable(op) && failed(tileToVectors(rewriter, op, vectorBits / 32)))) {
        getOperation().emitOpError() << "has a linalg op that cannot be tiled";
        return signalPassFailure();
      }
    }
  }
};

} // namespace
} // namespace mlir::gqa
