// Through reshapes, and to where extents come from.

#include "passes/raise/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::gqa::raise {

//===-- Extents ---------------------------------------------------------------------------------------------------===//

ExprRef Tracer::getExtent(Value tensor, unsigned dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return exprs.getNumber(type.getDimSize(dim), IndexType::get(exprs.getContext()));
  Operation *op = tensor.getDefiningOp();
  if (auto destination = dyn_cast_or_null<DestinationStyleOpInterface>(op))
    return getExtent(destination.getDpsInitOperand(cast<OpResult>(tensor).getResultNumber())->get(), dim);
  if (auto empty = dyn_cast_or_null<tensor::EmptyOp>(op))
    return getScalar(empty.getDynamicSize(dim));
  if (auto cast = dyn_cast_or_null<tensor::CastOp>(op); cast && isa<RankedTensorType>(cast.getSource().getType()))
    return getExtent(cast.getSource(), dim);
  if (auto reshape = dyn_cast_or_null<tensor::ReshapeOp>(op)) {
    if (auto shape = reshape.getShape().getDefiningOp<tensor::FromElementsOp>())
      return getScalar(shape.getElements()[dim]);
  } else if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    unsigned kept = 0;
    for (unsigned sourceDim = 0; sourceDim < dropped.size(); ++sourceDim)
      if (!dropped[sourceDim] && kept++ == dim && slice.isDynamicSize(sourceDim))
        return getScalar(slice.getDynamicSize(sourceDim));
  } else if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op)) {
    if (Value size = dyn_cast<Value>(expand.getMixedOutputShape()[dim]))
      return getScalar(size);
  } else if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op)) {
    ReassociationIndices group = collapse.getReassociationIndices()[dim];
    ExprRef product = getExtent(collapse.getSrc(), group[0]);
    for (int64_t part : ArrayRef(group).drop_front()) {
      ExprRef extent = getExtent(collapse.getSrc(), part);
      product = exprs.getOp<arith::MulIOp>({product, extent}, extent->type);
    }
    return product;
  }
  return exprs.getExtent(tensor, dim);
}

bool Tracer::haveSameExtent(Value a, unsigned aDim, Value b, unsigned bDim) {
  ExprRef left = getExtent(a, aDim), right = getExtent(b, bDim);
  return left && right && isEqual(skipCasts(left), skipCasts(right), loops);
}

//===-- Reshapes --------------------------------------------------------------------------------------------------===//

namespace {

int64_t getProduct(ArrayRef<int64_t> extents) {
  int64_t product = 1;
  for (int64_t extent : extents) {
    if (ShapedType::isDynamic(extent))
      return ShapedType::kDynamic;
    product *= extent;
  }
  return product;
}

/// Dimensions [sourceBegin, sourceEnd) of one shape hold the elements of [resultBegin, resultEnd) of another one.
struct Segment {
  unsigned sourceBegin, sourceEnd, resultBegin, resultEnd;
};

/// Cuts a reshape into the smallest segments whose numbers of elements are the same on both sides. Of two dynamic
/// dimensions `isSame` says whether they are equal; if nothing else is left, they must be.
SmallVector<Segment> alignShapes(ArrayRef<int64_t> source, ArrayRef<int64_t> result,
                                 llvm::function_ref<bool(unsigned, unsigned)> isSame) {
  SmallVector<Segment> front, back;
  unsigned i = 0, j = 0, iEnd = source.size(), jEnd = result.size();
  // From both ends, while extents are static.
  auto alignFront = [&] {
    while (i < iEnd && j < jEnd) {
      unsigned a = i + 1, b = j + 1;
      int64_t left = source[i], right = result[j];
      while (!ShapedType::isDynamic(left) && !ShapedType::isDynamic(right) && left != right) {
        if (left < right ? a == iEnd : b == jEnd)
          return;
        int64_t &smaller = left < right ? left : right;
        int64_t next = left < right ? source[a++] : result[b++];
        smaller = ShapedType::isDynamic(next) ? next : smaller * next;
      }
      bool isEqual = left == right && (!ShapedType::isDynamic(left) || (a == i + 1 && b == j + 1 && isSame(i, j)));
      if (!isEqual)
        return;
      front.push_back({i, a, j, b});
      i = a;
      j = b;
    }
  };
  auto alignBack = [&] {
    while (i < iEnd && j < jEnd) {
      unsigned a = iEnd - 1, b = jEnd - 1;
      int64_t left = source[a], right = result[b];
      while (!ShapedType::isDynamic(left) && !ShapedType::isDynamic(right) && left != right) {
        if (left < right ? a == i : b == j)
          return;
        int64_t &smaller = left < right ? left : right;
        int64_t next = left < right ? source[--a] : result[--b];
        smaller = ShapedType::isDynamic(next) ? next : smaller * next;
      }
      bool isEqual =
          left == right && (!ShapedType::isDynamic(left) || (a == iEnd - 1 && b == jEnd - 1 && isSame(a, b)));
      if (!isEqual)
        return;
      back.push_back({a, iEnd, b, jEnd});
      iEnd = a;
      jEnd = b;
    }
  };
  alignFront();
  alignBack();
  if (i < iEnd || j < jEnd)
    front.push_back({i, iEnd, j, jEnd});
  front.append(back.rbegin(), back.rend());
  return front;
}

} // namespace

/// A reshape in row-major order: within each segment, the index runs through both sides alike.
ExprRef Tracer::expandReshape(Value source, ExprRef load) {
  auto type = dyn_cast<RankedTensorType>(source.getType());
  if (!type)
    return nullptr;
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<Segment> segments;
  Operation *op = load->value.getDefiningOp();
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    for (auto [dim, group] : llvm::enumerate(collapse.getReassociationIndices()))
      segments.push_back({unsigned(group.front()), unsigned(group.back() + 1), unsigned(dim), unsigned(dim + 1)});
  } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    for (auto [dim, group] : llvm::enumerate(expand.getReassociationIndices()))
      segments.push_back({unsigned(dim), unsigned(dim + 1), unsigned(group.front()), unsigned(group.back() + 1)});
  } else {
    segments = alignShapes(type.getShape(), load->shape, [&](unsigned sourceDim, unsigned resultDim) {
      return haveSameExtent(source, sourceDim, load->value, resultDim);
    });
  }
  Indices indices(shape.size(), nullptr);
  ExprRef zero = exprs.getNumber(0, IndexType::get(exprs.getContext()));
  for (Segment segment : segments) {
    MutableArrayRef<int64_t> extents =
        MutableArrayRef(shape).slice(segment.sourceBegin, segment.sourceEnd - segment.sourceBegin);
    ArrayRef<int64_t> resultExtents =
        ArrayRef(load->shape).slice(segment.resultBegin, segment.resultEnd - segment.resultBegin);
    // One unknown extent follows from the others.
    int64_t total = getProduct(resultExtents);
    if (!ShapedType::isDynamic(total) && llvm::count(extents, ShapedType::kDynamic) == 1) {
      int64_t known = 1;
      for (int64_t extent : extents)
        known *= ShapedType::isDynamic(extent) ? 1 : extent;
      if (known == 0 || total % known != 0)
        return nullptr;
      *llvm::find(extents, ShapedType::kDynamic) = total / known;
    }
    // A dynamic extent inside a segment has no place among constant strides.
    auto isStrided = [](ArrayRef<int64_t> dims) {
      return dims.empty() || !ShapedType::isDynamic(getProduct(dims.drop_front()));
    };
    // Dimensions of extent 1 in front do not matter.
    unsigned skipped = 0, skippedResults = 0;
    while (skipped < extents.size() && extents[skipped] == 1)
      indices[segment.sourceBegin + skipped++] = zero;
    while (skippedResults < resultExtents.size() && resultExtents[skippedResults] == 1)
      ++skippedResults;
    extents = extents.drop_front(skipped);
    resultExtents = resultExtents.drop_front(skippedResults);
    if (!isStrided(extents) || !isStrided(resultExtents))
      return nullptr;
    ExprRef position = zero;
    for (auto [dim, extent] : llvm::enumerate(resultExtents)) {
      if (dim > 0)
        position = exprs.scaleIndex(position, extent);
      position = exprs.addIndex(position, load->operands[segment.resultBegin + skippedResults + dim]);
    }
    unsigned begin = segment.sourceBegin + skipped;
    for (unsigned dim = extents.size(); dim-- > 1;) {
      indices[begin + dim] = exprs.getRemainder(position, extents[dim], Split::assumed);
      position = exprs.divideIndex(position, extents[dim], Split::assumed);
      // What cannot be cut is no index of the source.
      if (!exprs.getLinear(indices[begin + dim]) || !exprs.getLinear(position))
        return nullptr;
    }
    if (!extents.empty())
      indices[begin] = position;
  }
  // A tensor of no dimensions has no segments.
  for (auto [index, extent] : llvm::zip_equal(indices, shape))
    if (!index && extent == 1)
      index = zero;
  if (llvm::is_contained(indices, nullptr))
    return nullptr;
  return getLoad(source, indices, shape);
}

} // namespace mlir::gqa::raise
