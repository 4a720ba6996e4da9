// Through ops that move elements of tensors.

#include "passes/raise/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace mlir::gqa::raise {

ExprRef Tracer::expandTensorOp(Operation *op, ExprRef load) {
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp>(op))
    return expandReshape(op->getOperand(0), load);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return isa<RankedTensorType>(cast.getSource().getType()) ? getLoad(cast.getSource(), load->operands, load->shape)
                                                             : nullptr;
  if (isa<tensor::ConcatOp, tensor::InsertSliceOp, tensor::PadOp>(op))
    return expandPieces(op, load);
  if (isa<tensor::GatherOp>(op))
    return expandGather(op, load);
  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return getScalar(splat.getInput());
  if (auto elements = dyn_cast<tensor::FromElementsOp>(op))
    return elements.getElements().size() == 1 ? getScalar(elements.getElements()[0]) : nullptr;
  if (auto generate = dyn_cast<tensor::GenerateOp>(op)) {
    Scope scope;
    for (auto [argument, index] : llvm::zip_equal(generate.getBody().getArguments(), load->operands))
      scope[argument] = index;
    return evaluate(generate.getBody().front().getTerminator()->getOperand(0), scope, {});
  }
  DenseElementsAttr constant;
  if (matchPattern(op, m_Constant(&constant)))
    return expandConstant(constant, load);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    Indices indices;
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    auto *next = load->operands.begin();
    Type indexType = IndexType::get(exprs.getContext());
    for (unsigned dim = 0, rank = slice.getSourceType().getRank(); dim < rank; ++dim) {
      int64_t stride = slice.getStaticStride(dim);
      if (ShapedType::isDynamic(stride))
        return nullptr;
      ExprRef index = dropped[dim] ? exprs.getNumber(0, indexType) : exprs.scaleIndex(*next++, stride);
      ExprRef offset = slice.isDynamicOffset(dim) ? getScalar(slice.getDynamicOffset(dim))
                                                  : exprs.getNumber(slice.getStaticOffset(dim), indexType);
      indices.push_back(exprs.addIndex(index, offset));
    }
    return getLoad(slice.getSource(), indices);
  }
  return nullptr;
}

//===-- Constants -------------------------------------------------------------------------------------------------===//

/// A constant that is the same everywhere, or a simple function of one index.
ExprRef Tracer::expandConstant(DenseElementsAttr elements, ExprRef load) {
  auto getValue = [&](Attribute attribute) {
    if (auto number = dyn_cast<FloatAttr>(attribute))
      return number.getValueAsDouble();
    auto number = cast<IntegerAttr>(attribute);
    return static_cast<double>(number.getType().isInteger(1) ? static_cast<int64_t>(number.getValue().getZExtValue())
                                                             : number.getValue().getSExtValue());
  };
  if (!elements.getElementType().isIntOrIndexOrFloat())
    return nullptr;
  if (elements.isSplat())
    return exprs.getNumber(getValue(elements.getSplatValue<Attribute>()), load->type);
  std::optional<unsigned> dim;
  for (auto [position, extent] : llvm::enumerate(elements.getType().getShape())) {
    if (extent == 1)
      continue;
    if (dim || extent > (1 << 20))
      return nullptr;
    dim = position;
  }
  SmallVector<double> values;
  for (Attribute value : elements.getValues<Attribute>())
    values.push_back(getValue(value));
  return dim ? fitSequence(values, load->operands[*dim], load->type) : nullptr;
}

//===-- Tensors put together of pieces ----------------------------------------------------------------------------===//

namespace {

/// A part of a tensor along one dimension.
struct Piece {
  int64_t offset, size;
  Value source;
};

} // namespace

/// Whether index - offset is within [0, size): known to be, known not to be, or open.
static std::optional<bool> isWithin(Exprs &exprs, Loops &loops, ExprRef index, int64_t offset, int64_t size) {
  std::optional<Linear> linear = exprs.getLinear(index);
  if (!linear)
    return std::nullopt;
  auto [least, greatest] = loops.getRange(*linear);
  if (least && greatest && *least >= offset && *greatest < offset + size)
    return true;
  if ((greatest && *greatest < offset) || (least && *least >= offset + size))
    return false;
  return std::nullopt;
}

ExprRef Tracer::expandPieces(Operation *op, ExprRef load) {
  SmallVector<Piece> pieces;
  unsigned dim = 0;
  Type indexType = IndexType::get(exprs.getContext());
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    Value fill = pad.getConstantPaddingValue();
    if (!fill || !pad.getSourceType().hasStaticShape() || !pad.getResultType().hasStaticShape())
      return nullptr;
    Indices indices;
    for (auto [index, lowPad, extent] :
         llvm::zip_equal(load->operands, pad.getMixedLowPad(), pad.getSourceType().getShape())) {
      std::optional<int64_t> low = getConstantIntValue(lowPad);
      std::optional<bool> isInside = low ? isWithin(exprs, loops, index, *low, extent) : std::nullopt;
      if (!isInside)
        return nullptr;
      if (!*isInside)
        return getScalar(fill);
      indices.push_back(exprs.addIndex(index, exprs.getNumber(-*low, indexType)));
    }
    return getLoad(pad.getSource(), indices);
  }
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    dim = concat.getDim();
    int64_t offset = 0;
    for (Value source : concat.getInputs()) {
      int64_t size = cast<RankedTensorType>(source.getType()).getDimSize(dim);
      if (ShapedType::isDynamic(size))
        return nullptr;
      pieces.push_back({offset, size, source});
      offset += size;
    }
  } else {
    // A chain of insertions side by side along one dimension, the last one first.
    auto insert = cast<tensor::InsertSliceOp>(op);
    RankedTensorType type = insert.getType();
    if (insert.getSourceType().getRank() != type.getRank() || !insert.hasUnitStride() || !type.hasStaticShape())
      return nullptr;
    dim = type.getRank();
    for (unsigned i = 0; i < type.getRank(); ++i)
      if (insert.getSourceType().getDimSize(i) != type.getDimSize(i)) {
        if (dim != type.getRank())
          return nullptr;
        dim = i;
      }
    if (dim == type.getRank())
      return getLoad(insert.getSource(), load->operands);
    if (insert.isDynamicOffset(dim))
      return nullptr;
    int64_t offset = insert.getStaticOffset(dim), size = insert.getSourceType().getDimSize(dim);
    if (std::optional<bool> isInside = isWithin(exprs, loops, load->operands[dim], offset, size)) {
      if (!*isInside)
        return getLoad(insert.getDest(), load->operands);
      Indices indices(load->operands);
      indices[dim] = exprs.addIndex(indices[dim], exprs.getNumber(-offset, indexType));
      return getLoad(insert.getSource(), indices);
    }
    for (Value value = insert; auto link = value.getDefiningOp<tensor::InsertSliceOp>(); value = link.getDest()) {
      bool isAlike =
          link.getSourceType() == insert.getSourceType() && link.hasUnitStride() && !link.isDynamicOffset(dim);
      if (!isAlike || pieces.size() * size >= static_cast<size_t>(type.getDimSize(dim)))
        break;
      pieces.insert(pieces.begin(), {link.getStaticOffset(dim), size, link.getSource()});
    }
    llvm::sort(pieces, [](const Piece &a, const Piece &b) { return a.offset < b.offset; });
    if (pieces.size() * size != static_cast<size_t>(type.getDimSize(dim)))
      return nullptr;
  }
  // One piece, if the index stays within it.
  bool isEven = true;
  for (auto [number, piece] : llvm::enumerate(pieces)) {
    Indices indices(load->operands);
    indices[dim] = exprs.addIndex(indices[dim], exprs.getNumber(-piece.offset, indexType));
    if (isWithin(exprs, loops, load->operands[dim], piece.offset, piece.size) == true)
      return getLoad(piece.source, indices);
    isEven &= piece.size == pieces[0].size && piece.offset == static_cast<int64_t>(number) * piece.size;
  }
  if (!isEven || pieces.size() < 2)
    return nullptr;
  // All pieces, if they are one function of the number of the piece.
  ExprRef within = exprs.getRemainder(load->operands[dim], pieces[0].size, Split::even);
  ExprRef number = exprs.divideIndex(load->operands[dim], pieces[0].size, Split::even);
  if (!exprs.getLinear(within) || !exprs.getLinear(number))
    return nullptr;
  SmallVector<ExprRef> values;
  for (const Piece &piece : pieces) {
    Indices indices(load->operands);
    indices[dim] = within;
    values.push_back(expandAll(getLoad(piece.source, indices)));
  }
  return mergePieces(values, number);
}

//===-- Gathers ---------------------------------------------------------------------------------------------------===//

ExprRef Tracer::expandGather(Operation *op, ExprRef load) {
  auto gather = cast<tensor::GatherOp>(op);
  int64_t batchRank = gather.getIndicesType().getRank() - 1;
  ArrayRef<int64_t> dims = gather.getGatherDims();
  ArrayRef<ExprRef> rest = ArrayRef(load->operands).drop_front(batchRank);
  bool keepsUnits = load->operands.size() == static_cast<size_t>(batchRank + gather.getSourceType().getRank());
  Indices indices;
  for (int64_t dim = 0; dim < gather.getSourceType().getRank(); ++dim) {
    const auto *place = llvm::find(dims, dim);
    if (place == dims.end() || keepsUnits) {
      if (rest.empty())
        return nullptr;
      indices.push_back(rest.front());
      rest = rest.drop_front();
    }
    if (place == dims.end())
      continue;
    Indices position(ArrayRef(load->operands).take_front(batchRank));
    position.push_back(exprs.getNumber(place - dims.begin(), IndexType::get(exprs.getContext())));
    ExprRef index = expandAll(getLoad(gather.getIndices(), position));
    if (keepsUnits)
      indices.back() = index;
    else
      indices.push_back(index);
  }
  return getLoad(gather.getSource(), indices);
}

} // namespace mlir::gqa::raise
