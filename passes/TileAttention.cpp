#include "passes/IndexMath.h"
#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/OnlineSoftmax.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_TILEATTENTION
#include "passes/Passes.h.inc"

namespace {

/// A range of one dimension that a tile takes: `size` of `extent` elements are inside the tensor, the rest is padding.
struct TileRange {
  OpFoldResult offset, size;
  int64_t extent;
};

/// Tiles one op. Inside a tile the query rows (g and m, in the query's order) are one dimension, called `m`.
struct Tiler {
  Tiler(RewriterBase &b, AttentionOp op)
      : b(b), loc(op.getLoc()), op(op), math{b, loc}, schedule(*op.getSchedule()), maps(op.getMaps()) {
    for (Dim dim : getDims(op.getQueryMap()))
      if (dim == Dim::g || dim == Dim::m)
        rowDims.push_back(dim);
    bool rowsInLanes = schedule.getLanes() == Lanes::Row;
    accMap = dimsMap(rowsInLanes ? ArrayRef<Dim>{Dim::dv, Dim::m} : ArrayRef<Dim>{Dim::m, Dim::dv});
    rowMap = dimsMap({Dim::m});
    dqk = getStaticExtent(maps, op.getOperands(), Dim::dqk);
    dv = getStaticExtent(maps, op.getOperands(), Dim::dv);
    for (unsigned dim = 0; dim < kNumDims; ++dim)
      extents.push_back(getExtent(b, loc, maps, op.getOperands(), static_cast<Dim>(dim)));
    keyExtent = extent(Dim::n);
  }

  SmallVector<Value> tile() {
    SmallVector<OpFoldResult> tasks = {extent(Dim::b), extent(Dim::hkv), math.ceilDiv(extent(Dim::g), schedule.getG()),
                                       math.ceilDiv(extent(Dim::m), schedule.getM())};
    if (schedule.getSplit() == 0)
      return tileWhole(tasks);
    return tileSplit(tasks);
  }

private:
  //===-- Tasks ---------------------------------------------------------------------------------------------------===//

  /// One task computes its rows over all keys.
  SmallVector<Value> tileWhole(ArrayRef<OpFoldResult> tasks) {
    return buildForall(tasks, op.getOutputs(), [&](ValueRange ids, ValueRange destinations) {
      setTask(ids);
      SoftmaxState state = buildKeyLoops(math.constant(0), keyExtent);
      insertResults(state, destinations);
    });
  }

  /// One task computes its rows over one range of keys; a second set of tasks merges the ranges.
  SmallVector<Value> tileSplit(ArrayRef<OpFoldResult> tasks) {
    OpFoldResult splits = math.ceilDiv(keyExtent, schedule.getSplit());
    SmallVector<OpFoldResult> splitTasks(tasks);
    splitTasks.push_back(splits);
    auto emptyPartials = [&](ArrayRef<OpFoldResult> tileSizes) -> Value {
      SmallVector<OpFoldResult> sizes(splitTasks);
      llvm::append_range(sizes, tileSizes);
      return tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    };
    SmallVector<Value> partials = {emptyPartials(accSizes()), emptyPartials(rowSizes()), emptyPartials(rowSizes())};
    partials = buildForall(splitTasks, partials, [&](ValueRange ids, ValueRange destinations) {
      setTask(ids.drop_back());
      OpFoldResult begin = math.mul(ids.back(), schedule.getSplit());
      SoftmaxState state = buildKeyLoops(begin, math.add(begin, schedule.getSplit()));
      Value tensors[] = {state.acc.tensor, state.max.tensor, state.sum.tensor};
      for (auto [tensor, destination] : llvm::zip_equal(tensors, destinations))
        insertPartial(tensor, destination, ids);
    });

    return buildForall(tasks, op.getOutputs(), [&](ValueRange ids, ValueRange destinations) {
      setTask(ids);
      SoftmaxState partial = {{extractPartials(partials[0], ids), accMap},
                              {extractPartials(partials[1], ids), rowMap},
                              {extractPartials(partials[2], ids), rowMap}};
      SoftmaxState init = buildInitialState(b, loc, accMap, rowMap, accSizes(), rowSizes());
      insertResults(buildMerge(b, loc, partial, init), destinations);
    });
  }

  /// scf.forall over `tasks`; `body` ends with parallel insertions into the destinations, collected in `insertions`.
  SmallVector<Value> buildForall(ArrayRef<OpFoldResult> tasks, ValueRange destinations,
                                 function_ref<void(ValueRange, ValueRange)> body) {
    auto forall = scf::ForallOp::create(b, loc, tasks, destinations, /*mapping=*/std::nullopt);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(forall.getTerminator());
    insertions.clear();
    body(forall.getInductionVars(), forall.getRegionIterArgs());
    b.setInsertionPointToEnd(forall.getTerminator().getBody());
    for (auto &insert : insertions)
      insert();
    return forall.getResults();
  }

  /// Places the task (b, hkv, g tile, m tile). Causal tasks start with the last rows, which see the most keys.
  void setTask(ValueRange ids) {
    OpFoldResult rowTile = ids[3];
    if (op.getCausal())
      rowTile = math.sub(math.add(math.ceilDiv(extent(Dim::m), schedule.getM()), -1), rowTile);
    ranges.assign(kNumDims, TileRange());
    range(Dim::b) = {ids[0], math.constant(1), 1};
    range(Dim::hkv) = {ids[1], math.constant(1), 1};
    range(Dim::g) = clampedRange(math.mul(ids[2], schedule.getG()), extent(Dim::g), schedule.getG());
    range(Dim::m) = clampedRange(math.mul(rowTile, schedule.getM()), extent(Dim::m), schedule.getM());
    range(Dim::dqk) = {math.constant(0), math.constant(dqk), dqk};
    range(Dim::dv) = {math.constant(0), math.constant(dv), dv};
    setPositions();
  }

  TileRange clampedRange(OpFoldResult offset, OpFoldResult extent, int64_t tile) {
    std::optional<int64_t> constant = getConstantIntValue(extent);
    if (tile == 1 || (constant && *constant % tile == 0))
      return {offset, math.constant(tile), tile};
    return {offset, math.min(math.constant(tile), math.sub(extent, offset)), tile};
  }

  /// Where the task's rows stand and how many keys its batch entry has.
  void setPositions() {
    kvLen = keyExtent;
    if (Value lengths = op.getKvLen())
      kvLen =
          math.max(math.min(loadIndex(lengths, op.getMap(*op.getKvLenMutable().begin())), keyExtent), math.constant(0));
    if (!op.isMaskedByPosition())
      return;
    OpFoldResult offset = math.constant(0);
    if (Value offsets = op.getOffset())
      offset = loadIndex(offsets, op.getMap(*op.getOffsetMutable().begin()));
    else if (op.getAlignment() == Alignment::BottomRight)
      offset = math.sub(kvLen, extent(Dim::m));
    firstPosition = math.add(offset, range(Dim::m).offset);
    positions = buildPositions();
  }

  /// The element of a per-batch operand for this task.
  OpFoldResult loadIndex(Value tensor, AffineMap map) {
    SmallVector<Value> indices;
    if (hasDim(map, Dim::b))
      indices.push_back(math.value(range(Dim::b).offset));
    Value element = tensor::ExtractOp::create(b, loc, tensor, indices);
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), element).getResult();
  }

  /// The position of each row of the tile, as i32.
  Value buildPositions() {
    Value first = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(firstPosition));
    Value empty = tensor::EmptyOp::create(b, loc, rowTileSizes(), b.getI32Type());
    unsigned rank = rowDims.size();
    auto generic =
        linalg::GenericOp::create(b, loc, empty.getType(), ValueRange{}, empty, b.getMultiDimIdentityMap(rank),
                                  SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
                                  [&](OpBuilder &nested, Location l, ValueRange) {
                                    Value position = first;
                                    for (auto [loop, dim] : llvm::enumerate(rowDims))
                                      if (dim == Dim::m) {
                                        Value row = linalg::IndexOp::create(nested, l, loop);
                                        row = arith::IndexCastOp::create(nested, l, nested.getI32Type(), row);
                                        position = arith::AddIOp::create(nested, l, first, row);
                                      }
                                    linalg::YieldOp::create(nested, l, position);
                                  });
    return flattenRows(generic.getResult(0), b.getI32IntegerAttr(0));
  }

  //===-- Keys ----------------------------------------------------------------------------------------------------===//

  /// Runs over the keys in [begin, end): first the blocks in which every row sees every key, then the others.
  SoftmaxState buildKeyLoops(OpFoldResult begin, OpFoldResult end) {
    MappedTensor query = loadRows({op.getQuery(), op.getQueryMap()}, {Dim::dqk});
    OpFoldResult lastPosition = math.add(math.add(firstPosition, range(Dim::m).size), -1);
    OpFoldResult low = begin, high = math.min(end, kvLen);
    OpFoldResult fullLow = low, fullHigh = high;
    auto boundAbove = [&](int64_t distance) {
      high = math.min(high, math.add(lastPosition, distance + 1));
      fullHigh = math.min(fullHigh, math.add(firstPosition, distance + 1));
    };
    if (op.getCausal())
      boundAbove(0);
    if (op.getWindowRight())
      boundAbove(clampDistance(*op.getWindowRight()));
    if (op.getWindowLeft()) {
      int64_t left = clampDistance(*op.getWindowLeft());
      low = math.max(low, math.add(firstPosition, -left));
      fullLow = math.max(fullLow, math.add(lastPosition, -left));
    }
    int64_t n = schedule.getN();
    OpFoldResult blockLow = math.floorDiv(low, n);
    OpFoldResult blockHigh = math.max(math.ceilDiv(high, n), blockLow);
    OpFoldResult fullBlockLow = math.min(math.ceilDiv(fullLow, n), blockHigh);
    OpFoldResult fullBlockHigh = math.max(math.floorDiv(math.min(fullHigh, high), n), fullBlockLow);

    SoftmaxState state = buildInitialState(b, loc, accMap, rowMap, accSizes(), rowSizes());
    state = buildBlockLoop(fullBlockLow, fullBlockHigh, state, [&](Value block, const SoftmaxState &current) {
      range(Dim::n) = {math.mul(block, n), math.constant(n), n};
      return buildBlock(query, current, /*isEdge=*/false);
    });
    if (!hasEdges())
      return state;

    // Edge blocks lie on both sides of the full ones; one loop runs over both.
    OpFoldResult leftEdges = math.sub(fullBlockLow, blockLow);
    OpFoldResult edges = math.add(leftEdges, math.sub(blockHigh, fullBlockHigh));
    OpFoldResult skipped = math.sub(fullBlockHigh, fullBlockLow);
    return buildBlockLoop(math.constant(0), edges, state, [&](Value edge, const SoftmaxState &current) {
      Value isRight = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, edge, math.value(leftEdges));
      Value skip = arith::SelectOp::create(b, loc, isRight, math.value(skipped), math.value(math.constant(0)));
      OpFoldResult start = math.mul(math.add(math.add(edge, skip), blockLow), n);
      OpFoldResult size = math.max(math.min(math.constant(n), math.sub(high, start)), math.constant(0));
      range(Dim::n) = {start, size, n};
      return buildBlock(query, current, /*isEdge=*/true);
    });
  }

  static int64_t clampDistance(int64_t distance) { return std::min<int64_t>(distance, 1 << 30); }

  /// Whether some block may need masks by position or padding.
  bool hasEdges() {
    std::optional<int64_t> keys = getConstantIntValue(keyExtent);
    return op.isMaskedByPosition() || op.getKvLen() || !keys || *keys % schedule.getN() != 0;
  }

  SoftmaxState buildBlockLoop(OpFoldResult begin, OpFoldResult end, const SoftmaxState &init,
                              function_ref<SoftmaxState(Value, const SoftmaxState &)> body) {
    auto loop = scf::ForOp::create(b, loc, math.value(begin), math.value(end), math.value(math.constant(1)),
                                   ValueRange{init.acc.tensor, init.max.tensor, init.sum.tensor});
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    ValueRange args = loop.getRegionIterArgs();
    SoftmaxState state = body(loop.getInductionVar(), {{args[0], accMap}, {args[1], rowMap}, {args[2], rowMap}});
    scf::YieldOp::create(b, loc, ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor});
    return {{loop.getResult(0), accMap}, {loop.getResult(1), rowMap}, {loop.getResult(2), rowMap}};
  }

  /// gqa.online_attention on the block that range(n) selects.
  SoftmaxState buildBlock(MappedTensor query, const SoftmaxState &state, bool isEdge) {
    SmallVector<Value> operands = {query.tensor};
    SmallVector<AffineMap> blockMaps = {query.map};
    SmallVector<int32_t> segments = {1};
    auto addOptional = [&](std::optional<MappedTensor> operand) {
      segments.push_back(operand ? 1 : 0);
      if (!operand)
        return;
      operands.push_back(operand->tensor);
      blockMaps.push_back(operand->map);
    };
    addOptional(loadTile({op.getKey(), op.getKeyMap()}, {Dim::n, Dim::dqk}));
    addOptional(loadTile({op.getValue(), op.getValueMap()}, {Dim::n, Dim::dv}));
    addOptional(loadScoreOperand(op.getBias(), op.getBiasMutable()));
    addOptional(loadScoreOperand(op.getMask(), op.getMaskMutable()));
    addOptional(isEdge ? std::optional(buildKeyBound()) : std::nullopt);
    bool isMasked = isEdge && op.isMaskedByPosition();
    addOptional(isMasked ? std::optional(MappedTensor{positions, rowMap}) : std::nullopt);
    segments.push_back(3);
    for (const MappedTensor &output : {state.acc, state.max, state.sum}) {
      operands.push_back(output.tensor);
      blockMaps.push_back(output.map);
    }
    segments.push_back(isEdge ? 1 : 0);
    if (isEdge)
      operands.push_back(math.value(range(Dim::n).offset));

    SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(blockMaps)),
                                              b.getNamedAttr("scale", op.getScaleAttr()),
                                              b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
    auto copyAttribute = [&](StringRef name, bool condition) {
      if (Attribute attribute = condition ? op->getAttr(name) : Attribute())
        attributes.push_back(b.getNamedAttr(name, attribute));
    };
    copyAttribute("softcap", true);
    for (StringRef name : {"causal", "window_left", "window_right"})
      copyAttribute(name, isMasked);
    if (schedule.getDot())
      attributes.push_back(b.getNamedAttr("dot", b.getUnitAttr()));

    TypeRange types = ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor}.getTypes();
    auto online = OnlineAttentionOp::create(b, loc, types, operands, attributes);
    return {{online.getResult(0), accMap}, {online.getResult(1), rowMap}, {online.getResult(2), rowMap}};
  }

  /// The end of the keys, as the rank-0 kv_len of a block. It stands for the padding of the block, too.
  MappedTensor buildKeyBound() {
    OpFoldResult end = math.add(range(Dim::n).offset, range(Dim::n).size);
    Value bound = arith::IndexCastOp::create(b, loc, b.getI32Type(), math.value(end));
    return {tensor::FromElementsOp::create(b, loc, RankedTensorType::get({}, b.getI32Type()), bound), dimsMap({})};
  }

  //===-- Tiles ---------------------------------------------------------------------------------------------------===//

  /// The task's part of `operand`, in the order of `dims`, padded with zeros to the tile's extents.
  MappedTensor loadTile(MappedTensor operand, ArrayRef<Dim> dims) {
    SmallVector<OpFoldResult> offsets, sizes, strides, keptSizes;
    SmallVector<int64_t> padded;
    SmallVector<Dim> kept;
    bool needsPadding = false;
    for (Dim dim : getDims(operand.map)) {
      const TileRange &part = range(dim);
      offsets.push_back(part.offset);
      sizes.push_back(part.size);
      strides.push_back(math.constant(1));
      if (!llvm::is_contained(dims, dim))
        continue;
      kept.push_back(dim);
      keptSizes.push_back(part.size);
      padded.push_back(part.extent);
      needsPadding |= getConstantIntValue(part.size) != part.extent;
    }
    Type elementType = cast<RankedTensorType>(operand.tensor.getType()).getElementType();
    auto type = RankedTensorType::get(dropUnits(keptSizes), elementType);
    Value tile = tensor::ExtractSliceOp::create(b, loc, type, operand.tensor, offsets, sizes, strides);
    tile = needsPadding ? padTo(tile, keptSizes, padded) : restoreUnits(tile, padded);
    return transpose({tile, dimsMap(kept)}, dims);
  }

  /// `tile` in the lower corner of a tensor of zeros.
  Value pad(Value tile, ArrayRef<int64_t> extents) { return padTo(tile, tensor::getMixedSizes(b, loc, tile), extents); }

  /// `tile` has `sizes`, of which static 1s may have been dropped.
  Value padTo(Value tile, ArrayRef<OpFoldResult> sizes, ArrayRef<int64_t> extents) {
    Type elementType = cast<RankedTensorType>(tile.getType()).getElementType();
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(elementType));
    Value empty = tensor::EmptyOp::create(b, loc, extents, elementType);
    Value zeros = linalg::FillOp::create(b, loc, zero, empty).getResult(0);
    SmallVector<OpFoldResult> offsets(extents.size(), math.constant(0)), strides(extents.size(), math.constant(1));
    return tensor::InsertSliceOp::create(b, loc, tile, zeros, offsets, sizes, strides);
  }

  /// The sizes that a slice keeps: all but static 1s. Dropping some of several unit dimensions would leave open which,
  /// and memref.subview can tell them apart only by strides that are not known.
  static SmallVector<int64_t> dropUnits(ArrayRef<OpFoldResult> sizes) {
    SmallVector<int64_t> kept;
    for (OpFoldResult size : sizes)
      if (std::optional<int64_t> constant = getConstantIntValue(size); constant != 1)
        kept.push_back(constant.value_or(ShapedType::kDynamic));
    return kept;
  }

  /// Gives a tile without unit dimensions its static `extents` back.
  Value restoreUnits(Value tile, ArrayRef<int64_t> extents) {
    auto type = cast<RankedTensorType>(tile.getType());
    if (type.getRank() == static_cast<int64_t>(extents.size()))
      return tile;
    auto full = RankedTensorType::get(extents, type.getElementType());
    SmallVector<ReassociationIndices> groups(type.getRank());
    int64_t group = -1;
    for (auto [i, extent] : llvm::enumerate(extents)) {
      if (extent != 1)
        ++group;
      if (!groups.empty())
        groups[std::max<int64_t>(group, 0)].push_back(static_cast<int64_t>(i));
    }
    return tensor::ExpandShapeOp::create(b, loc, full, tile, groups);
  }

  /// `tile` with its dimensions in the order of `dims`, broadcast along those that it does not have.
  MappedTensor transpose(MappedTensor tile, ArrayRef<Dim> dims) {
    AffineMap map = dimsMap(dims);
    if (tile.map == map)
      return tile;
    SmallVector<int64_t> extents = llvm::map_to_vector(dims, [&](Dim dim) { return range(dim).extent; });
    Type elementType = cast<RankedTensorType>(tile.tensor.getType()).getElementType();
    Value empty = tensor::EmptyOp::create(b, loc, extents, elementType);
    Value result =
        buildGeneric(b, loc, tile, {empty, map}, [](OpBuilder &, Location, ValueRange args) { return args[0]; });
    return {result, map};
  }

  /// The task's rows of `operand` with g and m flattened to one dimension `m`, then `innerDims`.
  MappedTensor loadRows(MappedTensor operand, ArrayRef<Dim> innerDims) {
    SmallVector<Dim> present(rowDims);
    llvm::erase_if(present, [&](Dim dim) { return !hasDim(operand.map, dim); });
    llvm::append_range(present, innerDims);
    MappedTensor tile = loadTile(operand, present);
    SmallVector<Dim> all(rowDims);
    llvm::append_range(all, innerDims);
    Type elementType = cast<RankedTensorType>(operand.tensor.getType()).getElementType();
    SmallVector<Dim> flat = {Dim::m};
    llvm::append_range(flat, innerDims);
    return {flattenRows(transpose(tile, all).tensor, b.getZeroAttr(elementType)), dimsMap(flat)};
  }

  /// [rowDims..., inner...] -> [rows, inner...], with rows that no query row fills set to `padding`.
  Value flattenRows(Value tile, Attribute padding) {
    auto type = cast<RankedTensorType>(tile.getType());
    SmallVector<int64_t> extents(type.getShape().drop_front(rowDims.size()));
    int64_t rows = schedule.getG() * schedule.getM();
    if (rowDims.size() != 1)
      tile = reshape(tile, rows, extents);
    extents.insert(extents.begin(), schedule.getRows());
    if (rows == schedule.getRows())
      return tile;
    return pad(tile, extents);
  }

  /// Collapses two leading row dimensions, or adds one of extent 1 where the query has none.
  Value reshape(Value tile, int64_t rows, ArrayRef<int64_t> inner) {
    SmallVector<int64_t> extents = {rows};
    llvm::append_range(extents, inner);
    auto type = RankedTensorType::get(extents, cast<RankedTensorType>(tile.getType()).getElementType());
    SmallVector<ReassociationIndices> groups;
    if (rowDims.empty()) {
      if (inner.empty())
        return tensor::ExpandShapeOp::create(b, loc, type, tile, groups);
      groups.push_back({0, 1});
      for (size_t i = 1; i < inner.size(); ++i)
        groups.push_back({static_cast<int64_t>(i) + 1});
      return tensor::ExpandShapeOp::create(b, loc, type, tile, groups);
    }
    groups.push_back({0, 1});
    for (size_t i = 0; i < inner.size(); ++i)
      groups.push_back({static_cast<int64_t>(i) + 2});
    return tensor::CollapseShapeOp::create(b, loc, type, tile, groups);
  }

  /// A bias or mask: what varies over rows gets the rows' layout, what does not stays as it is.
  std::optional<MappedTensor> loadScoreOperand(Value tensor, MutableOperandRange operand) {
    if (!tensor)
      return std::nullopt;
    MappedTensor mapped{tensor, op.getMap(*operand.begin())};
    SmallVector<Dim> inner;
    if (hasDim(mapped.map, Dim::n))
      inner.push_back(Dim::n);
    if (hasDim(mapped.map, Dim::g) || hasDim(mapped.map, Dim::m))
      return loadRows(mapped, inner);
    return loadTile(mapped, inner);
  }

  //===-- Results -------------------------------------------------------------------------------------------------===//

  void insertResults(const SoftmaxState &state, ValueRange destinations) {
    auto emptyTile = [&](ArrayRef<Dim> dims, ArrayRef<int64_t> extents, Value like) -> MappedTensor {
      Type elementType = cast<RankedTensorType>(like.getType()).getElementType();
      return {tensor::EmptyOp::create(b, loc, extents, elementType), dimsMap(dims)};
    };
    std::optional<MappedTensor> sink, lse;
    if (op.getSink())
      sink = loadRows({op.getSink(), op.getMap(*op.getSinkMutable().begin())}, {});
    if (op.getLse())
      lse = emptyTile({Dim::m}, {schedule.getRows()}, op.getLse());
    MappedTensor output = emptyTile({Dim::m, Dim::dv}, {schedule.getRows(), dv}, op.getOutput());
    FinalResults results = buildFinalResults(b, loc, state, sink, output, lse);
    insertRows(results.output, {Dim::dv}, destinations[0], op.getOutputMap());
    if (lse)
      insertRows(results.lse, {}, destinations[1], op.getMap(op.getOutputsMutable()[1]));
  }

  /// Writes the rows of `tile` that are query rows into `destination`.
  void insertRows(Value tile, ArrayRef<Dim> innerDims, Value destination, AffineMap map) {
    SmallVector<Dim> dims(rowDims);
    llvm::append_range(dims, innerDims);
    Value expanded = expandRows(tile, innerDims);
    SmallVector<Dim> kept =
        llvm::filter_to_vector(getDims(map), [&](Dim dim) { return llvm::is_contained(dims, dim); });
    Value ordered = transpose({expanded, dimsMap(dims)}, kept).tensor;

    SmallVector<OpFoldResult> offsets, sizes, innerOffsets, innerSizes;
    for (Dim dim : getDims(map)) {
      offsets.push_back(range(dim).offset);
      sizes.push_back(range(dim).size);
      if (llvm::is_contained(kept, dim)) {
        innerOffsets.push_back(math.constant(0));
        innerSizes.push_back(range(dim).size);
      }
    }
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1)), innerStrides(kept.size(), math.constant(1));
    Type elementType = cast<RankedTensorType>(ordered.getType()).getElementType();
    auto type = RankedTensorType::get(dropUnits(innerSizes), elementType);
    Value valid = tensor::ExtractSliceOp::create(b, loc, type, ordered, innerOffsets, innerSizes, innerStrides);
    insertions.push_back(
        [=] { tensor::ParallelInsertSliceOp::create(b, loc, valid, destination, offsets, sizes, strides); });
  }

  /// [rows, inner...] -> [rowDims..., inner...].
  Value expandRows(Value tile, ArrayRef<Dim> innerDims) {
    auto type = cast<RankedTensorType>(tile.getType());
    int64_t rows = schedule.getG() * schedule.getM();
    SmallVector<int64_t> inner(type.getShape().drop_front(1));
    if (rows != schedule.getRows()) {
      SmallVector<OpFoldResult> offsets(type.getRank(), math.constant(0)), strides(type.getRank(), math.constant(1));
      SmallVector<OpFoldResult> sizes = {math.constant(rows)};
      for (int64_t extent : inner)
        sizes.push_back(math.constant(extent));
      tile = tensor::ExtractSliceOp::create(b, loc, tile, offsets, sizes, strides);
    }
    if (rowDims.size() == 1)
      return tile;
    SmallVector<int64_t> extents;
    for (Dim dim : rowDims)
      extents.push_back(range(dim).extent);
    llvm::append_range(extents, inner);
    auto expanded = RankedTensorType::get(extents, type.getElementType());
    SmallVector<ReassociationIndices> groups;
    if (rowDims.empty()) {
      if (!inner.empty()) {
        groups.push_back({0, 1});
        for (size_t i = 1; i < inner.size(); ++i)
          groups.push_back({static_cast<int64_t>(i) + 1});
      }
      return tensor::CollapseShapeOp::create(b, loc, expanded, tile, groups);
    }
    groups.push_back({0, 1});
    for (size_t i = 0; i < inner.size(); ++i)
      groups.push_back({static_cast<int64_t>(i) + 2});
    return tensor::ExpandShapeOp::create(b, loc, expanded, tile, groups);
  }

  //===-- Partial results -----------------------------------------------------------------------------------------===//

  /// Inserts a tile into [tasks..., split, tile...].
  void insertPartial(Value tile, Value destination, ValueRange ids) {
    SmallVector<OpFoldResult> offsets = getAsOpFoldResult(ids);
    SmallVector<OpFoldResult> sizes(ids.size(), math.constant(1));
    SmallVector<OpFoldResult> tileSizes = tensor::getMixedSizes(b, loc, tile);
    offsets.append(tileSizes.size(), math.constant(0));
    llvm::append_range(sizes, tileSizes);
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
    insertions.push_back(
        [=] { tensor::ParallelInsertSliceOp::create(b, loc, tile, destination, offsets, sizes, strides); });
  }

  /// The [split, tile...] part of a task.
  Value extractPartials(Value partials, ValueRange ids) {
    auto type = cast<RankedTensorType>(partials.getType());
    SmallVector<OpFoldResult> offsets = getAsOpFoldResult(ids), sizes(ids.size(), math.constant(1));
    SmallVector<OpFoldResult> all = tensor::getMixedSizes(b, loc, partials);
    offsets.append(type.getRank() - ids.size(), math.constant(0));
    llvm::append_range(sizes, ArrayRef(all).drop_front(ids.size()));
    SmallVector<OpFoldResult> strides(offsets.size(), math.constant(1));
    auto result = RankedTensorType::get(type.getShape().drop_front(ids.size()), type.getElementType());
    return tensor::ExtractSliceOp::create(b, loc, result, partials, offsets, sizes, strides);
  }

  //===-- Shapes --------------------------------------------------------------------------------------------------===//

  AffineMap dimsMap(ArrayRef<Dim> dims) { return getDimsMap(op.getContext(), dims); }
  OpFoldResult extent(Dim dim) { return extents[static_cast<unsigned>(dim)]; }
  TileRange &range(Dim dim) { return ranges[static_cast<unsigned>(dim)]; }

  SmallVector<OpFoldResult> rowSizes() { return {math.constant(schedule.getRows())}; }
  SmallVector<OpFoldResult> accSizes() {
    SmallVector<OpFoldResult> sizes = {math.constant(dv), math.constant(schedule.getRows())};
    if (schedule.getLanes() == Lanes::HeadDim)
      std::swap(sizes[0], sizes[1]);
    return sizes;
  }
  SmallVector<OpFoldResult> rowTileSizes() {
    return llvm::map_to_vector(rowDims, [&](Dim dim) { return math.constant(range(dim).extent); });
  }

  RewriterBase &b;
  Location loc;
  AttentionOp op;
  IndexMath math;
  ScheduleAttr schedule;
  SmallVector<AffineMap> maps;
  SmallVector<OpFoldResult> extents;
  OpFoldResult keyExtent;
  SmallVector<Dim> rowDims;
  AffineMap accMap, rowMap;
  int64_t dqk, dv;

  // The task that is being built.
  SmallVector<TileRange> ranges;
  OpFoldResult kvLen;
  OpFoldResult firstPosition;
  Value positions;
  SmallVector<std::function<void()>> insertions;
};

/// What this pass needs from a schedule beyond what the attribute verifies.
LogicalResult checkSchedule(AttentionOp op) {
  std::optional<ScheduleAttr> schedule = op.getSchedule();
  if (!schedule)
    return op.emitOpError() << "has no schedule; run gqa-select-schedule first";
  if (hasDim(op.getKeyMap(), Dim::g) && schedule->getG() != 1)
    return op.emitOpError() << "schedule puts g = " << schedule->getG()
                            << " query heads into one tile, but key lists g, so it must be 1";
  return success();
}

struct TileAttention : impl::TileAttentionBase<TileAttention> {
  void runOnOperation() override {
    SmallVector<AttentionOp> ops;
    getOperation().walk([&](AttentionOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    SmallVector<Attribute> scoreShapes;
    for (AttentionOp op : ops) {
      if (failed(checkSchedule(op)))
        return signalPassFailure();
      if (!hasScoreSizedOperand(op))
        scoreShapes.push_back(getScoreShape(op));
      rewriter.setInsertionPoint(op);
      rewriter.replaceOp(op, Tiler(rewriter, op).tile());
    }
    if (!scoreShapes.empty())
      getOperation()->setAttr("gqa.score_shapes", rewriter.getArrayAttr(scoreShapes));
  }

private:
  /// A bias or mask per head, row and key, as ALiBi needs it, is as large as the scores by itself.
  static bool hasScoreSizedOperand(AttentionOp op) {
    for (auto [tensor, map] : llvm::zip_equal(op.getOperands(), op.getMaps()))
      if ((tensor == op.getBias() || tensor == op.getMask()) && hasDim(map, Dim::m) && hasDim(map, Dim::n) &&
          (hasDim(map, Dim::hkv) || hasDim(map, Dim::g)))
        return true;
    return false;
  }

  /// The extents of [b, hkv, g, m, n], for gqa-verify-no-kv-expansion.
  static Attribute getScoreShape(AttentionOp op) {
    SmallVector<int64_t> shape;
    for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n})
      shape.push_back(getStaticExtent(op.getMaps(), op.getOperands(), dim));
    return DenseI64ArrayAttr::get(op.getContext(), shape);
  }
};

} // namespace
} // namespace mlir::gqa
