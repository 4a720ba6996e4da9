#include "passes/RepeatedHeads.h"

#include "passes/TraceElement.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::gqa {

namespace {

/// The heads of an operand: how many, and at which coordinates.
struct Heads {
  std::optional<unsigned> hkv, g; // dimensions of the operand
  int64_t count, perGroup;

  static std::optional<Heads> get(RankedTensorType type, AffineMap map) {
    Heads heads = {getDimPosition(map, Dim::hkv), getDimPosition(map, Dim::g), 1, 1};
    if (heads.g)
      heads.perGroup = type.getDimSize(*heads.g);
    int64_t groups = heads.hkv ? type.getDimSize(*heads.hkv) : 1;
    if (ShapedType::isDynamic(groups) || ShapedType::isDynamic(heads.perGroup))
      return std::nullopt;
    heads.count = groups * heads.perGroup;
    return heads;
  }

  /// Any element of head `head`.
  Element getElement(TypedValue<RankedTensorType> operand, int64_t head) const {
    Element element = {operand, {}};
    for (int64_t dim = 0; dim < operand.getType().getRank(); ++dim)
      element.at.push_back(Coordinate::anywhereAlong(dim));
    if (hkv)
      element.at[*hkv] = Coordinate::number(head / perGroup);
    if (g)
      element.at[*g] = Coordinate::number(head % perGroup);
    return element;
  }
};

/// Where each head is found in one tensor on the way back.
using Places = SmallVector<SmallVector<Coordinate>>;

/// The only dimension along which the heads differ, or -1 if they are all one; nothing if they differ otherwise.
std::optional<int64_t> findHeadDim(const Places &places) {
  int64_t headDim = -1;
  for (size_t dim = 0; dim < places.front().size(); ++dim) {
    bool isSame = llvm::all_of(places, [&](const auto &place) { return place[dim] == places.front()[dim]; });
    if (isSame)
      continue;
    if (headDim >= 0 || !llvm::all_of(places, [&](const auto &place) { return place[dim].isNumber(); }))
      return std::nullopt;
    headDim = dim;
  }
  return headDim;
}

/// `source` as what the heads at `places` repeat, if they do so in order.
std::optional<RepeatedHeads> matchRepeat(TypedValue<RankedTensorType> source, const Places &places, AffineMap map,
                                         bool hasUnitBatch) {
  std::optional<int64_t> headDim = findHeadDim(places);
  if (!headDim)
    return std::nullopt;
  int64_t count = places.size(), shared = *headDim < 0 ? 1 : source.getType().getDimSize(*headDim);
  if (shared <= 0 || shared >= count || count % shared != 0)
    return std::nullopt;
  RepeatedHeads repeated = {source, {}, {}, count / shared};
  for (auto [head, place] : llvm::enumerate(places))
    if (*headDim >= 0 && place[*headDim].value != static_cast<int64_t>(head) / repeated.group)
      return std::nullopt;

  SmallVector<Dim> operandDims = getDims(map), dims;
  bool lacksBatch = llvm::none_of(places.front(), [&](Coordinate coordinate) {
    return !coordinate.isNumber() && operandDims[coordinate.value] == Dim::b;
  });
  for (auto [dim, coordinate] : llvm::enumerate(places.front())) {
    bool isHead = static_cast<int64_t>(dim) == *headDim;
    bool isKept = isHead || !coordinate.isNumber();
    if (!isKept && source.getType().getDimSize(dim) != 1)
      return std::nullopt;
    // A batch of one got lost where a reshape merged it with the heads; any unit dimension will do.
    bool isBatch = !isKept && lacksBatch && hasUnitBatch;
    lacksBatch &= !isBatch;
    // A unit dimension that has no name joins its neighbour.
    if (repeated.groups.empty() || ((isKept || isBatch) && !dims.empty()))
      repeated.groups.emplace_back();
    repeated.groups.back().push_back(dim);
    if (isKept || isBatch)
      dims.push_back(isHead ? Dim::hkv : isBatch ? Dim::b : operandDims[coordinate.value]);
  }
  // All but the heads must be there once; a batch may be shared.
  for (Dim dim : operandDims) {
    int64_t listed = llvm::count(dims, dim);
    bool mayLack = dim == Dim::hkv || dim == Dim::g || dim == Dim::b;
    if (listed > 1 || (listed == 0 && !mayLack))
      return std::nullopt;
  }
  repeated.map = getDimsMap(source.getContext(), dims);
  return repeated;
}

} // namespace

Value RepeatedHeads::build(OpBuilder &builder) const {
  if (static_cast<int64_t>(groups.size()) == cast<RankedTensorType>(source.getType()).getRank())
    return source;
  return tensor::CollapseShapeOp::create(builder, source.getLoc(), source, groups);
}

std::optional<RepeatedHeads> findRepeatedHeads(Value operand, AffineMap map) {
  auto tensor = cast<TypedValue<RankedTensorType>>(operand);
  std::optional<Heads> heads = Heads::get(tensor.getType(), map);
  if (!heads)
    return std::nullopt;
  llvm::MapVector<Value, Places> places;
  for (int64_t head = 0; head < heads->count; ++head)
    for (std::optional<Element> element = heads->getElement(tensor, head); element; element = traceBack(*element))
      places[element->tensor].push_back(element->at);

  std::optional<unsigned> batch = getDimPosition(map, Dim::b);
  bool hasUnitBatch = batch && tensor.getType().getDimSize(*batch) == 1;
  std::optional<RepeatedHeads> best;
  for (const auto &[source, found] : places) {
    if (static_cast<int64_t>(found.size()) != heads->count)
      continue;
    std::optional<RepeatedHeads> repeated =
        matchRepeat(cast<TypedValue<RankedTensorType>>(source), found, map, hasUnitBatch);
    if (repeated && (!best || repeated->group > best->group))
      best = repeated;
  }
  return best;
}

} // namespace mlir::gqa
