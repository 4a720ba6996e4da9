// How gqa-gpu-distribute gives lanes their elements of computed tiles: constants, elementwise ops, reductions,
// products.

#include "passes/gpu/DistributeContraction.h"
#include "passes/gpu/Distributor.h"

#include "mlir/Dialect/UB/IR/UBOps.h"

namespace mlir::gqa {

using namespace gqa_gpu;

/// Whether `map` lists the second loop of two alone.
static bool isColumnMap(AffineMap map) {
  return map.getNumDims() == 2 && map.getNumResults() == 1 && map.getResult(0) == getAffineDimExpr(1, map.getContext());
}

/// Whether a tile of rank 1 has an element per column of the tiles that it is used with, not per row.
static bool isOfColumns(Value tile) {
  return getTileType(tile).getRank() == 1 && llvm::any_of(tile.getUses(), [](OpOperand &use) {
           auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
           return generic && isColumnMap(generic.getMatchingIndexingMap(&use));
         });
}

/// Whether the map's results are the first loops in their order.
static bool isLeading(AffineMap map) {
  for (auto [position, result] : llvm::enumerate(map.getResults()))
    if (result != getAffineDimExpr(position, map.getContext()))
      return false;
  return true;
}

/// Registers a tile; fails if the layout cannot hold it.
FailureOr<Fragment> Distributor::makeFragment(Value tile) {
  RankedTensorType type = getTileType(tile);
  if (!Fragment::canHold(type))
    return emitError(tile.getLoc()) << "a warp cannot hold a tile of type " << type;
  return Fragment(type, isOfColumns(tile));
}

LogicalResult Distributor::distributeEmpty(tensor::EmptyOp empty) {
  FailureOr<Fragment> fragment = makeFragment(empty);
  if (failed(fragment))
    return failure();
  Value poison = ub::PoisonOp::create(b, empty.getLoc(), fragment->type.getElementType());
  for (Value &element : fragment->elements)
    element = poison;
  fragments[empty] = *fragment;
  return success();
}

LogicalResult Distributor::distributeFill(linalg::FillOp fill) {
  FailureOr<Fragment> fragment = makeFragment(fill.getResult(0));
  if (failed(fragment))
    return failure();
  for (Value &element : fragment->elements)
    element = mapping.lookup(fill.getInputs()[0]);
  fragments[fill.getResult(0)] = *fragment;
  return success();
}

LogicalResult Distributor::distributeConstant(arith::ConstantOp constant) {
  auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
  if (!splat || !isTile(constant))
    return cloneScalar(constant);
  FailureOr<Fragment> fragment = makeFragment(constant);
  if (failed(fragment))
    return failure();
  Value value = arith::ConstantOp::create(b, constant.getLoc(), cast<TypedAttr>(splat.getSplatValue<Attribute>()));
  for (Value &element : fragment->elements)
    element = value;
  fragments[constant] = *fragment;
  return success();
}

LogicalResult Distributor::distributeScalar(tensor::FromElementsOp scalar) {
  if (getTileType(scalar).getRank() != 0)
    return scalar.emitOpError() << "cannot be distributed over the lanes of a warp";
  Fragment fragment(getTileType(scalar));
  fragment.elements[0] = mapping.lookup(scalar.getElements()[0]);
  fragments[scalar] = fragment;
  return success();
}

LogicalResult Distributor::distributeGenerate(tensor::GenerateOp generate) {
  FailureOr<Fragment> fragment = makeFragment(generate);
  if (failed(fragment))
    return failure();
  Block &body = generate.getBody().front();
  for (const FragmentElement &position : fragment->getPositions()) {
    IRMapping local(mapping);
    SmallVector<Value> indices = {lane.toIndex(lane.getRow(position)), lane.toIndex(lane.getColumn(position))};
    if (fragment->isOfColumns)
      indices = {indices[1]};
    for (auto [argument, index] : llvm::zip(body.getArguments(), indices))
      local.map(argument, index);
    for (Operation &op : body.without_terminator())
      b.clone(op, local);
    fragment->at(position) = local.lookup(body.getTerminator()->getOperand(0));
  }
  fragments[generate] = *fragment;
  return success();
}

LogicalResult Distributor::distributeGeneric(linalg::GenericOp generic) {
  for (Value operand : generic->getOperands())
    if (!fragments.contains(operand))
      return generic.emitOpError() << "has an operand that no lane holds: " << operand;
  if (generic.getNumDpsInputs() == 2 && generic.getNumReductionLoops() == 1)
    return distributeContraction(generic);
  if (generic.getNumReductionLoops() == 0)
    return distributeElementwise(generic);
  return distributeReduction(generic);
}

/// Each lane runs the body on its elements.
LogicalResult Distributor::distributeElementwise(linalg::GenericOp generic) {
  FailureOr<Fragment> result = makeFragment(generic.getResult(0));
  if (failed(result))
    return failure();
  for (auto [map, operand] : llvm::zip_equal(generic.getIndexingMapsArray(), generic->getOperands()))
    if (!(fragments[operand].isOfColumns ? isColumnMap(map) : isLeading(map)) || fragments[operand].address)
      return generic.emitOpError() << "operands must be in registers and have the leading dimensions of the result";
  Block *body = generic.getBody();
  for (const FragmentElement &position : result->getPositions()) {
    IRMapping local(mapping);
    for (auto [argument, operand] : llvm::zip_equal(body->getArguments(), generic->getOperands()))
      local.map(argument, fragments[operand].at(position));
    for (Operation &op : body->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(op))
        local.map(index, lane.toIndex(index.getDim() == 0 ? lane.getRow(position) : lane.getColumn(position)));
      else
        b.clone(op, local);
    }
    result->at(position) = local.lookup(body->getTerminator()->getOperand(0));
  }
  fragments[generic.getResult(0)] = *result;
  return success();
}

/// Rows to one element each: a tree over the lane's own elements, then over the four lanes of the row.
LogicalResult Distributor::distributeReduction(linalg::GenericOp generic) {
  FailureOr<Fragment> result = makeFragment(generic.getResult(0));
  if (failed(result))
    return failure();
  Block *body = generic.getBody();
  Operation *combiner = &body->front();
  bool isBinary = llvm::hasSingleElement(body->without_terminator()) && combiner->getNumOperands() == 2 &&
                  generic.getNumDpsInputs() == 1 && generic.getNumLoops() == 2;
  if (!isBinary || getTileType(generic.getDpsInputs()[0]).getRank() != 2)
    return generic.emitOpError() << "only reductions of rows by one binary op can be distributed";
  auto combine = [&](Value lhs, Value rhs) {
    IRMapping local;
    local.map(combiner->getOperand(0), lhs);
    local.map(combiner->getOperand(1), rhs);
    return b.clone(*combiner, local)->getResult(0);
  };
  Fragment &input = fragments[generic.getDpsInputs()[0]];
  Fragment &init = fragments[generic.getDpsInits()[0]];
  for (const FragmentElement &position : result->getPositions()) {
    SmallVector<Value> values;
    for (const FragmentElement &element : input.getPositions())
      if (element.getRow() == position.getRow())
        values.push_back(input.at(element));
    while (values.size() > 1) {
      SmallVector<Value> combined;
      for (size_t i = 0; i + 1 < values.size(); i += 2)
        combined.push_back(combine(values[i], values[i + 1]));
      if (values.size() % 2 != 0)
        combined.push_back(values.back());
      values = combined;
    }
    Value value = values[0];
    for (int32_t mask : {1, 2})
      value = combine(value, ShuffleXorOp::create(b, generic.getLoc(), b.getF32Type(), value, mask));
    result->at(position) = combine(init.at(position), value);
  }
  fragments[generic.getResult(0)] = *result;
  return success();
}

LogicalResult Distributor::distributeContraction(linalg::GenericOp generic) {
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  AffineExpr row = getAffineDimExpr(0, generic.getContext()), column = getAffineDimExpr(1, generic.getContext());
  AffineExpr step = getAffineDimExpr(2, generic.getContext());
  auto map = [&](AffineExpr first, AffineExpr second) {
    return AffineMap::get(3, 0, {first, second}, generic.getContext());
  };
  bool isSwapped = maps[0] != map(row, step);
  AffineMap aMap = maps[isSwapped], bMap = maps[!isSwapped];
  bool isTransposed = bMap == map(step, column);
  if (aMap != map(row, step) || (!isTransposed && bMap != map(column, step)) || maps[2] != map(row, column))
    return generic.emitOpError() << "is no product [rows, k] by [columns, k] or [k, columns]";
  const Fragment &a = fragments[generic.getDpsInputs()[isSwapped]],
                 &matrix = fragments[generic.getDpsInputs()[!isSwapped]];
  const Fragment &init = fragments[generic.getDpsInits()[0]];
  if (!matrix.address || init.address)
    return generic.emitOpError() << "the second operand of a product must be in shared memory, the result in registers";
  Type element = a.type.getElementType();
  if (!(element.isBF16() || element.isF16() || element.isF32()) || matrix.type.getElementType() != element)
    return generic.emitOpError() << "products need two of f16, bf16 or f32, got " << a.type << " and " << matrix.type;
  if (a.type.getDimSize(1) % 16 != 0 || init.type.getDimSize(0) % 16 != 0 || init.type.getDimSize(1) % 16 != 0)
    return generic.emitOpError() << "extents of a product must be multiples of 16, got " << a.type << " and "
                                 << init.type;
  auto build = element.isF32() ? buildTF32Contraction : buildContraction;
  fragments[generic.getResult(0)] = build(lane, a, matrix, init, isTransposed);
  return success();
}

} // namespace mlir::gqa
