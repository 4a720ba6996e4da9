#include "passes/MatrixPrefetch.h"

#include "passes/NextIteration.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace mlir::gqa {

/// How many elements along `dim` one cache line holds.
static int64_t getElementsInLine(MemRefType type, unsigned dim) {
  int64_t line = kCacheLineBytes * 8 / type.getElementTypeBitWidth();
  int64_t stride = type.getStridesAndOffset().first[dim];
  if (ShapedType::isDynamic(stride) || stride <= 0)
    return 1;
  return std::clamp<int64_t>(line / stride, 1, type.getDimSize(dim));
}

bool MatrixPrefetcher::add(Value base) {
  NextIteration next(loop);
  for (Operation *view : getViews(base)) {
    Value part = view->getResult(0);
    if (!loop->isProperAncestor(view) || !cast<MemRefType>(part.getType()).hasStaticShape() || !next.moves(part))
      continue;
    if (!llvm::is_contained(parts, part))
      parts.push_back(part);
    return true;
  }
  return false;
}

void MatrixPrefetcher::emit() {
  OpBuilder b = OpBuilder::atBlockBegin(loop.getBody());
  for (Value part : parts)
    addNextBlock(b, part);
  SmallVector<Operation *> steps;
  for (Operation &op : *loop.getBody())
    if (op.getNumRegions() > 0)
      steps.push_back(&op);
  for (auto [i, step] : llvm::enumerate(steps)) {
    b.setInsertionPoint(step);
    size_t begin = lines.size() * i / steps.size(), end = lines.size() * (i + 1) / steps.size();
    for (const Line &line : ArrayRef(lines).slice(begin, end - begin)) {
      SmallVector<Value> indices = llvm::map_to_vector(line.indices, [&](int64_t index) -> Value {
        return arith::ConstantIndexOp::create(b, loop.getLoc(), index);
      });
      memref::PrefetchOp::create(b, loop.getLoc(), line.base, indices, /*isWrite=*/false, kPrefetchLocality,
                                 /*isDataCache=*/true);
    }
  }
}

/// The lines of `part` in the next block. Keys in pages are read in a loop over runs: then those of all runs.
void MatrixPrefetcher::addNextBlock(OpBuilder &b, Value part) {
  SmallVector<int64_t> runs = {0};
  auto runLoop = cast<scf::ForOp>(part.getParentBlock()->getParentOp());
  if (runLoop != loop) {
    std::optional<int64_t> begin = getConstantIntValue(runLoop.getLowerBound());
    std::optional<int64_t> end = getConstantIntValue(runLoop.getUpperBound());
    std::optional<int64_t> step = getConstantIntValue(runLoop.getStep());
    if (!begin || !end || !step)
      return;
    runs = llvm::to_vector(llvm::seq_inclusive<int64_t>(0, (*end - *begin - 1) / *step));
    for (int64_t &run : runs)
      run = *begin + run * *step;
  }
  for (int64_t run : runs) {
    IRMapping known;
    Value key = loop.getInductionVar();
    known.map(key, arith::AddIOp::create(b, loop.getLoc(), key, loop.getStep()).getResult());
    if (runLoop != loop)
      known.map(runLoop.getInductionVar(), arith::ConstantIndexOp::create(b, loop.getLoc(), run).getResult());
    SmallVector<int64_t> indices;
    if (Value next = compute(b, part, known))
      addLines(next, indices);
  }
}

/// The lines of `base` from `indices`, which are of its first dimensions, on.
void MatrixPrefetcher::addLines(Value base, SmallVector<int64_t> &indices) {
  auto type = cast<MemRefType>(base.getType());
  unsigned dim = indices.size();
  if (dim == type.getRank()) {
    lines.push_back({base, indices});
    return;
  }
  for (int64_t i = 0; i < type.getDimSize(dim); i += getElementsInLine(type, dim)) {
    indices.push_back(i);
    addLines(base, indices);
    indices.pop_back();
  }
}

/// `value` at the start of the loop's body, with what is `known` for the variables of loops; null if it cannot be.
Value MatrixPrefetcher::compute(OpBuilder &b, Value value, IRMapping &known) {
  if (Value result = known.lookupOrNull(value))
    return result;
  if (!loop->isAncestor(value.getParentBlock()->getParentOp()))
    return value;
  Operation *op = value.getDefiningOp();
  if (!op || !canRunEarly(op))
    return nullptr;
  for (Value operand : op->getOperands()) {
    Value result = compute(b, operand, known);
    if (!result)
      return nullptr;
    known.map(operand, result);
  }
  b.clone(*op, known);
  return known.lookup(value);
}

} // namespace mlir::gqa
