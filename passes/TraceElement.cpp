#include "passes/TraceElement.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

namespace mlir::gqa {

namespace {

using Coordinates = SmallVector<Coordinate>;

/// Steps that one trace may take: far more than code for 128 heads needs, and a bound for code made to be costly.
constexpr int kMaxSteps = 1 << 14;

struct Tracer {
  int steps = 0;

  std::optional<Element> traceBack(const Element &element) {
    Operation *op = element.tensor.getDefiningOp();
    if (!op || ++steps > kMaxSteps)
      return std::nullopt;
    if (auto cast = dyn_cast<tensor::CastOp>(op))
      return makeElement(cast.getSource(), element.at);
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
      return traceCollapse(collapse, element.at);
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      return traceExpand(expand, element.at);
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
      return traceSlice(slice, element.at);
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      return traceInsert(insert, element.at);
    if (auto concat = dyn_cast<tensor::ConcatOp>(op))
      return traceConcat(concat, element.at);
    if (auto gather = dyn_cast<tensor::GatherOp>(op))
      return traceGather(gather, element.at);
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
      return traceLinalg(linalgOp, cast<OpResult>(Value(element.tensor)).getResultNumber(), element.at);
    return std::nullopt;
  }

private:
  static std::optional<Element> makeElement(Value tensor, ArrayRef<Coordinate> at) {
    auto ranked = dyn_cast<TypedValue<RankedTensorType>>(tensor);
    if (!ranked || ranked.getType().getRank() != static_cast<int64_t>(at.size()))
      return std::nullopt;
    for (auto [extent, coordinate] : llvm::zip_equal(ranked.getType().getShape(), at))
      if (coordinate.isNumber() &&
          (coordinate.value < 0 || (!ShapedType::isDynamic(extent) && coordinate.value >= extent)))
        return std::nullopt; // outside: undefined, so nothing to rely on
    return Element{ranked, Coordinates(at)};
  }

  //===-- Reshapes ------------------------------------------------------------------------------------------------===//

  static std::optional<Element> traceCollapse(tensor::CollapseShapeOp op, ArrayRef<Coordinate> at) {
    ArrayRef<int64_t> shape = op.getSrcType().getShape();
    Coordinates source(shape.size(), Coordinate::number(0));
    for (auto [coordinate, group] : llvm::zip_equal(at, op.getReassociationIndices())) {
      if (!coordinate.isNumber()) {
        // Only the part that is longer than 1 can vary.
        SmallVector<int64_t> longer(group.begin(), group.end());
        llvm::erase_if(longer, [&](int64_t dim) { return shape[dim] == 1; });
        if (longer.size() > 1)
          return std::nullopt;
        source[longer.empty() ? group.front() : longer.front()] = coordinate;
        continue;
      }
      int64_t rest = coordinate.value;
      for (int64_t dim : llvm::reverse(ArrayRef<int64_t>(group).drop_front())) {
        if (ShapedType::isDynamic(shape[dim]) || shape[dim] == 0)
          return std::nullopt;
        source[dim] = Coordinate::number(rest % shape[dim]);
        rest /= shape[dim];
      }
      source[group.front()] = Coordinate::number(rest);
    }
    return makeElement(op.getSrc(), source);
  }

  static std::optional<Element> traceExpand(tensor::ExpandShapeOp op, ArrayRef<Coordinate> at) {
    ArrayRef<int64_t> shape = op.getResultType().getShape();
    Coordinates source;
    for (const ReassociationIndices &group : op.getReassociationIndices()) {
      std::optional<Coordinate> merged = mergeCoordinates(group, shape, at);
      if (!merged)
        return std::nullopt;
      source.push_back(*merged);
    }
    return makeElement(op.getSrc(), source);
  }

  /// The position along a dimension that is expanded to the dimensions of `group`.
  static std::optional<Coordinate> mergeCoordinates(ArrayRef<int64_t> group, ArrayRef<int64_t> shape,
                                                    ArrayRef<Coordinate> at) {
    SmallVector<int64_t> longer(group.begin(), group.end());
    llvm::erase_if(longer, [&](int64_t dim) { return shape[dim] == 1; });
    if (longer.empty()) {
      const int64_t *varying = llvm::find_if(group, [&](int64_t dim) { return !at[dim].isNumber(); });
      return at[varying == group.end() ? group.front() : *varying];
    }
    if (longer.size() == 1)
      return at[longer.front()];
    int64_t position = 0;
    for (int64_t dim : longer) {
      if (!at[dim].isNumber() || (dim != longer.front() && ShapedType::isDynamic(shape[dim])))
        return std::nullopt;
      position = position * (dim == longer.front() ? 1 : shape[dim]) + at[dim].value;
    }
    return Coordinate::number(position);
  }

  //===-- Slices --------------------------------------------------------------------------------------------------===//

  /// Whether `size` is the whole extent of dimension `dim` of `tensor`.
  static bool isWhole(Value tensor, int64_t dim, OpFoldResult size) {
    int64_t extent = cast<RankedTensorType>(tensor.getType()).getDimSize(dim);
    if (std::optional<int64_t> constant = getConstantIntValue(size); constant && !ShapedType::isDynamic(extent))
      return *constant == extent;
    FailureOr<bool> areEqual = ValueBoundsConstraintSet::areEqual(ValueBoundsConstraintSet::Variable(tensor, dim),
                                                                  ValueBoundsConstraintSet::Variable(size));
    return succeeded(areEqual) && *areEqual;
  }

  static std::optional<Element> traceSlice(tensor::ExtractSliceOp op, ArrayRef<Coordinate> at) {
    llvm::SmallBitVector dropped = op.getDroppedDims();
    Coordinates source;
    const Coordinate *next = at.begin();
    for (int64_t dim = 0; dim < op.getSourceType().getRank(); ++dim) {
      Coordinate coordinate = dropped.test(dim) ? Coordinate::number(0) : *next++;
      std::optional<int64_t> offset = getConstantIntValue(op.getMixedOffsets()[dim]);
      std::optional<int64_t> stride = getConstantIntValue(op.getMixedStrides()[dim]);
      if (!offset || !stride)
        return std::nullopt;
      if (coordinate.isNumber())
        source.push_back(Coordinate::number(*offset + coordinate.value * *stride));
      else if (*offset == 0 && *stride == 1 && isWhole(op.getSource(), dim, op.getMixedSizes()[dim]))
        source.push_back(coordinate);
      else
        return std::nullopt;
    }
    return makeElement(op.getSource(), source);
  }

  static std::optional<Element> traceInsert(tensor::InsertSliceOp op, ArrayRef<Coordinate> at) {
    llvm::SmallBitVector dropped = op.getDroppedDims();
    Coordinates source;
    bool isKnown = true;
    for (auto [dim, coordinate] : llvm::enumerate(at)) {
      std::optional<int64_t> offset = getConstantIntValue(op.getMixedOffsets()[dim]);
      std::optional<int64_t> size = getConstantIntValue(op.getMixedSizes()[dim]);
      std::optional<int64_t> stride = getConstantIntValue(op.getMixedStrides()[dim]);
      Coordinate local = coordinate;
      if (coordinate.isNumber() && offset && size && stride == 1) {
        if (coordinate.value < *offset || coordinate.value >= *offset + *size)
          return makeElement(op.getDest(), at); // outside the slice, wherever it is along the others
        local.value -= *offset;
      } else {
        isKnown &=
            !coordinate.isNumber() && offset == 0 && stride == 1 && isWhole(op.getDest(), dim, op.getMixedSizes()[dim]);
      }
      if (!dropped.test(dim))
        source.push_back(local);
    }
    return isKnown ? makeElement(op.getSource(), source) : std::nullopt;
  }

  static std::optional<Element> traceConcat(tensor::ConcatOp op, ArrayRef<Coordinate> at) {
    Coordinates local(at);
    Coordinate &along = local[op.getDim()];
    if (!along.isNumber())
      return std::nullopt;
    for (Value input : op.getInputs()) {
      int64_t extent = cast<RankedTensorType>(input.getType()).getDimSize(op.getDim());
      if (ShapedType::isDynamic(extent))
        return std::nullopt;
      if (along.value < extent)
        return makeElement(input, local);
      along.value -= extent;
    }
    return std::nullopt;
  }

  //===-- Indices -------------------------------------------------------------------------------------------------===//

  std::optional<Element> traceGather(tensor::GatherOp op, ArrayRef<Coordinate> at) {
    int64_t leading = op.getIndicesType().getRank() - 1, rank = op.getSourceType().getRank();
    ArrayRef<int64_t> gathered = op.getGatherDims();
    bool keepsUnits = op.getResultType().getRank() == leading + rank;
    Coordinates index(at.take_front(leading)), source;
    index.push_back(Coordinate::number(0));
    const Coordinate *next = at.begin() + leading;
    for (int64_t dim = 0; dim < rank; ++dim) {
      const int64_t *position = llvm::find(gathered, dim);
      if (position == gathered.end()) {
        source.push_back(*next++);
        continue;
      }
      next += keepsUnits;
      index.back() = Coordinate::number(position - gathered.begin());
      std::optional<Element> element = makeElement(op.getIndices(), index);
      std::optional<Coordinate> coordinate = element ? evaluateElement(*element) : std::nullopt;
      if (!coordinate)
        return std::nullopt;
      source.push_back(*coordinate);
    }
    return makeElement(op.getSource(), source);
  }

  /// An elementwise op at one point of its loops.
  struct Point {
    linalg::LinalgOp op;
    Coordinates loops;

    std::optional<Element> getInput(OpOperand &input) {
      AffineMap map = op.getMatchingIndexingMap(&input);
      Coordinates at;
      for (AffineExpr expr : map.getResults()) {
        if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
          at.push_back(loops[dim.getPosition()]);
          continue;
        }
        SmallVector<AffineExpr> numbers;
        for (auto [loop, coordinate] : llvm::enumerate(loops)) {
          if (!coordinate.isNumber() && expr.isFunctionOfDim(loop))
            return std::nullopt;
          numbers.push_back(getAffineConstantExpr(coordinate.value, map.getContext()));
        }
        auto number = dyn_cast<AffineConstantExpr>(simplifyAffineExpr(expr.replaceDims(numbers), 0, 0));
        if (!number)
          return std::nullopt;
        at.push_back(Coordinate::number(number.getValue()));
      }
      return makeElement(input.get(), at);
    }
  };

  static std::optional<Point> getPoint(linalg::LinalgOp op, unsigned result, ArrayRef<Coordinate> at) {
    AffineMap map = op.getIndexingMapMatchingResult(op->getResult(result));
    if (!op.hasPureTensorSemantics() || !map.isPermutation())
      return std::nullopt;
    Point point = {op, Coordinates(at)};
    for (auto [dim, expr] : llvm::enumerate(map.getResults()))
      point.loops[cast<AffineDimExpr>(expr).getPosition()] = at[dim];
    return point;
  }

  std::optional<Element> traceLinalg(linalg::LinalgOp op, unsigned result, ArrayRef<Coordinate> at) {
    std::optional<Point> point = getPoint(op, result, at);
    return point ? traceScalar(op.getBlock()->getTerminator()->getOperand(result), *point) : std::nullopt;
  }

  /// The element of a tensor that `scalar`, in the body of `point.op`, is.
  std::optional<Element> traceScalar(Value scalar, Point &point) {
    if (auto argument = dyn_cast<BlockArgument>(scalar)) {
      if (argument.getOwner() != point.op.getBlock() || argument.getArgNumber() >= point.op.getNumDpsInputs())
        return std::nullopt;
      return point.getInput(*point.op.getDpsInputOperand(argument.getArgNumber()));
    }
    auto extract = scalar.getDefiningOp<tensor::ExtractOp>();
    if (!extract)
      return std::nullopt;
    Coordinates at;
    for (Value index : extract.getIndices()) {
      std::optional<Coordinate> coordinate = evaluate(index, point);
      if (!coordinate)
        return std::nullopt;
      at.push_back(*coordinate);
    }
    return makeElement(extract.getTensor(), at);
  }

  /// An integer in the body of `point.op`.
  std::optional<Coordinate> evaluate(Value value, Point &point) {
    if (IntegerAttr constant; matchPattern(value, m_Constant(&constant)))
      return toCoordinate(constant);
    if (++steps > kMaxSteps)
      return std::nullopt;
    if (std::optional<Element> element = traceScalar(value, point))
      return evaluateElement(*element);
    Operation *op = value.getDefiningOp();
    if (!op)
      return std::nullopt;
    if (auto index = dyn_cast<linalg::IndexOp>(op); index && index->getParentOp() == point.op)
      return point.loops[index.getDim()];
    SmallVector<Attribute> operands;
    for (Value operand : op->getOperands()) {
      std::optional<Coordinate> coordinate = evaluate(operand, point);
      if (!coordinate)
        return std::nullopt;
      if (!coordinate->isNumber())
        return isa<arith::IndexCastOp>(op) ? coordinate : std::nullopt;
      operands.push_back(IntegerAttr::get(operand.getType(), coordinate->value));
    }
    SmallVector<OpFoldResult> results;
    if (!isPure(op) || op->getNumRegions() > 0 || failed(op->fold(operands, results)) || results.size() != 1)
      return std::nullopt;
    if (auto folded = dyn_cast<Value>(results.front()))
      return evaluate(folded, point);
    return toCoordinate(dyn_cast<IntegerAttr>(cast<Attribute>(results.front())));
  }

  static std::optional<Coordinate> toCoordinate(IntegerAttr number) {
    if (!number || number.getValue().getBitWidth() > 64)
      return std::nullopt;
    return Coordinate::number(number.getValue().getSExtValue());
  }

  /// An element of a tensor of integers.
  std::optional<Coordinate> evaluateElement(Element element) {
    while (true) {
      if (!isa<IntegerType, IndexType>(element.tensor.getType().getElementType()))
        return std::nullopt;
      if (DenseIntElementsAttr constant; matchPattern(Value(element.tensor), m_Constant(&constant)))
        return readConstant(constant, element);
      auto op = element.tensor.getDefiningOp<linalg::LinalgOp>();
      if (!op) {
        std::optional<Element> next = traceBack(element);
        if (!next)
          return std::nullopt;
        element = *next;
        continue;
      }
      unsigned result = cast<OpResult>(Value(element.tensor)).getResultNumber();
      std::optional<Point> point = getPoint(op, result, element.at);
      return point ? evaluate(op.getBlock()->getTerminator()->getOperand(result), *point) : std::nullopt;
    }
  }

  static std::optional<Coordinate> readConstant(DenseIntElementsAttr constant, const Element &element) {
    SmallVector<uint64_t> index;
    for (Coordinate coordinate : element.at) {
      if (!coordinate.isNumber() && !constant.isSplat())
        return std::nullopt;
      index.push_back(coordinate.isNumber() ? coordinate.value : 0);
    }
    APInt number = constant.isSplat() ? constant.getSplatValue<APInt>() : constant.getValues<APInt>()[index];
    return Coordinate::number(number.getSExtValue());
  }
};

} // namespace

std::optional<Element> traceBack(const Element &element) { return Tracer().traceBack(element); }

} // namespace mlir::gqa
