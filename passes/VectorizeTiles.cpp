#include "dialect/GQADialect.h"
#include "passes/LinalgRoles.h"
#include "passes/Passes.h"
#include "passes/WordProducts.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/Vector/Transforms/VectorRewritePatterns.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_VECTORIZETILES
#include "passes/Passes.h.inc"

namespace {

/// The vector that holds all of `tensor`.
Value readWhole(OpBuilder &builder, Location loc, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<Value> zeros(type.getRank(), arith::ConstantIndexOp::create(builder, loc, 0));
  SmallVector<bool> inBounds(type.getRank(), true);
  return vector::TransferReadOp::create(builder, loc, VectorType::get(type.getShape(), type.getElementType()), tensor,
                                        zeros, /*padding=*/std::nullopt, inBounds);
}

/// All of `vector` into `init`.
Value writeWhole(OpBuilder &builder, Location loc, Value vector, Value init) {
  auto type = cast<RankedTensorType>(init.getType());
  SmallVector<Value> zeros(type.getRank(), arith::ConstantIndexOp::create(builder, loc, 0));
  SmallVector<bool> inBounds(type.getRank(), true);
  return vector::TransferWriteOp::create(builder, loc, vector, init, zeros, inBounds).getResult();
}

/// `vector` in f32; integers count as they are.
Value toF32(OpBuilder &builder, Location loc, Value vector) {
  auto type = cast<VectorType>(vector.getType());
  if (type.getElementType().isF32())
    return vector;
  Type wide = type.clone(builder.getF32Type());
  if (type.getElementType().isInteger())
    return arith::SIToFPOp::create(builder, loc, wide, vector);
  return arith::ExtFOp::create(builder, loc, wide, vector);
}

/// `vector` without its unit dimension `dim`.
Value dropUnitDim(OpBuilder &builder, Location loc, Value vector, unsigned dim) {
  auto type = cast<VectorType>(vector.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.erase(shape.begin() + dim);
  return vector::ShapeCastOp::create(builder, loc, VectorType::get(shape, type.getElementType()), vector);
}

/// Loops (rows, columns, lane, step) with one step: out[row, column, lane] += lhs[row, step, lane] * rhs[column, step,
/// lane], the partial sums of dot products.
bool isLaneProduct(linalg::LinalgOp op) {
  if (!isWideningContraction(op) || op.getNumLoops() != 4 || op.getStaticLoopRanges()[3] != 1)
    return false;
  AffineExpr row, column, lane, step;
  bindDims(op->getContext(), row, column, lane, step);
  auto map = [&](ArrayRef<AffineExpr> results) { return AffineMap::get(4, 0, results, op->getContext()); };
  return op.getIndexingMapsArray() ==
         SmallVector<AffineMap>{map({row, step, lane}), map({column, step, lane}), map({row, column, lane})};
}

/// One multiply-add per pair of a row and a column, all in the lanes of one vector.
Value vectorizeLaneProduct(RewriterBase &rewriter, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value init = op.getDpsInits()[0];
  Value sums = readWhole(rewriter, loc, init);
  auto type = cast<VectorType>(sums.getType());
  auto read = [&](Value input) { return toF32(rewriter, loc, readWhole(rewriter, loc, input)); };
  Value rows = vector::BroadcastOp::create(rewriter, loc, type, read(op.getDpsInputs()[0]));
  Value columns = dropUnitDim(rewriter, loc, read(op.getDpsInputs()[1]), 1);
  columns = vector::BroadcastOp::create(rewriter, loc, type, columns);
  return writeWhole(rewriter, loc, math::FmaOp::create(rewriter, loc, rows, columns, sums), init);
}

/// `init + lhs * rhs` with f32 accumulators and possibly narrower inputs.
bool isMultiplyAdd(linalg::LinalgOp op) {
  return isWideningContraction(op) && cast<RankedTensorType>(op.getDpsInits()[0].getType()).getElementType().isF32();
}

/// A contraction block as one vector.contract of operands read as they lie; linalg's own vectorisation would broadcast
/// them to the whole iteration space first.
Value vectorizeContraction(RewriterBase &rewriter, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value init = op.getDpsInits()[0];
  SmallVector<Value> inputs;
  for (Value input : op.getDpsInputs())
    inputs.push_back(toF32(rewriter, loc, readWhole(rewriter, loc, input)));
  SmallVector<Attribute> iterators;
  for (utils::IteratorType iterator : op.getIteratorTypesArray())
    iterators.push_back(vector::IteratorTypeAttr::get(rewriter.getContext(), iterator == utils::IteratorType::parallel
                                                                                 ? vector::IteratorType::parallel
                                                                                 : vector::IteratorType::reduction));
  Value sum = vector::ContractionOp::create(rewriter, loc, inputs[0], inputs[1], readWhole(rewriter, loc, init),
                                            rewriter.getAffineMapArrayAttr(op.getIndexingMapsArray()),
                                            rewriter.getArrayAttr(iterators));
  return writeWhole(rewriter, loc, sum, init);
}

/// What combines elements of the only input, as they are, with the accumulator; null if they are changed before.
Operation *getCombiner(linalg::LinalgOp op) {
  SmallVector<Operation *, 1> combiners;
  Value combined = matchReduction(op.getRegionOutputArgs(), 0, combiners);
  return combined == op.getBlock()->getArgument(0) && combiners.size() == 1 ? combiners.front() : nullptr;
}

/// A sum over the innermost dimension of a square of dots and lanes.
bool isSquareLaneSum(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1 || op->getNumResults() != 1)
    return false;
  auto type = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  AffineMap output = op.getIndexingMapsArray()[1];
  bool isInnermost =
      op.getIndexingMapsArray()[0].isIdentity() &&
      output == AffineMap::getMultiDimIdentityMap(type.getRank(), op->getContext()).getMajorSubMap(type.getRank() - 1);
  int64_t lanes = type.getShape().back();
  return isInnermost && isa_and_nonnull<arith::AddFOp, arith::AddIOp>(getCombiner(op)) && lanes >= 4 &&
         llvm::isPowerOf2_64(lanes) && type.getNumElements() == lanes * lanes;
}

/// The two shuffles of step `step` of summing vectors pairwise: what they pick of two vectors, added, holds the partial
/// sums of both, half as many of each. The first two steps stay within 128 bits, as x86's unpack instructions do.
std::pair<SmallVector<int64_t>, SmallVector<int64_t>> getPairSumMasks(int64_t step, int64_t lanes) {
  constexpr int64_t kPart = 4; // lanes in 128 bits
  SmallVector<int64_t> low, high;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    int64_t inPart = lane % kPart, part = lane - inPart, half = lanes / 2;
    int64_t source = step == 0 ? inPart % 2 : step == 1 ? inPart / 2 : lane / half;
    int64_t offset = step == 0 ? part + inPart / 2 : step == 1 ? part + inPart % 2 : part % half * 2 + inPart;
    low.push_back(source * lanes + offset);
    high.push_back(low.back() + (step < 2 ? kPart / 2 : kPart));
  }
  return {low, high};
}

/// Sums the rows of a square, two at a time: each step halves both the vectors and the partial sums of a row in them.
Value vectorizeLaneSum(RewriterBase &rewriter, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value square = readWhole(rewriter, loc, op.getDpsInputs()[0]);
  int64_t lanes = cast<VectorType>(square.getType()).getShape().back();
  Type element = getElementTypeOrSelf(square);
  auto add = [&](Value lhs, Value rhs) -> Value {
    return element.isInteger() ? arith::AddIOp::create(rewriter, loc, lhs, rhs).getResult()
                               : arith::AddFOp::create(rewriter, loc, lhs, rhs).getResult();
  };
  auto squareType = VectorType::get({lanes, lanes}, element);
  square = vector::ShapeCastOp::create(rewriter, loc, squareType, square);
  SmallVector<Value> rows;
  for (int64_t row = 0; row < lanes; ++row)
    rows.push_back(vector::ExtractOp::create(rewriter, loc, square, row));
  for (int64_t step = 0; rows.size() > 1; ++step, rows.resize(rows.size() / 2)) {
    auto [low, high] = getPairSumMasks(step, lanes);
    for (size_t i = 0; i < rows.size() / 2; ++i)
      rows[i] = add(vector::ShuffleOp::create(rewriter, loc, rows[2 * i], rows[2 * i + 1], low),
                    vector::ShuffleOp::create(rewriter, loc, rows[2 * i], rows[2 * i + 1], high));
  }
  Value init = op.getDpsInits()[0];
  auto type = cast<RankedTensorType>(init.getType());
  Value sums =
      vector::ShapeCastOp::create(rewriter, loc, VectorType::get(type.getShape(), type.getElementType()), rows.front());
  sums = add(sums, readWhole(rewriter, loc, init));
  return writeWhole(rewriter, loc, sums, init);
}

/// A sum or maximum along one row: out[0] = combine(out[0], in[0, :]).
std::optional<vector::CombiningKind> getRowReduction(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1 || op->getNumResults() != 1 ||
      !op.getIndexingMapsArray()[0].isIdentity() || op.getIteratorTypesArray().back() != utils::IteratorType::reduction)
    return std::nullopt;
  auto type = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  if (!type.getElementType().isF32() || type.getNumElements() != type.getShape().back())
    return std::nullopt;
  Operation *combiner = getCombiner(op);
  if (isa_and_nonnull<arith::AddFOp>(combiner))
    return vector::CombiningKind::ADD;
  if (isa_and_nonnull<arith::MaxNumFOp>(combiner))
    return vector::CombiningKind::MAXNUMF;
  if (isa_and_nonnull<arith::MaximumFOp>(combiner))
    return vector::CombiningKind::MAXIMUMF;
  return std::nullopt;
}

/// One step of a reduction: out = combine(out, in), element by element. Linalg's own vectorisation would drop the
/// combiner's flags, without which a maximum takes three instructions.
bool isReductionStep(linalg::LinalgOp op) {
  if (op.getNumDpsInputs() != 1 || op.getNumReductionLoops() == 0 || op->getNumResults() != 1 || !getCombiner(op))
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<AffineExpr> kept;
  for (AffineExpr result : maps[0].getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(result);
    if (!dim)
      return false;
    if (op.getIteratorTypesArray()[dim.getPosition()] == utils::IteratorType::parallel)
      kept.push_back(dim);
    else if (op.getStaticLoopRanges()[dim.getPosition()] != 1)
      return false;
  }
  return ArrayRef(kept) == maps[1].getResults() && !kept.empty();
}

Value vectorizeReductionStep(RewriterBase &rewriter, linalg::LinalgOp op) {
  Location loc = op.getLoc();
  Value init = op.getDpsInits()[0];
  Value old = readWhole(rewriter, loc, init);
  Value next = readWhole(rewriter, loc, op.getDpsInputs()[0]);
  next = vector::ShapeCastOp::create(rewriter, loc, old.getType(), next);
  Operation *combined = rewriter.clone(*getCombiner(op));
  combined->setOperands({old, next});
  combined->getResult(0).setType(old.getType());
  return writeWhole(rewriter, loc, combined->getResult(0), init);
}

/// Folds the row in halves: vertical operations on whole vectors first, one short horizontal one at the end.
Value vectorizeRowReduction(RewriterBase &rewriter, linalg::LinalgOp op, vector::CombiningKind kind) {
  constexpr int64_t kHorizontal = 16;
  Location loc = op.getLoc();
  auto flags = arith::FastMathFlags::nsz | arith::FastMathFlags::reassoc;
  if (kind != vector::CombiningKind::MAXIMUMF)
    flags = flags | arith::FastMathFlags::nnan;
  Value row = readWhole(rewriter, loc, op.getDpsInputs()[0]);
  int64_t length = cast<VectorType>(row.getType()).getNumElements();
  row = vector::ShapeCastOp::create(rewriter, loc, VectorType::get({length}, rewriter.getF32Type()), row);
  for (; length > kHorizontal && length % 2 == 0; length /= 2) {
    auto half = [&](int64_t offset) -> Value {
      return vector::ExtractStridedSliceOp::create(rewriter, loc, row, ArrayRef{offset}, ArrayRef{length / 2},
                                                   ArrayRef<int64_t>{1});
    };
    Value low = half(0), high = half(length / 2);
    if (kind == vector::CombiningKind::ADD)
      row = arith::AddFOp::create(rewriter, loc, low, high);
    else if (kind == vector::CombiningKind::MAXIMUMF)
      row = arith::MaximumFOp::create(rewriter, loc, low, high);
    else
      row = arith::MaxNumFOp::create(rewriter, loc, low, high, flags);
  }
  Value init = op.getDpsInits()[0];
  Value old = readWhole(rewriter, loc, init);
  SmallVector<int64_t> zeros(cast<VectorType>(old.getType()).getRank(), 0);
  Value start = zeros.empty() ? vector::ExtractOp::create(rewriter, loc, old)
                              : vector::ExtractOp::create(rewriter, loc, old, zeros);
  Value result = vector::ReductionOp::create(rewriter, loc, kind, row, start, flags);
  return writeWhole(rewriter, loc, vector::BroadcastOp::create(rewriter, loc, old.getType(), result), init);
}

/// A column of scalars repeated along rows needs no transposition.
struct BroadcastColumn : OpRewritePattern<vector::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(vector::TransposeOp op, PatternRewriter &rewriter) const override {
    auto broadcast = op.getVector().getDefiningOp<vector::BroadcastOp>();
    auto source = broadcast ? dyn_cast<VectorType>(broadcast.getSourceType()) : VectorType();
    if (!source || source.getRank() != 1 || op.getPermutation() != ArrayRef<int64_t>{1, 0})
      return rewriter.notifyMatchFailure(op, "not the transposition of a repeated row");
    auto columnType = VectorType::get({source.getDimSize(0), 1}, source.getElementType());
    Value column = vector::ShapeCastOp::create(rewriter, op.getLoc(), columnType, broadcast.getSource());
    rewriter.replaceOpWithNewOp<vector::BroadcastOp>(op, op.getType(), column);
    return success();
  }
};

struct VectorizeTiles : impl::VectorizeTilesBase<VectorizeTiles> {
  void runOnOperation() override {
    if (failed(vectorizeAll()) || failed(foldSubsets()))
      return signalPassFailure();
    hoistAccumulators();
    if (failed(foldSubsets()))
      return signalPassFailure();
    restoreWriteRanks();
  }

private:
  LogicalResult vectorizeAll() {
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!op.hasDynamicShape() && !op->hasAttr(kMatrixTiles))
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      rewriter.setInsertionPoint(op);
      if ((isWordContraction(op) && isFloatContraction(op)) || isShortContraction(op)) {
        rewriter.replaceOp(op, vectorizeWordContraction(rewriter, op));
        continue;
      }
      if (isShortDot(op)) {
        rewriter.replaceOp(op, vectorizeShortDot(rewriter, op));
        continue;
      }
      if (isWordInterleave(op)) {
        rewriter.replaceOp(op, vectorizeWordInterleave(rewriter, op));
        continue;
      }
      if (isNibbleUnpacking(op)) {
        rewriter.replaceOp(op, vectorizeNibbleUnpacking(rewriter, op));
        continue;
      }
      if (isWordExchange(op)) {
        rewriter.replaceOp(op, vectorizeWordExchange(rewriter, op));
        continue;
      }
      if (isWordTransposition(op)) {
        rewriter.replaceOp(op, vectorizeWordTransposition(rewriter, op));
        continue;
      }
      if (isLaneProduct(op)) {
        rewriter.replaceOp(op, vectorizeLaneProduct(rewriter, op));
        continue;
      }
      if (isMultiplyAdd(op)) {
        rewriter.replaceOp(op, vectorizeContraction(rewriter, op));
        continue;
      }
      if (isSquareLaneSum(op)) {
        rewriter.replaceOp(op, vectorizeLaneSum(rewriter, op));
        continue;
      }
      if (std::optional<vector::CombiningKind> kind = getRowReduction(op)) {
        rewriter.replaceOp(op, vectorizeRowReduction(rewriter, op, *kind));
        continue;
      }
      if (isReductionStep(op)) {
        rewriter.replaceOp(op, vectorizeReductionStep(rewriter, op));
        continue;
      }
      // Windows and searches have no vector form; gqa-expand-copies makes loops of them.
      if (failed(linalg::vectorizeOpPrecondition(op)))
        continue;
      FailureOr<linalg::VectorizationResult> result = linalg::vectorize(rewriter, op);
      if (failed(result))
        return op.emitOpError() << "cannot be vectorised";
      rewriter.replaceOp(op, result->replacements);
    }
    return success();
  }

  LogicalResult foldSubsets() {
    RewritePatternSet patterns(&getContext());
    vector::populateVectorReductionToContractPatterns(patterns);
    vector::populateCastAwayVectorLeadingOneDimPatterns(patterns);
    patterns.add<BroadcastColumn>(&getContext());
    vector::TransferReadOp::getCanonicalizationPatterns(patterns, &getContext());
    vector::TransferWriteOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::populateFoldTensorSubsetIntoVectorTransferPatterns(patterns);
    scf::ForOp::getCanonicalizationPatterns(patterns, &getContext());
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }

  /// Bufferization takes a write at index 0 for one of the whole tensor, and drops what was there, if the vector's
  /// dimensions are no smaller than the tensor's first ones (MLIR 22, TransferWriteOpInterface). A vector of lower rank
  /// than its tensor is compared with the wrong dimensions, so it gets the tensor's rank.
  void restoreWriteRanks() {
    IRRewriter rewriter(&getContext());
    getOperation().walk([&](vector::TransferWriteOp op) {
      VectorType type = op.getVectorType();
      auto target = dyn_cast<RankedTensorType>(op.getShapedType());
      if (!target || type.getRank() == target.getRank() || !op.getPermutationMap().isMinorIdentity() || op.getMask())
        return;
      SmallVector<int64_t> shape(target.getRank() - type.getRank(), 1);
      llvm::append_range(shape, type.getShape());
      SmallVector<bool> inBounds(target.getRank() - type.getRank(), true);
      llvm::append_range(inBounds, op.getInBoundsValues());
      rewriter.setInsertionPoint(op);
      Value vector = vector::BroadcastOp::create(rewriter, op.getLoc(), VectorType::get(shape, type.getElementType()),
                                                 op.getVector());
      rewriter.replaceOpWithNewOp<vector::TransferWriteOp>(op, vector, op.getBase(), op.getIndices(), inBounds);
    });
  }

  void hoistAccumulators() {
    IRRewriter rewriter(&getContext());
    getOperation().walk([&](scf::ForOp loop) {
      hoistVectors(loop);
      hoistLoopInvariantSubsets(rewriter, loop);
    });
  }

  /// Invariant vectors and scalars leave the loop; tensors stay, since outside they would need a buffer of their own.
  static void hoistVectors(scf::ForOp loop) {
    auto isTensor = llvm::IsaPred<TensorType>;
    moveLoopInvariantCode(
        loop.getLoopRegions(), [&](Value value, Region *) { return loop.isDefinedOutsideOfLoop(value); },
        [&](Operation *op, Region *) {
          return isMemoryEffectFree(op) && isSpeculatable(op) && llvm::none_of(op->getResultTypes(), isTensor);
        },
        [&](Operation *op, Region *) { loop.moveOutOfLoop(op); });
  }
};

} // namespace
} // namespace mlir::gqa
