// Contractions of any shape as parallel blocks with packed panels: the structure of Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008), on tensors.
//
//   task (row block, lane block, every other parallel dimension)
//     for each block of the reduction
//       pack lhs to [rows][depth], rhs to [panel][depth][lanes], both f32
//       for each panel, for each register block of rows:
//         acc[rows, lanes] += sum over depth of lhs[rows, depth] * rhs[depth, lanes], one step of depth at a time
//     write the accumulators to the result
//
// "Lanes" is the innermost dimension of the result; the operand that lists it is called rhs, the other one lhs.
// Packing pads, widens and transposes, so the register blocks are static whatever the operands are. What a packed tile
// holds beyond its operand is not defined; it reaches only accumulators that are dropped.

#include "passes/IndexMath.h"
#include "passes/LinalgRoles.h"
#include "passes/Passes.h"
#include "passes/TargetOptions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_TILECONTRACTIONS
#include "passes/Passes.h.inc"

namespace {

/// The most rows and lanes of one task, and the steps of the reduction between two visits of the accumulators. A panel
/// of kDepth x 64 floats stays in the first-level cache; accumulators and packed lhs, in the second.
constexpr int64_t kMaxRows = 384, kMaxLanes = 512, kDepth = 128;

/// Tasks get smaller, but not below this, until there are kTasks of them.
constexpr int64_t kMinRows = 96, kMinLanes = 128, kTasks = 8;

/// What an unknown number of rows or lanes is taken for.
constexpr int64_t kAssumedExtent = 192;

/// The extents of the tiles of one contraction.
struct BlockShape {
  int64_t rows, lanes, depth;          ///< of a task
  int64_t registerRows, registerLanes; ///< of a register block

  int64_t panels() const { return lanes / registerLanes; }
};

/// Cuts `extent` to equal blocks of `unit` or a multiple of it.
int64_t getBlock(int64_t extent, int64_t blocks, int64_t unit) {
  return llvm::alignTo(llvm::divideCeil(extent, blocks), unit);
}

/// Register blocks of two or four vectors of lanes by as many rows as leave room for the operands; tasks as large as
/// the caches allow, since each packs its operands again, and as small as it takes to have several.
BlockShape getBlockShape(linalg::LinalgOp op, const ContractionRoles &roles, int64_t vector, int64_t registers) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  auto assume = [](int64_t extent) {
    return ShapedType::isDynamic(extent) ? kAssumedExtent : std::max<int64_t>(1, extent);
  };
  int64_t rows = assume(extents[roles.rows]), lanes = assume(extents[roles.lanes]);
  BlockShape shape;
  int64_t vectors = registers >= 32 ? 4 : 2;
  shape.registerLanes = llvm::alignTo(std::min(lanes, vectors * vector), vector);
  vectors = shape.registerLanes / vector;
  shape.registerRows = std::min(rows, std::min<int64_t>(8, (registers - vectors - 1) / vectors));
  shape.depth =
      ShapedType::isDynamic(extents[roles.depth]) ? kDepth : std::clamp<int64_t>(extents[roles.depth], 1, kDepth);

  int64_t others = 1;
  for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::parallel && loop != roles.rows && loop != roles.lanes)
      others *= std::min(assume(extents[loop]), kTasks);
  int64_t rowBlocks = llvm::divideCeil(rows, kMaxRows), laneBlocks = llvm::divideCeil(lanes, kMaxLanes);
  while (others * rowBlocks * laneBlocks < kTasks) {
    int64_t blockRows = rows / (rowBlocks + 1), blockLanes = lanes / (laneBlocks + 1);
    if (blockLanes >= kMinLanes && (blockLanes >= blockRows || blockRows < kMinRows))
      ++laneBlocks;
    else if (blockRows >= kMinRows)
      ++rowBlocks;
    else
      break;
  }
  shape.rows = getBlock(rows, rowBlocks, shape.registerRows);
  shape.lanes = getBlock(lanes, laneBlocks, shape.registerLanes);
  return shape;
}

/// The range of every loop that one step of the generated code covers.
struct LoopRanges {
  SmallVector<OpFoldResult> offsets, sizes;
};

struct ContractionTiler {
  ContractionTiler(RewriterBase &b, linalg::LinalgOp op, const ContractionRoles &roles, BlockShape shape)
      : b(b), loc(op.getLoc()), op(op), roles(roles), shape(shape), math{b, loc}, lhs(op.getDpsInputOperand(roles.lhs)),
        rhs(op.getDpsInputOperand(1 - roles.lhs)), init(op.getDpsInitOperand(0)),
        fill(init->get().getDefiningOp<linalg::FillOp>()) {
    for (Range &range : cast<TilingInterface>(op.getOperation()).getIterationDomain(b))
      extents.push_back(range.size);
  }

  Value tile() {
    SmallVector<unsigned> parallel;
    SmallVector<OpFoldResult> counts;
    for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
      if (kind != utils::IteratorType::parallel)
        continue;
      parallel.push_back(loop);
      counts.push_back(math.ceilDiv(extents[loop], getTaskExtent(loop)));
    }
    // A constant start of the sums goes straight to the accumulators.
    Value destination = fill ? fill.getOutputs()[0] : init->get();
    auto forall = scf::ForallOp::create(b, loc, counts, destination, /*mapping=*/std::nullopt);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(forall.getTerminator());
    ranges.offsets.assign(extents.size(), math.constant(0));
    ranges.sizes.assign(extents.size(), math.constant(1));
    for (auto [loop, id] : llvm::zip_equal(parallel, forall.getInductionVars())) {
      int64_t extent = getTaskExtent(loop);
      ranges.offsets[loop] = math.mul(id, extent);
      ranges.sizes[loop] = math.tileSize(ranges.offsets[loop], extents[loop], extent);
    }
    buildTask(forall);
    return forall.getResult(0);
  }

private:
  int64_t getTaskExtent(unsigned loop) const {
    if (loop == roles.rows)
      return shape.rows;
    return loop == roles.lanes ? shape.lanes : 1;
  }

  void buildTask(scf::ForallOp forall) {
    BlockArgument destination = forall.getRegionIterArgs().front();
    Value accumulators = buildInitialAccumulators(destination);
    Value packedLhs = buildEmpty({shape.rows, shape.depth});
    Value packedRhs = buildEmpty({shape.panels(), shape.depth, shape.registerLanes});
    SmallVector<unsigned> reductions;
    for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray()))
      if (kind == utils::IteratorType::reduction)
        reductions.push_back(loop);
    accumulators = buildReduction(reductions, accumulators, packedLhs, packedRhs);

    // The result, in its own element type.
    OpFoldResult rows = ranges.sizes[roles.rows], lanes = ranges.sizes[roles.lanes];
    Value sums = extract2D(accumulators, {math.constant(0), math.constant(0)}, {rows, lanes});
    Value block = buildCopy(sums, extractOperand(init, destination), /*permutation=*/{0, 1});
    SmallVector<OpFoldResult> offsets, sizes;
    getOperandRange(init, offsets, sizes);
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
    b.setInsertionPointToEnd(forall.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(b, loc, block, destination, offsets, sizes, strides);
  }

  /// A local tile of its own; two tensor.empty of one type could be merged, and then had to be copied.
  Value buildEmpty(ArrayRef<int64_t> dims) {
    auto type = RankedTensorType::get(dims, b.getF32Type());
    return bufferization::AllocTensorOp::create(b, loc, type, /*dynamicSizes=*/ValueRange());
  }

  /// The accumulators of a task [rows, lanes], in f32, at their start.
  Value buildInitialAccumulators(Value destination) {
    Value empty = buildEmpty({shape.rows, shape.lanes});
    if (fill) {
      Value start = convertScalar(b, loc, fill.getInputs()[0], b.getF32Type());
      return linalg::FillOp::create(b, loc, start, empty).getResult(0);
    }
    SmallVector<OpFoldResult> corner = {math.constant(0), math.constant(0)};
    SmallVector<OpFoldResult> sizes = {ranges.sizes[roles.rows], ranges.sizes[roles.lanes]};
    Value start = buildCopy(extractOperand(init, destination), extract2D(empty, corner, sizes), {0, 1});
    return insert2D(start, empty, corner, sizes);
  }

  /// Loops over the reduction dimensions, the depth in blocks and innermost.
  Value buildReduction(SmallVector<unsigned> loops, Value accumulators, Value packedLhs, Value packedRhs) {
    llvm::erase(loops, roles.depth);
    loops.push_back(roles.depth);
    return buildReductionLoop(loops, accumulators, packedLhs, packedRhs);
  }

  Value buildReductionLoop(ArrayRef<unsigned> loops, Value accumulators, Value packedLhs, Value packedRhs) {
    if (loops.empty())
      return buildRegisterBlocks(accumulators, buildPackedLhs(packedLhs), buildPackedRhs(packedRhs));
    unsigned loop = loops.front();
    int64_t step = loop == roles.depth ? shape.depth : 1;
    return buildLoop(math.constant(0), extents[loop], step, accumulators, [&](Value offset, Value current) {
      ranges.offsets[loop] = offset;
      ranges.sizes[loop] = math.tileSize(offset, extents[loop], step);
      return buildReductionLoop(loops.drop_front(), current, packedLhs, packedRhs);
    });
  }

  /// The block of the lhs as [rows][depth].
  Value buildPackedLhs(Value packed) {
    SmallVector<OpFoldResult> corner = {math.constant(0), math.constant(0)};
    SmallVector<OpFoldResult> sizes = {ranges.sizes[roles.rows], ranges.sizes[roles.depth]};
    Value target = extract2D(packed, corner, sizes);
    Value copy = buildCopy(extractOperand(lhs, lhs->get()), target, getPermutation(lhs, roles.rows, roles.depth));
    return insert2D(copy, packed, corner, sizes);
  }

  /// The block of the rhs as [panel][depth][lanes of a panel].
  Value buildPackedRhs(Value packed) {
    OpFoldResult blockOffset = ranges.offsets[roles.lanes], blockSize = ranges.sizes[roles.lanes];
    SmallVector<int64_t> permutation = getPermutation(rhs, roles.depth, roles.lanes);
    Value result = buildLoop(
        math.constant(0), math.ceilDiv(blockSize, shape.registerLanes), 1, packed, [&](Value panel, Value current) {
          OpFoldResult offset = math.mul(panel, shape.registerLanes);
          ranges.offsets[roles.lanes] = math.add(blockOffset, offset);
          ranges.sizes[roles.lanes] = math.tileSize(offset, blockSize, shape.registerLanes);
          Value source = extractOperand(rhs, rhs->get());
          SmallVector<OpFoldResult> offsets = {panel, math.constant(0), math.constant(0)};
          SmallVector<OpFoldResult> sizes = {math.constant(1), ranges.sizes[roles.depth], ranges.sizes[roles.lanes]};
          Value target = extract(current, offsets, sizes, {1, 2});
          return insert(buildCopy(source, target, permutation), current, offsets, sizes);
        });
    ranges.offsets[roles.lanes] = blockOffset;
    ranges.sizes[roles.lanes] = blockSize;
    return result;
  }

  /// All register blocks of a task, over one block of the reduction.
  Value buildRegisterBlocks(Value accumulators, Value packedLhs, Value packedRhs) {
    OpFoldResult zero = math.constant(0), one = math.constant(1);
    OpFoldResult rowBlocks = math.ceilDiv(ranges.sizes[roles.rows], shape.registerRows);
    OpFoldResult panels = math.ceilDiv(ranges.sizes[roles.lanes], shape.registerLanes);
    OpFoldResult rows = math.constant(shape.registerRows), lanes = math.constant(shape.registerLanes);
    auto buildBlock = [&](Value rowBlock, Value panel, Value current) {
      OpFoldResult row = math.mul(rowBlock, shape.registerRows);
      SmallVector<OpFoldResult> offsets = {row, math.mul(panel, shape.registerLanes)}, sizes = {rows, lanes};
      // Each block of the reduction is summed from zero: rounding errors then grow with its length, not with the whole.
      Value start =
          linalg::FillOp::create(b, loc, arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0)).getResult(),
                                 buildEmpty({shape.registerRows, shape.registerLanes}))
              .getResult(0);
      Value sums = buildLoop(zero, ranges.sizes[roles.depth], 1, start, [&](Value step, Value sums) {
        Value column = extract2D(packedLhs, {row, step}, {rows, one});
        Value line = extract(packedRhs, {panel, step, zero}, {one, one, lanes}, {1, 2});
        return buildMultiplyAdd(column, line, sums);
      });
      Value before = extract2D(current, offsets, sizes);
      Value block = linalg::AddOp::create(b, loc, sums.getType(), ValueRange{before, sums}, before).getResult(0);
      return insert2D(block, current, offsets, sizes);
    };
    // A panel stays in the first-level cache while all rows pass by.
    return buildLoop(zero, panels, 1, accumulators, [&](Value panel, Value outer) {
      return buildLoop(zero, rowBlocks, 1, outer,
                       [&](Value rowBlock, Value current) { return buildBlock(rowBlock, panel, current); });
    });
  }

  /// sums[row, lane] += column[row, depth] * line[depth, lane].
  Value buildMultiplyAdd(Value column, Value line, Value sums) {
    AffineExpr row = b.getAffineDimExpr(0), lane = b.getAffineDimExpr(1), depth = b.getAffineDimExpr(2);
    SmallVector<AffineMap> maps = AffineMap::inferFromExprList(
        {ArrayRef{row, depth}, ArrayRef{depth, lane}, ArrayRef{row, lane}}, b.getContext());
    utils::IteratorType parallel = utils::IteratorType::parallel, reduction = utils::IteratorType::reduction;
    return linalg::GenericOp::create(b, loc, sums.getType(), ValueRange{column, line}, sums, maps,
                                     {parallel, parallel, reduction},
                                     [](OpBuilder &nested, Location l, ValueRange args) {
                                       Value product = arith::MulFOp::create(nested, l, args[0], args[1]);
                                       Value sum = arith::AddFOp::create(nested, l, args[2], product);
                                       linalg::YieldOp::create(nested, l, sum);
                                     })
        .getResult(0);
  }

  //===-- Slices --------------------------------------------------------------------------------------------------===//

  Value buildLoop(OpFoldResult begin, OpFoldResult end, int64_t step, Value initial,
                  function_ref<Value(Value, Value)> body) {
    auto loop =
        scf::ForOp::create(b, loc, math.value(begin), math.value(end), math.value(math.constant(step)), initial);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, loc, body(loop.getInductionVar(), loop.getRegionIterArg(0)));
    return loop.getResult(0);
  }

  /// `source`, with its dimensions permuted, in the element type of `target` and written over it.
  Value buildCopy(Value source, Value target, ArrayRef<int64_t> permutation) {
    AffineMap identity = b.getMultiDimIdentityMap(2);
    AffineMap map = AffineMap::getPermutationMap(permutation, b.getContext());
    SmallVector<utils::IteratorType> iterators(2, utils::IteratorType::parallel);
    return linalg::GenericOp::create(b, loc, target.getType(), source, target, ArrayRef{map, identity}, iterators,
                                     [](OpBuilder &nested, Location l, ValueRange args) {
                                       Value converted = convertScalar(nested, l, args[0], args[1].getType());
                                       linalg::YieldOp::create(nested, l, converted);
                                     })
        .getResult(0);
  }

  static Value convertScalar(OpBuilder &builder, Location loc, Value value, Type type) {
    if (value.getType() == type)
      return value;
    if (value.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(builder, loc, type, value);
    return arith::TruncFOp::create(builder, loc, type, value);
  }

  /// The ranges of an operand's dimensions that `ranges` selects.
  void getOperandRange(OpOperand *operand, SmallVector<OpFoldResult> &offsets, SmallVector<OpFoldResult> &sizes) {
    for (AffineExpr result : op.getMatchingIndexingMap(operand).getResults()) {
      unsigned loop = cast<AffineDimExpr>(result).getPosition();
      offsets.push_back(ranges.offsets[loop]);
      sizes.push_back(ranges.sizes[loop]);
    }
  }

  /// The two dimensions of an operand that are blocked, at `ranges`, in the operand's order.
  Value extractOperand(OpOperand *operand, Value tensor) {
    SmallVector<OpFoldResult> offsets, sizes;
    getOperandRange(operand, offsets, sizes);
    SmallVector<unsigned> kept;
    for (auto [position, result] : llvm::enumerate(op.getMatchingIndexingMap(operand).getResults()))
      if (roles.isBlocked(cast<AffineDimExpr>(result).getPosition()))
        kept.push_back(position);
    return extract(tensor, offsets, sizes, kept);
  }

  /// How `operand` orders `first` and `second`.
  SmallVector<int64_t> getPermutation(OpOperand *operand, unsigned first, unsigned second) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    bool isSwapped =
        *map.getResultPosition(b.getAffineDimExpr(first)) > *map.getResultPosition(b.getAffineDimExpr(second));
    return isSwapped ? SmallVector<int64_t>{1, 0} : SmallVector<int64_t>{0, 1};
  }

  Value extract2D(Value tensor, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
    return extract(tensor, offsets, sizes, {0, 1});
  }
  Value insert2D(Value source, Value target, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
    return insert(source, target, offsets, sizes);
  }

  /// A slice without the dimensions, all of size 1, that are not `kept`.
  Value extract(Value tensor, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes, ArrayRef<unsigned> kept) {
    SmallVector<int64_t> dims = llvm::map_to_vector(
        kept, [&](unsigned i) { return getConstantIntValue(sizes[i]).value_or(ShapedType::kDynamic); });
    auto type = RankedTensorType::get(dims, cast<RankedTensorType>(tensor.getType()).getElementType());
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
    return tensor::ExtractSliceOp::create(b, loc, type, tensor, offsets, sizes, strides);
  }

  Value insert(Value source, Value target, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
    return tensor::InsertSliceOp::create(b, loc, source, target, offsets, sizes, strides);
  }

  RewriterBase &b;
  Location loc;
  linalg::LinalgOp op;
  ContractionRoles roles;
  BlockShape shape;
  IndexMath math;
  OpOperand *lhs, *rhs, *init;
  linalg::FillOp fill;
  SmallVector<OpFoldResult> extents;
  LoopRanges ranges;
};

struct TileContractions : impl::TileContractionsBase<TileContractions> {
  using TileContractionsBase::TileContractionsBase;

  void runOnOperation() override {
    if (failed(verifyTargetOptions(getOperation(), vectorBits, registers)))
      return signalPassFailure();
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (!op->getParentOfType<scf::ForallOp>())
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      std::optional<ContractionRoles> roles = getContractionRoles(op);
      if (!roles)
        continue;
      rewriter.setInsertionPoint(op);
      BlockShape shape = getBlockShape(op, *roles, vectorBits / 32, registers);
      rewriter.replaceOp(op, ContractionTiler(rewriter, op, *roles, shape).tile());
    }
  }
};

} // namespace
} // namespace mlir::gqa
