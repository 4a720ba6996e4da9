#include "passes/SequenceLength.h"
#include "passes/gpu/AttentionKernel.h"
#include "passes/gpu/EmitDevice.h"
#include "passes/gpu/GpuPasses.h"
#include "passes/gpu/HopperKernel.h"
#include "passes/gpu/SharedLayout.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_BUILDKERNELS
#include "passes/gpu/GpuPasses.h.inc"

namespace {

LogicalResult verifyHopper(AttentionOp op, const AttentionShape &shape, gqa_gpu::WarpgroupScheduleAttr schedule) {
  if (std::string obstacle = getHopperObstacle(op); !obstacle.empty())
    return op.emitOpError() << "cannot have a schedule of warpgroups: " << obstacle;
  if (schedule.getPacked() && !canPackHeads(shape))
    return op.emitOpError() << "cannot have its heads packed: 64 rows are not whole groups of " << shape.group
                            << " heads that share keys";
  return success();
}

/// What kernels can do of all that gqa.attention may say.
LogicalResult verifySupported(AttentionOp op) {
  AttentionShape shape(op);
  std::pair<StringRef, OpOperand *> matrices[] = {{"query", &op.getQueryMutable()},
                                                  {"key", &op.getKeyMutable()},
                                                  {"value", &op.getValueMutable()},
                                                  {"output", &op.getOutputsMutable()[0]}};
  for (auto [name, operand] : matrices) {
    AffineMap map = op.getMap(*operand);
    if (!llvm::is_contained({Dim::dqk, Dim::dv, Dim::dqk2, Dim::dv2}, getDims(map).back()))
      return op.emitOpError() << "on a GPU the head dimension of '" << name << "' must be its last, got "
                              << printDims(map);
  }
  for (auto [name, extent] : {std::pair<StringRef, int64_t>{"dqk", shape.dqk}, {"dv", shape.dv}})
    if (extent % 8 != 0)
      return op.emitOpError() << "on a GPU " << name << " must be a multiple of 8, got " << extent;
  Attribute schedule = op->getAttr(gqa_gpu::ScheduleAttr::kName);
  if (!isa_and_nonnull<gqa_gpu::ScheduleAttr, gqa_gpu::WarpgroupScheduleAttr>(schedule))
    return op.emitOpError() << "has no " << gqa_gpu::ScheduleAttr::kName << "; run gqa-gpu-select-schedule first";
  if (auto hopper = dyn_cast<gqa_gpu::WarpgroupScheduleAttr>(schedule))
    return verifyHopper(op, shape, hopper);
  const OperandTile &query = shape.tiles.query;
  bool isQueryShared = cast<gqa_gpu::ScheduleAttr>(schedule).getSharedQuery();
  if (!isQueryShared && (query.isConverted() || query.element.isF32()))
    return op.emitOpError() << "whose query of " << query.stored << " is multiplied as " << query.element << " needs a "
                            << gqa_gpu::ScheduleAttr::kName << " with sharedQuery = true";
  return success();
}

gqa_gpu::WarpgroupScheduleAttr getHopperSchedule(AttentionOp op) {
  return op->getAttrOfType<gqa_gpu::WarpgroupScheduleAttr>(gqa_gpu::ScheduleAttr::kName);
}

/// Replaces one attention by launches of its kernels.
struct LaunchBuilder {
  LaunchBuilder(RewriterBase &b, ModuleOp device, AttentionOp op, const std::string &name)
      : b(b), loc(op.getLoc()), math{b, loc}, device(device), op(op), hopper(getHopperSchedule(op)),
        shape(op, /*mayPack=*/!hopper || hopper.getPacked()), name(name),
        schedule(op->getAttrOfType<gqa_gpu::ScheduleAttr>(gqa_gpu::ScheduleAttr::kName)) {
    inputs = op->getOperands().drop_back(op.getOutputs().size());
    // What the destinations hold is not read, so fresh ones save copies.
    for (Value output : op.getOutputs())
      outputs.push_back(tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, output),
                                                cast<RankedTensorType>(output.getType()).getElementType()));
    positions = extent(Dim::m);
    rows = math.mul(positions, shape.getTileHeads());
    keys = buildKeyExtent(math, op);
    splits = schedule && schedule.getSplit() ? math.ceilDiv(keys, schedule.getSplit()) : math.constant(1);
  }

  SmallVector<Value> build() {
    if (hopper)
      return launchHopper();
    return schedule.getSplit() ? buildSplit() : buildWhole();
  }

private:
  SmallVector<Value> buildWhole() { return launchAttention(outputs); }

  SmallVector<Value> buildSplit() {
    SmallVector<OpFoldResult> sizes = {extent(Dim::b), math.constant(shape.getHeadTiles()), splits, rows};
    Value max = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    Value sum = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    sizes.push_back(math.constant(shape.getPaddedDv()));
    Value acc = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    SmallVector<Value> partials = launchAttention({acc, max, sum});
    if (op.getSink())
      partials.push_back(op.getSink());
    KernelOperands operands(b, device, name + "_merge", partials, outputs, kNumKernelScalars);
    buildMergeKernel(b, shape, operands);
    int64_t columnTiles = shape.getPaddedDv() / getMergeColumns(shape);
    return launch(operands, partials, outputs, math.mul(math.ceilDiv(rows, 16), columnTiles), 32, 0,
                  {static_cast<int64_t>(partials.size())}, {16});
  }

  SmallVector<Value> launchAttention(ValueRange outputs) {
    KernelOperands operands(b, device, name, inputs, outputs, kNumKernelScalars);
    buildAttentionKernel(b, shape, schedule, operands);
    SharedLayout layout(shape, schedule);
    operands.kernel->setAttr(kComingAttr, b.getI64IntegerAttr(layout.stage * (schedule.getStages() - 1)));
    OpFoldResult tiles = math.ceilDiv(rows, schedule.getRows());
    Value x = arith::MulIOp::create(b, loc, math.value(tiles), math.value(splits));
    // query, key, value, and what is written
    const auto &[query, key, value] = shape.tiles;
    return launch(operands, inputs, outputs, x, schedule.getThreads(), layout.total,
                  {0, 1, 2, static_cast<int64_t>(inputs.size())},
                  {query.getAlignment(), key.getAlignment(), value.getAlignment(), 16});
  }

  SmallVector<Value> launchHopper() {
    SmallVector<Attribute> maps = getHopperTensorMaps(shape, hopper);
    KernelOperands operands(b, device, name, inputs, outputs, kNumKernelScalars, maps.size());
    buildHopperKernel(b, shape, hopper, operands);
    return launch(operands, inputs, outputs, math.ceilDiv(rows, hopper.getRows()), hopper.getThreads(),
                  HopperLayout(shape, hopper).total, {0, 1, 2, static_cast<int64_t>(inputs.size())}, {16, 16, 16, 16},
                  maps);
  }

  SmallVector<Value> launch(KernelOperands &operands, ValueRange inputs, ValueRange outputs, OpFoldResult x,
                            int64_t threads, int64_t sharedBytes, ArrayRef<int64_t> alignedOperands,
                            ArrayRef<int64_t> alignments, ArrayRef<Attribute> maps = {}) {
    if (Attribute reason = op->getAttr(kFallbackAttr))
      operands.kernel->setAttr(kFallbackAttr, reason);
    operands.kernel->setAttr("gqa_gpu.threads", b.getI64IntegerAttr(threads));
    operands.kernel->setAttr("gqa_gpu.shared_bytes", b.getI64IntegerAttr(sharedBytes));
    SmallVector<Value> grid = {math.value(x), math.value(math.constant(shape.getHeadTiles())),
                               math.value(extent(Dim::b))};
    SmallVector<Value> scalars;
    for (OpFoldResult scalar : {positions, keys, splits, extent(Dim::block), extent(Dim::page), extent(Dim::slot)})
      scalars.push_back(arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(scalar)));
    return gqa_gpu::LaunchOp::create(b, loc, outputs.getTypes(), inputs, outputs, scalars, grid,
                                     operands.kernel.getName(), threads, sharedBytes, alignedOperands, alignments,
                                     b.getArrayAttr(maps))
        .getResults();
  }

  OpFoldResult extent(Dim dim) { return getExtent(b, loc, shape.maps, op.getOperands(), dim); }

  RewriterBase &b;
  Location loc;
  IndexMath math;
  ModuleOp device;
  AttentionOp op;
  gqa_gpu::WarpgroupScheduleAttr hopper; ///< null for kernels as for sm_80
  AttentionShape shape;
  std::string name;
  gqa_gpu::ScheduleAttr schedule;
  SmallVector<Value> inputs, outputs;
  OpFoldResult positions, rows, keys, splits;
};

struct BuildKernels : impl::BuildKernelsBase<BuildKernels> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    rewriter.setInsertionPointToEnd(getOperation().getBody());
    auto device = ModuleOp::create(rewriter, getOperation().getLoc(), "gqa_device");
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<AttentionOp> ops;
      function.walk([&](AttentionOp op) { ops.push_back(op); });
      for (auto [number, op] : llvm::enumerate(ops)) {
        if (failed(verifySupported(op)))
          return signalPassFailure();
        rewriter.setInsertionPoint(op);
        std::string name = (function.getName() + "_attention" + Twine(number)).str();
        rewriter.replaceOp(op, LaunchBuilder(rewriter, device, op, name).build());
      }
    }
  }
};

} // namespace
} // namespace mlir::gqa
