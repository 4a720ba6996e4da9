#include "passes/gpu/DistributeContraction.h"
#include "passes/gpu/DistributeProduct.h"
#include "passes/gpu/GpuPasses.h"

#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_DISTRIBUTEFRAGMENTS
#include "passes/gpu/GpuPasses.h.inc"

namespace {

using namespace gqa_gpu;

bool isTile(Value value) { return isa<RankedTensorType>(value.getType()); }
RankedTensorType getTileType(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Writes the code of one lane for the warp-level code of one kernel.
struct Distributor {
  Distributor(OpBuilder &b, func::FuncOp kernel) : b(b), lane(b, kernel.getLoc()) {}

  /// Distributes the ops of `block`, without its terminator, to the builder's place.
  LogicalResult distribute(Block &block) {
    for (Operation &op : block.without_terminator())
      if (failed(distribute(&op)))
        return failure();
    return success();
  }

  IRMapping mapping;

private:
  LogicalResult distribute(Operation *op) {
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
        .Case<SharedTileOp>([&](auto tile) {
          Fragment fragment;
          fragment.type = getTileType(tile.getTile());
          fragment.address = mapping.lookup(tile.getAddress());
          fragments[tile.getTile()] = fragment;
          return success();
        })
        .Case<StartProductOp>([&](auto product) { return distributeProduct(product); })
        .Case<WaitProductsOp>([&](auto wait) { return distributeWait(wait); })
        .Case<PackPairsOp>([&](auto pack) {
          fragments[pack.getWords()] = buildPackedPairs(lane, fragments[pack.getTile()], pack);
          return success();
        })
        .Case<CopyRowsOp>([&](auto copy) { return distributeCopy(copy); })
        .Case<LoadRowsOp>([&](auto load) { return distributeLoad(load); })
        .Case<StoreRowsOp>([&](auto store) { return distributeStore(store); })
        .Case<PutTileOp>([&](auto put) { return distributePut(put); })
        .Case<GetTileOp>([&](auto get) { return distributeGet(get); })
        .Default([&](Operation *other) { return cloneScalar(other); });
  }

  LogicalResult cloneScalar(Operation *op) {
    if (llvm::any_of(op->getOperands(), isTile) || llvm::any_of(op->getResults(), isTile) || op->getNumRegions() != 0)
      return op->emitOpError() << "cannot be distributed over the lanes of a warp";
    b.clone(*op, mapping);
    return success();
  }

  /// Registers a tile; fails if the layout cannot hold it.
  FailureOr<Fragment> makeFragment(Value tile) {
    RankedTensorType type = getTileType(tile);
    if (!Fragment::canHold(type))
      return emitError(tile.getLoc()) << "a warp cannot hold a tile of type " << type;
    return Fragment(type);
  }

  //===-- Values --------------------------------------------------------------------------------------------------===//

  LogicalResult distributeEmpty(tensor::EmptyOp empty) {
    FailureOr<Fragment> fragment = makeFragment(empty);
    if (failed(fragment))
      return failure();
    Value poison = ub::PoisonOp::create(b, empty.getLoc(), fragment->type.getElementType());
    for (Value &element : fragment->elements)
      element = poison;
    fragments[empty] = *fragment;
    return success();
  }

  LogicalResult distributeFill(linalg::FillOp fill) {
    FailureOr<Fragment> fragment = makeFragment(fill.getResult(0));
    if (failed(fragment))
      return failure();
    for (Value &element : fragment->elements)
      element = mapping.lookup(fill.getInputs()[0]);
    fragments[fill.getResult(0)] = *fragment;
    return success();
  }

  LogicalResult distributeConstant(arith::ConstantOp constant) {
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

  LogicalResult distributeScalar(tensor::FromElementsOp scalar) {
    if (getTileType(scalar).getRank() != 0)
      return scalar.emitOpError() << "cannot be distributed over the lanes of a warp";
    Fragment fragment(getTileType(scalar));
    fragment.elements[0] = mapping.lookup(scalar.getElements()[0]);
    fragments[scalar] = fragment;
    return success();
  }

  LogicalResult distributeGenerate(tensor::GenerateOp generate) {
    FailureOr<Fragment> fragment = makeFragment(generate);
    if (failed(fragment))
      return failure();
    Block &body = generate.getBody().front();
    for (const FragmentElement &position : fragment->getPositions()) {
      IRMapping local(mapping);
      SmallVector<Value> indices = {lane.toIndex(lane.getRow(position)), lane.toIndex(lane.getColumn(position))};
      for (auto [argument, index] : llvm::zip(body.getArguments(), indices))
        local.map(argument, index);
      for (Operation &op : body.without_terminator())
        b.clone(op, local);
      fragment->at(position) = local.lookup(body.getTerminator()->getOperand(0));
    }
    fragments[generate] = *fragment;
    return success();
  }

  //===-- linalg --------------------------------------------------------------------------------------------------===//

  LogicalResult distributeGeneric(linalg::GenericOp generic) {
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
  LogicalResult distributeElementwise(linalg::GenericOp generic) {
    FailureOr<Fragment> result = makeFragment(generic.getResult(0));
    if (failed(result))
      return failure();
    for (auto [map, operand] : llvm::zip_equal(generic.getIndexingMapsArray(), generic->getOperands()))
      if (!isLeading(map) || fragments[operand].address)
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

  /// Whether the map's results are the first loops in their order.
  static bool isLeading(AffineMap map) {
    for (auto [position, result] : llvm::enumerate(map.getResults()))
      if (result != getAffineDimExpr(position, map.getContext()))
        return false;
    return true;
  }

  /// Rows to one element each: a tree over the lane's own elements, then over the four lanes of the row.
  LogicalResult distributeReduction(linalg::GenericOp generic) {
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

  LogicalResult distributeContraction(linalg::GenericOp generic) {
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
      return generic.emitOpError()
             << "the second operand of a product must be in shared memory, the result in registers";
    Type element = a.type.getElementType();
    if (!(element.isBF16() || element.isF16()) || matrix.type.getElementType() != element)
      return generic.emitOpError() << "products need f16 or bf16, got " << a.type << " and " << matrix.type;
    if (a.type.getDimSize(1) % 16 != 0 || init.type.getDimSize(0) % 16 != 0 || init.type.getDimSize(1) % 16 != 0)
      return generic.emitOpError() << "extents of a product must be multiples of 16, got " << a.type << " and "
                                   << init.type;
    fragments[generic.getResult(0)] = buildContraction(lane, a, matrix, init, isTransposed);
    return success();
  }

  //===-- Products of warpgroups ----------------------------------------------------------------------------------===//

  LogicalResult distributeProduct(StartProductOp product) {
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

  LogicalResult distributeWait(WaitProductsOp wait) {
    SmallVector<Value> values = flatten(wait.getTiles());
    auto finished = WgmmaWaitOp::create(b, wait.getLoc(), ValueRange(values).getTypes(), wait.getPending(), values);
    unflatten(wait.getResults(), finished.getResults());
    return success();
  }

  //===-- Control flow --------------------------------------------------------------------------------------------===//

  /// Tiles that a loop carries become their elements.
  LogicalResult distributeFor(scf::ForOp loop) {
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

  LogicalResult distributeIf(scf::IfOp branch) {
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

  SmallVector<Value> flatten(ValueRange values) {
    SmallVector<Value> flat;
    for (Value value : values) {
      if (isTile(value))
        llvm::append_range(flat, fragments[value].elements);
      else
        flat.push_back(mapping.lookup(value));
    }
    return flat;
  }

  void unflatten(ValueRange values, ValueRange flat) {
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

  //===-- Memory --------------------------------------------------------------------------------------------------===//

  struct RowAddress {
    Value offset, isValid;
  };

  /// What the region of an op says of `row` (i32).
  template <typename OpTy> RowAddress getAddress(OpTy op, Value row) {
    IRMapping local(mapping);
    Block &block = op.getAddress().front();
    local.map(block.getArgument(0), row);
    for (Operation &inner : block.without_terminator())
      b.clone(inner, local);
    Operation *yield = op.getYield();
    return {local.lookup(yield->getOperand(0)), local.lookup(yield->getOperand(1))};
  }

  /// All threads of the block take chunks of 16 bytes in turn.
  LogicalResult distributeCopy(CopyRowsOp copy) {
    constexpr int64_t kChunk = 8;
    Location loc = copy.getLoc();
    int64_t perRow = copy.getWidth() / kChunk, chunks = copy.getRows() * perRow, threads = copy.getThreads();
    int64_t pitch = getSharedPitch(copy.getWidth());
    for (int64_t first = 0; first < chunks; first += threads) {
      OpBuilder::InsertionGuard guard(b);
      Value index = lane.add(lane.thread, first);
      if (first + threads > chunks) {
        Value isInside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, index, lane.constant(chunks));
        b.setInsertionPoint(scf::IfOp::create(b, loc, isInside, /*withElseRegion=*/false).thenBlock()->getTerminator());
      }
      Value row = arith::DivUIOp::create(b, loc, index, lane.constant(perRow));
      Value chunk = arith::RemUIOp::create(b, loc, index, lane.constant(perRow));
      RowAddress address = getAddress(copy, row);
      Value isValid = address.isValid;
      if (copy.getColumns() != copy.getWidth()) {
        Value limit = lane.constant(copy.getColumns() / kChunk);
        Value isReal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, chunk, limit);
        isValid = arith::AndIOp::create(b, loc, isValid, isReal);
      }
      Value bytes = arith::SelectOp::create(b, loc, isValid, lane.constant(16), lane.constant(0));
      Value column = arith::ExtUIOp::create(b, loc, b.getI64Type(), lane.mul(chunk, kChunk));
      Value offset = arith::AddIOp::create(b, loc, address.offset, column);
      // What is not read may lie anywhere; its address stays inside the tensor all the same.
      Value zero = arith::ConstantIntOp::create(b, loc, 0, 64);
      offset = arith::SelectOp::create(b, loc, isValid, offset, zero);
      Value source = lane.getElement(mapping.lookup(copy.getSource()), copy.getElement(), offset);
      Value to = lane.add(arith::MulIOp::create(b, loc, row, lane.constant(pitch)), lane.mul(chunk, 2 * kChunk));
      CpAsyncOp::create(b, loc, lane.advance(mapping.lookup(copy.getDestination()), to), source, bytes);
    }
    return success();
  }

  /// Visits the rows that a lane holds, each with all of its pairs of columns.
  static void forEachRow(const Fragment &fragment, function_ref<void(FragmentElement)> body) {
    for (int64_t rowBlock = 0; rowBlock < fragment.type.getDimSize(0) / 16; ++rowBlock)
      for (int64_t half : {0, 1})
        body({rowBlock, half, 0, 0});
  }

  Value getColumnOffset(Value rowOffset) {
    Value column = arith::ExtUIOp::create(b, lane.loc, b.getI64Type(), lane.column);
    return arith::AddIOp::create(b, lane.loc, rowOffset, column);
  }

  LogicalResult distributeLoad(LoadRowsOp load) {
    FailureOr<Fragment> fragment = makeFragment(load.getTile());
    if (failed(fragment))
      return failure();
    Location loc = load.getLoc();
    Type element = fragment->type.getElementType();
    auto pair = VectorType::get({2}, element);
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
    forEachRow(*fragment, [&](FragmentElement position) {
      Value offset = getColumnOffset(getAddress(load, lane.getRow(position)).offset);
      for (position.columnBlock = 0; position.columnBlock < fragment->type.getDimSize(1) / 8; ++position.columnBlock) {
        bool isReal = 8 * position.columnBlock < static_cast<int64_t>(load.getColumns());
        Value loaded;
        if (isReal) {
          Value address = lane.getElement(mapping.lookup(load.getSource()), element, offset, 8 * position.columnBlock);
          loaded = LLVM::LoadOp::create(b, loc, pair, address, /*alignment=*/element.getIntOrFloatBitWidth() / 4);
        }
        for (position.parity = 0; position.parity < 2; ++position.parity)
          fragment->at(position) = isReal ? Value(vector::ExtractOp::create(b, loc, loaded, position.parity)) : zero;
        position.parity = 0;
      }
    });
    fragments[load.getTile()] = *fragment;
    return success();
  }

  LogicalResult distributeStore(StoreRowsOp store) {
    Fragment &fragment = fragments[store.getTile()];
    Location loc = store.getLoc();
    Type element = fragment.type.getElementType();
    bool isRank1 = fragment.type.getRank() == 1;
    forEachRow(fragment, [&](FragmentElement position) {
      OpBuilder::InsertionGuard guard(b);
      RowAddress row = getAddress(store, lane.getRow(position));
      Value isValid = row.isValid;
      if (isRank1) {
        // One of the four lanes that hold the element writes it.
        Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane.column, lane.constant(0));
        isValid = arith::AndIOp::create(b, loc, isValid, isFirst);
      }
      b.setInsertionPoint(scf::IfOp::create(b, loc, isValid, /*withElseRegion=*/false).thenBlock()->getTerminator());
      Value destination = mapping.lookup(store.getDestination());
      if (isRank1) {
        LLVM::StoreOp::create(b, loc, fragment.at(position), lane.getElement(destination, element, row.offset));
        return;
      }
      Value offset = getColumnOffset(row.offset);
      auto pair = VectorType::get({2}, element);
      for (position.columnBlock = 0; 8 * position.columnBlock < static_cast<int64_t>(store.getColumns());
           ++position.columnBlock) {
        FragmentElement second = position;
        second.parity = 1;
        Value values =
            vector::FromElementsOp::create(b, loc, pair, ValueRange{fragment.at(position), fragment.at(second)});
        LLVM::StoreOp::create(b, loc, values, lane.getElement(destination, element, offset, 8 * position.columnBlock),
                              /*alignment=*/element.getIntOrFloatBitWidth() / 4);
      }
    });
    return success();
  }

  Value getWord(Value address, int64_t word) {
    return lane.advance(mapping.lookup(address), lane.shiftLeft(lane.lane, 2), 128 * word);
  }

  LogicalResult distributePut(PutTileOp put) {
    for (auto [word, element] : llvm::enumerate(fragments[put.getTile()].elements))
      LLVM::StoreOp::create(b, put.getLoc(), element, getWord(put.getAddress(), word));
    return success();
  }

  LogicalResult distributeGet(GetTileOp get) {
    FailureOr<Fragment> fragment = makeFragment(get.getTile());
    if (failed(fragment))
      return failure();
    for (auto [word, element] : llvm::enumerate(fragment->elements))
      element = LLVM::LoadOp::create(b, get.getLoc(), fragment->type.getElementType(), getWord(get.getAddress(), word));
    fragments[get.getTile()] = *fragment;
    return success();
  }

  OpBuilder &b;
  Lane lane;
  llvm::DenseMap<Value, Fragment> fragments;
};

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
