// gqa-gpu-distribute: the pass, which op is distributed how, and control flow.

#include "passes/gpu/DistributeProduct.h"
#include "passes/gpu/Distributor.h"
#include "passes/gpu/GpuPasses.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_DISTRIBUTEFRAGMENTS
#include "passes/gpu/GpuPasses.h.inc"

using namespace gqa_gpu;

LogicalResult Distributor::distribute(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(distribute(&op)))
      return failure();
  return success();
}

LogicalResult Distributor::distribute(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<arith::ConstantOp>([&](auto constant) { return distributeConstant(constant); })
      .Case<tensor::EmptyOp>([&](auto empty) { return distributeEmpty(empty); })
      .Case<tensor::GenerateOp>([&](auto generate) { return distributeGenerate(generate); })
      .Case<tensor::FromElementsOp>([&](auto scalar) { return distributeScalar(scalar); })
      .Case<linalg::FillOp>([&](auto fill) { return distributeFill(fill); })
      .Case<linalg::GenericOp>([&](auto generic) { return distributeGeneric(generic); })
      .Case<bufferization::MaterializeInDestinationOp>([&](auto store) {
        Fragment fragment = fragments[store.getSource()];
        fragments[store.getResult()] = fragment;
        return success();
      })
      .Case<scf::ForOp>([&](auto loop) { return distributeFor(loop); })
      .Case<scf::IfOp>([&](auto branch) { return distributeIf(branch); })
      .Case<SharedTileOp>([&](auto tile) { return distributeSharedTile(tile); })
      .Case<StartProductOp>([&](auto product) { return distributeProduct(product); })
      .Case<WaitProductsOp>([&](auto wait) { return distributeWait(wait); })
      .Case<PackPairsOp>([&](auto pack) {
        fragments[pack.getWords()] = buildPackedPairs(lane, fragments[pack.getTile()], pack);
        return success();
      })
      .Case<CopyRowsOp>([&](auto copy) { return distributeCopy(copy); })
      .Case<ConvertRowsOp>([&](auto conversion) { return distributeConversion(conversion); })
      .Case<LoadRowsOp>([&](auto load) { return distributeLoad(load); })
      .Case<StoreRowsOp>([&](auto store) { return distributeStore(store); })
      .Case<PutTileOp>([&](auto put) { return distributePut(put); })
      .Case<GetTileOp>([&](auto get) { return distributeGet(get); })
      .Default([&](Operation *other) { return cloneScalar(other); });
}

LogicalResult Distributor::cloneScalar(Operation *op) {
  if (llvm::any_of(op->getOperands(), isTile) || llvm::any_of(op->getResults(), isTile) || op->getNumRegions() != 0)
    return op->emitOpError() << "cannot be distributed over the lanes of a warp";
  b.clone(*op, mapping);
  return success();
}

//===-- Products of warpgroups ------------------------------------------------------------------------------------===//

LogicalResult Distributor::distributeProduct(StartProductOp product) {
  ProductOperands operands;
  if (product.getA())
    operands.a = &fragments[product.getA()];
  else
    operands.aAddress = mapping.lookup(product.getAAddress());
  operands.bAddress = mapping.lookup(product.getB());
  if (product.getInit())
    operands.init = &fragments[product.getInit()];
  Fragment result = buildProduct(lane, product, operands);
  fragments[product.getResult()] = result;
  return success();
}

LogicalResult Distributor::distributeWait(WaitProductsOp wait) {
  SmallVector<Value> values = flatten(wait.getTiles());
  auto finished = WgmmaWaitOp::create(b, wait.getLoc(), ValueRange(values).getTypes(), wait.getPending(), values);
  unflatten(wait.getResults(), finished.getResults());
  return success();
}

//===-- Control flow ----------------------------------------------------------------------------------------------===//

/// Tiles that a loop carries become their elements.
LogicalResult Distributor::distributeFor(scf::ForOp loop) {
  SmallVector<Value> inits = flatten(loop.getInitArgs());
  auto result = scf::ForOp::create(b, loop.getLoc(), mapping.lookup(loop.getLowerBound()),
                                   mapping.lookup(loop.getUpperBound()), mapping.lookup(loop.getStep()), inits);
  OpBuilder::InsertionGuard guard(b);
  if (inits.empty())
    result.getBody()->getTerminator()->erase();
  b.setInsertionPointToStart(result.getBody());
  mapping.map(loop.getInductionVar(), result.getInductionVar());
  unflatten(loop.getRegionIterArgs(), result.getRegionIterArgs());
  if (failed(distribute(*loop.getBody())))
    return failure();
  scf::YieldOp::create(b, loop.getLoc(), flatten(loop.getBody()->getTerminator()->getOperands()));
  unflatten(loop.getResults(), result.getResults());
  return success();
}

LogicalResult Distributor::distributeIf(scf::IfOp branch) {
  if (branch.getNumResults() != 0)
    return branch.emitOpError() << "with results cannot be distributed over the lanes of a warp";
  auto result = scf::IfOp::create(b, branch.getLoc(), mapping.lookup(branch.getCondition()), branch.elseBlock());
  OpBuilder::InsertionGuard guard(b);
  for (auto [from, to] : llvm::zip_equal(branch->getRegions(), result->getRegions())) {
    if (from.empty())
      continue;
    b.setInsertionPoint(to.front().getTerminator());
    if (failed(distribute(from.front())))
      return failure();
  }
  return success();
}

SmallVector<Value> Distributor::flatten(ValueRange values) {
  SmallVector<Value> flat;
  for (Value value : values) {
    if (isTile(value))
      llvm::append_range(flat, fragments[value].elements);
    else
      flat.push_back(mapping.lookup(value));
  }
  return flat;
}

void Distributor::unflatten(ValueRange values, ValueRange flat) {
  for (Value value : values) {
    if (!isTile(value)) {
      mapping.map(value, flat.front());
      flat = flat.drop_front();
      continue;
    }
    Fragment fragment(getTileType(value));
    for (Value &element : fragment.elements) {
      element = flat.front();
      flat = flat.drop_front();
    }
    fragments[value] = fragment;
  }
}

namespace {

struct DistributeFragments : impl::DistributeFragmentsBase<DistributeFragments> {
  void runOnOperation() override {
    func::FuncOp kernel = getOperation();
    if (kernel.isExternal())
      return;
    Block *block = &kernel.getBody().front();
    Block *distributed = new Block();
    kernel.getBody().push_back(distributed);
    OpBuilder b(&getContext());
    b.setInsertionPointToStart(distributed);
    Distributor distributor(b, kernel);
    for (BlockArgument argument : block->getArguments())
      distributor.mapping.map(argument, distributed->addArgument(argument.getType(), argument.getLoc()));
    if (failed(distributor.distribute(*block)))
      return signalPassFailure();
    func::ReturnOp::create(b, kernel.getLoc());
    block->erase();
  }
};

} // namespace
} // namespace mlir::gqa
