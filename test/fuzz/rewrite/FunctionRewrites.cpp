#include "test/fuzz/rewrite/Rewrites.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::gqa {

namespace {

/// A linalg op becomes a call of a private function.
bool outline(Program &program, Random &random) {
  auto op =
      pickOp<linalg::LinalgOp>(program.module, random, [](linalg::LinalgOp op) { return op.hasPureTensorSemantics(); });
  if (!op)
    return false;
  llvm::SetVector<Value> inputs(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), inputs);
  OpBuilder b(program.module.getBodyRegion());
  b.setInsertionPointToEnd(program.module.getBody());
  auto type = b.getFunctionType(ValueRange(inputs.getArrayRef()).getTypes(), op->getResultTypes());
  auto function = func::FuncOp::create(b, op.getLoc(), "part", type);
  function.setPrivate();
  SymbolTable(program.module).insert(function); // makes the name unique

  OpBuilder body = OpBuilder::atBlockBegin(function.addEntryBlock());
  IRMapping mapping;
  mapping.map(inputs.getArrayRef(), function.getArguments());
  func::ReturnOp::create(body, op.getLoc(), body.clone(*op, mapping)->getResults());
  b.setInsertionPoint(op);
  auto call = func::CallOp::create(b, op.getLoc(), function, inputs.getArrayRef());
  op->replaceAllUsesWith(call.getResults());
  op->erase();
  return true;
}

/// An argument of the public function comes with its dimensions in another order.
bool permuteArgument(Program &program, Random &random) {
  for (auto function : program.module.getOps<func::FuncOp>()) {
    if (!function.isPublic())
      continue;
    auto number = static_cast<unsigned>(random.between(0, function.getNumArguments() - 1));
    BlockArgument argument = function.getArgument(number);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.getRank() < 2)
      return false;
    SmallVector<int64_t> permutation = drawPermutation(type.getRank(), random);
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    SmallVector<int64_t> shape = applyPermutation(SmallVector<int64_t>(type.getShape()), permutation);
    argument.setType(RankedTensorType::get(shape, type.getElementType()));
    function.setFunctionType(
        b.getFunctionType(function.getBody().front().getArgumentTypes(), function.getFunctionType().getResults()));
    Value original = buildTranspose(b, function.getLoc(), argument, invertPermutationVector(permutation));
    SmallPtrSet<Operation *, 2> isOurs;
    for (Operation *op : {original.getDefiningOp()})
      isOurs.insert(op);
    argument.replaceUsesWithIf(original, [&](OpOperand &use) {
      // Extents for the transposition's destination come from the argument itself.
      return !isOurs.contains(use.getOwner()) && !use.getOwner()->isBeforeInBlock(original.getDefiningOp());
    });
    program.permutations[number] = applyPermutation(program.permutations[number], permutation);
    return true;
  }
  return false;
}

} // namespace

void addFunctionRewrites(std::vector<Rewrite> &rewrites) {
  rewrites.push_back({"outline", outline});
  rewrites.push_back({"permute-argument", permuteArgument});
}

} // namespace mlir::gqa
