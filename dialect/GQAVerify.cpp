// The numbered constraints of the op descriptions in GQAOps.td; each check names its constraint.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/ShortProducts.h"

#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// What the tables in GQAOps.td say of one operand.
struct OperandRule {
  StringRef name;
  Value tensor;
  SmallVector<Dim> required;
  SmallVector<Dim> allowed;
  enum Elements { Float, Stored, F32, Bool, Integer, I32 } elements;
};

/// Elements that scales go with.
bool isQuantised(Type type) { return type.isSignlessInteger(8) || isa<Float8E4M3FNType>(type); }

bool hasElements(Type type, OperandRule::Elements elements) {
  switch (elements) {
  case OperandRule::Float:
    return type.isF32() || type.isF16() || type.isBF16();
  case OperandRule::Stored:
    return hasElements(type, OperandRule::Float) || isQuantised(type);
  case OperandRule::F32:
    return type.isF32();
  case OperandRule::Bool:
    return type.isSignlessInteger(1) || type.isSignlessInteger(8);
  case OperandRule::Integer:
    return type.isSignlessInteger(32) || type.isSignlessInteger(64);
  case OperandRule::I32:
    return type.isSignlessInteger(32);
  }
  llvm_unreachable("all kinds are handled");
}

StringRef describe(OperandRule::Elements elements) {
  switch (elements) {
  case OperandRule::Float:
    return "f32, f16 or bf16";
  case OperandRule::Stored:
    return "f32, f16, bf16, i8 or f8E4M3FN";
  case OperandRule::F32:
    return "f32";
  case OperandRule::Bool:
    return "i1 or i8";
  case OperandRule::Integer:
    return "i32 or i64";
  case OperandRule::I32:
    return "i32";
  }
  llvm_unreachable("all kinds are handled");
}

/// C1, C2, C3 for one operand.
LogicalResult verifyOperand(Operation *op, AffineMap map, const OperandRule &rule) {
  auto type = cast<RankedTensorType>(rule.tensor.getType());
  if (map.getNumDims() != kNumDims || map.getNumSymbols() != 0 || !map.isProjectedPermutation())
    return op->emitOpError() << "map of '" << rule.name << "' must be a projected permutation of the " << kNumDims
                             << " dimensions, got " << AffineMapAttr::get(map) << " (C1)";
  if (static_cast<int64_t>(map.getNumResults()) != type.getRank())
    return op->emitOpError() << "'" << rule.name << "' lists " << map.getNumResults() << " dimensions "
                             << printDims(map) << " but has rank " << type.getRank() << " (C1)";
  for (Dim dim : rule.required)
    if (!hasDim(map, dim))
      return op->emitOpError() << "'" << rule.name << "' must list dimension " << getDimName(dim) << ", got "
                               << printDims(map) << " (C2)";
  for (Dim dim : getDims(map))
    if (!llvm::is_contained(rule.required, dim) && !llvm::is_contained(rule.allowed, dim))
      return op->emitOpError() << "'" << rule.name << "' may not list dimension " << getDimName(dim) << ", got "
                               << printDims(map) << " (C2)";
  if (!hasElements(type.getElementType(), rule.elements))
    return op->emitOpError() << "'" << rule.name << "' must have elements of " << describe(rule.elements) << ", got "
                             << type.getElementType() << " (C3)";
  return success();
}

/// C4: the extents that the types show agree.
LogicalResult verifyExtents(Operation *op, ArrayRef<AffineMap> maps, ArrayRef<OperandRule> rules) {
  for (unsigned i = 0; i < kNumDims; ++i) {
    Dim dim = static_cast<Dim>(i);
    std::optional<std::pair<int64_t, StringRef>> seen;
    for (auto [map, rule] : llvm::zip_equal(maps, rules)) {
      std::optional<unsigned> position = getDimPosition(map, dim);
      int64_t extent =
          position ? cast<RankedTensorType>(rule.tensor.getType()).getDimSize(*position) : ShapedType::kDynamic;
      if (ShapedType::isDynamic(extent))
        continue;
      if (seen && seen->first != extent)
        return op->emitOpError() << "dimension " << getDimName(dim) << " is " << seen->first << " in '" << seen->second
                                 << "' but " << extent << " in '" << rule.name << "' (C4)";
      seen = {extent, rule.name};
    }
  }
  return success();
}

/// C1: the number of maps, which all accessors of maps rely on.
LogicalResult verifyMapCount(Operation *op, size_t maps, size_t tensors) {
  if (maps == tensors)
    return success();
  return op->emitOpError() << "has " << tensors << " tensor operands but " << maps << " indexing maps (C1)";
}

/// C1 to C4 for all operands. `rules[i]` belongs to `maps[i]`; query, key and value come first.
LogicalResult verifyOperands(Operation *op, ArrayRef<AffineMap> maps, ArrayRef<OperandRule> rules) {
  for (auto [map, rule] : llvm::zip_equal(maps, rules))
    if (failed(verifyOperand(op, map, rule)))
      return failure();
  for (auto [map, rule] : llvm::zip_equal(maps, rules))
    for (Dim dim : {Dim::b, Dim::hkv, Dim::g, Dim::m})
      if (hasDim(map, dim) && !hasDim(maps.front(), dim))
        return op->emitOpError() << "'" << rule.name << "' lists dimension " << getDimName(dim)
                                 << ", which 'query' does not, got " << printDims(map) << " and "
                                 << printDims(maps.front()) << " (C2)";
  AffineMap keyMap = maps[1], valueMap = maps[2];
  if (hasDim(keyMap, Dim::g) != hasDim(valueMap, Dim::g))
    return op->emitOpError() << "'key' " << printDims(keyMap) << " and 'value' " << printDims(valueMap)
                             << " must both list g or neither (C2)";
  return verifyExtents(op, maps, rules);
}

/// C14 of one operand: `row` counts bytes of two elements of `elements` each.
LogicalResult verifyPackedRow(Operation *op, StringRef name, Value tensor, AffineMap map, Dim row, int64_t elements) {
  std::optional<unsigned> position = getDimPosition(map, row);
  if (!position)
    return success();
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.getElementType().isSignlessInteger(8))
    return op->emitOpError() << "'" << name << "' lists " << getDimName(row)
                             << " and must have elements of i8, which hold two of 4 bits, got " << type.getElementType()
                             << " (C14)";
  int64_t bytes = type.getDimSize(*position);
  if (ShapedType::isDynamic(bytes) || 2 * bytes != elements)
    return op->emitOpError() << "'" << name << "' must have half of the " << elements << " elements of a row along "
                             << getDimName(row) << ", got "
                             << (ShapedType::isDynamic(bytes) ? "?" : std::to_string(bytes)) << " (C14)";
  return success();
}

/// C14, C15.
template <typename OpTy> LogicalResult verifyQuantised(OpTy op, bool allowsFloats = false) {
  auto extent = [&](Dim dim) { return getStaticExtent(op.getMaps(), op.getTensors(), dim); };
  if (failed(verifyPackedRow(op, "key", op.getKey(), op.getKeyMap(), Dim::dqk2, extent(Dim::dqk))) ||
      failed(verifyPackedRow(op, "value", op.getValue(), op.getValueMap(), Dim::dv2, extent(Dim::dv))))
    return failure();
  std::tuple<StringRef, Value, StringRef, Value> pairs[] = {
      {"key_scale", op.getKeyScale(), "key", op.getKey()}, {"value_scale", op.getValueScale(), "value", op.getValue()}};
  for (auto [name, scale, scaledName, scaled] : pairs) {
    Type element = cast<RankedTensorType>(scaled.getType()).getElementType();
    if (scale && !isQuantised(element) && !allowsFloats)
      return op.emitOpError() << "'" << name << "' needs '" << scaledName
                              << "' to have elements of i8 or f8E4M3FN, got " << element << " (C15)";
  }
  return success();
}

/// The operands that every attention has, which the form in quotes may leave out.
template <typename OpTy> LogicalResult verifyRequiredOperands(OpTy op) {
  constexpr StringLiteral names[] = {"query", "key", "value"};
  for (auto [index, name] : llvm::enumerate(names))
    if (unsigned size = op.getODSOperandIndexAndLength(index).second; size != 1)
      return op.emitOpError() << "must have one '" << name << "', got " << size << " (C2)";
  return success();
}

/// C5: the extents that become constants of the code.
LogicalResult verifyStaticExtents(Operation *op, ArrayRef<AffineMap> maps, ValueRange tensors) {
  for (Dim dim : {Dim::hkv, Dim::g, Dim::dqk, Dim::dv})
    if (ShapedType::isDynamic(getStaticExtent(maps, tensors, dim)))
      return op->emitOpError() << "dimension " << getDimName(dim) << " must be static (C5)";
  for (Dim dim : {Dim::hkv, Dim::g, Dim::dqk, Dim::dv})
    if (getStaticExtent(maps, tensors, dim) == 0)
      return op->emitOpError() << "dimension " << getDimName(dim) << " must be positive, got 0 (C5)";
  return success();
}

/// C6, C8.
template <typename OpTy> LogicalResult verifyScores(OpTy op) {
  if (!op.getScale().isFinite())
    return op.emitOpError() << "scale must be finite, got " << op.getScaleAttr() << " (C6)";
  if (std::optional<APFloat> softcap = op.getSoftcap())
    if (!softcap->isFinite() || softcap->isNegative() || softcap->isZero())
      return op.emitOpError() << "softcap must be finite and positive, got " << op.getSoftcapAttr() << " (C6)";
  for (auto [name, extent] :
       {std::pair("window_left", op.getWindowLeft()), std::pair("window_right", op.getWindowRight())})
    if (extent && static_cast<int64_t>(*extent) < 0)
      return op.emitOpError() << name << " must not be negative, got " << static_cast<int64_t>(*extent) << " (C8)";
  return success();
}

/// C9, C11: one result per output, of its type.
template <typename OpTy> LogicalResult verifyResultTypes(OpTy op, StringRef constraint) {
  if (TypeRange(op.getOutputs()) == op.getResultTypes())
    return success();
  return op.emitOpError() << "result types (" << op.getResultTypes() << ") must be the types of the outputs ("
                          << TypeRange(op.getOutputs()) << ") (" << constraint << ")";
}

/// The dimensions among `dims` that `map` lists, in the order of `dims`.
SmallVector<Dim> restrict(AffineMap map, ArrayRef<Dim> dims) {
  return llvm::filter_to_vector(dims, [&](Dim dim) { return hasDim(map, dim); });
}

/// C2 of an output: the head and row dimensions of the query, and `extra`.
LogicalResult verifyOutputDims(Operation *op, StringRef name, AffineMap map, AffineMap queryMap) {
  Dim rowDims[] = {Dim::b, Dim::hkv, Dim::g, Dim::m};
  if (restrict(map, rowDims) == restrict(queryMap, rowDims))
    return success();
  return op->emitOpError() << "'" << name << "' must list the dimensions b, hkv, g, m that 'query' lists, "
                           << printDims(queryMap) << ", got " << printDims(map) << " (C2)";
}

/// Drops the rules of absent operands.
SmallVector<OperandRule> presentOnly(ArrayRef<OperandRule> rules) {
  return llvm::filter_to_vector(rules, [](const OperandRule &rule) { return rule.tensor != Value(); });
}

} // namespace

bool AttentionOp::readsCache() {
  auto isFloat = [](Value tensor) {
    return hasElements(cast<RankedTensorType>(tensor.getType()).getElementType(), OperandRule::Float);
  };
  return getBlockTable() || getLength() || !isFloat(getKey()) || !isFloat(getValue());
}

/// The dimension along which rows of `map` lie: `packed` where it lists that.
static Dim getRowDim(AffineMap map, Dim plain, Dim packed) { return hasDim(map, packed) ? packed : plain; }

/// The dimensions of gqa.attention's operands, from its table.
static SmallVector<OperandRule> getRules(AttentionOp op) {
  const SmallVector<Dim> scoreDims = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n};
  bool isPaged = static_cast<bool>(op.getBlockTable());
  SmallVector<Dim> keyDims = {Dim::n}, heads = {Dim::b, Dim::hkv, Dim::g}, scaleDims = {Dim::b, Dim::hkv, Dim::n};
  if (isPaged) {
    keyDims = {Dim::page, Dim::slot};
    heads = {Dim::hkv, Dim::g};
    scaleDims = {Dim::hkv, Dim::page, Dim::slot};
  }
  auto withRow = [](SmallVector<Dim> dims, Dim row) {
    dims.push_back(row);
    return dims;
  };
  Dim keyRow = getRowDim(op.getKeyMap(), Dim::dqk, Dim::dqk2),
      valueRow = getRowDim(op.getValueMap(), Dim::dv, Dim::dv2);
  SmallVector<OperandRule> rules = {
      {"query", op.getQuery(), {Dim::dqk}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::Float},
      {"key", op.getKey(), withRow(keyDims, keyRow), heads, OperandRule::Stored},
      {"value", op.getValue(), withRow(keyDims, valueRow), heads, OperandRule::Stored},
      {"bias", op.getBias(), {}, scoreDims, OperandRule::Float},
      {"mask", op.getMask(), {}, scoreDims, OperandRule::Bool},
      {"kv_len", op.getKvLen(), {}, {Dim::b}, OperandRule::Integer},
      {"offset", op.getOffset(), {}, {Dim::b}, OperandRule::Integer},
      {"sink", op.getSink(), {}, {Dim::hkv, Dim::g}, OperandRule::Float},
      {"block_table", op.getBlockTable(), {Dim::block}, {Dim::b}, OperandRule::I32},
      {"key_scale", op.getKeyScale(), {}, withRow(scaleDims, Dim::dqk), OperandRule::F32},
      {"value_scale", op.getValueScale(), {}, scaleDims, OperandRule::F32},
      {"length", op.getLength(), {}, {Dim::b}, OperandRule::Integer},
      {"output", op.getOutput(), {Dim::dv}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::Float}};
  if (Value lse = op.getLse())
    rules.push_back({"lse", lse, {}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::F32});
  return rules;
}

/// C13, and what C15 says of the dimensions of key_scale.
static LogicalResult verifyPages(AttentionOp op) {
  if (!op.getBlockTable()) {
    // An error that says what is missing, before the general one that the dimension may not be listed.
    for (OpOperand *operand : {&op.getKeyMutable(), &op.getValueMutable()})
      for (Dim dim : {Dim::page, Dim::slot})
        if (hasDim(op.getMap(*operand), dim))
          return op.emitOpError() << "'" << (operand == &op.getKeyMutable() ? "key" : "value") << "' lists "
                                  << getDimName(dim) << ", which needs 'block_table' (C13)";
    return success();
  }
  if (getStaticExtent(op.getMaps(), op.getTensors(), Dim::slot) == 0)
    return op.emitOpError() << "pages must have slots, got extent 0 of slot (C13)";
  return success();
}

static LogicalResult verifyScaleDims(AttentionOp op) {
  for (auto [name, range] : {std::pair<StringRef, MutableOperandRange>("key_scale", op.getKeyScaleMutable()),
                             std::pair<StringRef, MutableOperandRange>("value_scale", op.getValueScaleMutable())}) {
    if (range.empty())
      continue;
    AffineMap map = op.getMap(*range.begin());
    if (hasDim(map, Dim::page) != hasDim(map, Dim::slot))
      return op.emitOpError() << "'" << name << "' must list both page and slot or neither, got " << printDims(map)
                              << " (C13)";
    if (hasDim(map, Dim::dqk) && (hasDim(map, Dim::n) || hasDim(map, Dim::slot)))
      return op.emitOpError() << "'" << name << "' is per key or per channel, got both in " << printDims(map)
                              << " (C15)";
  }
  return success();
}

/// C16.
static LogicalResult verifyRing(AttentionOp op) {
  if (static_cast<bool>(op.getRingSlotsAttr()) != static_cast<bool>(op.getRingSinksAttr()))
    return op.emitOpError() << "needs both ring_sinks and ring_slots or neither (C16)";
  bool isRing = static_cast<bool>(op.getRingSlotsAttr());
  if (isRing != static_cast<bool>(op.getLength()))
    return op.emitOpError() << (isRing ? "ring needs 'length'" : "'length' has no meaning without ring") << " (C16)";
  if (!isRing)
    return success();
  if (op.getKvLen())
    return op.emitOpError() << "ring has 'length', from which kv_len follows, and takes no 'kv_len' (C16)";
  int64_t sinks = op.getRingSinksAttr().getInt(), slots = op.getRingSlotsAttr().getInt();
  if (sinks < 0 || slots <= 0)
    return op.emitOpError() << "ring needs sinks that are not negative and at least one slot, got " << sinks << " and "
                            << slots << " (C16)";
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyRequiredOperands(*this)))
    return failure();
  if (getOutputs().empty() || getOutputs().size() > 2)
    return emitOpError() << "must have one or two outputs, got " << getOutputs().size() << " (C9)";
  if (failed(verifyMapCount(*this, getMaps().size(), getNumOperands())) || failed(verifyPages(*this)) ||
      failed(verifyOperands(*this, getMaps(), presentOnly(getRules(*this)))))
    return failure();
  for (OpOperand &output : getOutputsMutable())
    if (failed(verifyOutputDims(*this, output.get() == getOutput() ? "output" : "lse", getMap(output), getQueryMap())))
      return failure();
  if (failed(verifyStaticExtents(*this, getMaps(), getTensors())) || failed(verifyScores(*this)) ||
      failed(verifyScaleDims(*this)) || failed(verifyQuantised(*this)) || failed(verifyRing(*this)))
    return failure();

  // C7
  if (isMaskedByPosition() && static_cast<bool>(getAlignment()) == static_cast<bool>(getOffset()))
    return emitOpError() << "causal and window need exactly one of 'align' and 'offset', got "
                         << (getOffset() ? "both" : "neither") << " (C7)";
  if (!isMaskedByPosition() && (getAlignment() || getOffset()))
    return emitOpError() << "'" << (getOffset() ? "offset" : "align") << "' has no meaning without causal or window"
                         << " (C7)";
  // C9
  return verifyResultTypes(*this, "C9");
}

/// C12. With acc[dv, m], products are of pairs of bf16; with acc[m, dv], they are for matrix units, which multiply all
/// floats, or bytes, in words of four.
static LogicalResult verifyDot(OnlineAttentionOp op) {
  if (!op.getDot())
    return op.getShorts() ? op.emitOpError() << "'shorts' needs 'dot' (C12)" : success();
  MLIRContext *context = op.getContext();
  auto getElement = [](Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); };
  bool isMatrix = op.getAccMap() == getDimsMap(context, {Dim::m, Dim::dv});
  bool isBytes = isMatrix && getElement(op.getKey()).isInteger(8) && getElement(op.getValue()).isInteger(8);
  std::tuple<StringRef, Value, AffineMap, SmallVector<Dim>> operands[] = {
      {"query", op.getQuery(), op.getQueryMap(), {Dim::m, Dim::dqk}},
      {"key",
       op.getKey(),
       op.getKeyMap(),
       {Dim::n, isBytes ? getRowDim(op.getKeyMap(), Dim::dqk, Dim::dqk2) : Dim::dqk}},
      {"value",
       op.getValue(),
       op.getValueMap(),
       {Dim::n, isBytes ? getRowDim(op.getValueMap(), Dim::dv, Dim::dv2) : Dim::dv}},
      {"acc",
       op.getOutputs()[0],
       isMatrix ? getDimsMap(context, {Dim::dv, Dim::m}) : op.getAccMap(),
       {Dim::dv, Dim::m}}};
  for (auto &[name, tensor, map, dims] : operands) {
    if (map != getDimsMap(context, dims))
      return op.emitOpError() << "'dot' needs '" << name << "' to list " << printDims(getDimsMap(context, dims))
                              << ", got " << printDims(map) << " (C12)";
    Type element = getElement(tensor);
    if (name != "acc" && !isBytes && !element.isBF16() && !(isMatrix && (element.isF16() || element.isF32())))
      return op.emitOpError() << "'dot' needs '" << name << "' to have elements of "
                              << (isMatrix ? "f16, bf16 or f32" : "bf16") << ", got " << element << " (C12)";
  }
  if (isBytes) {
    int64_t dqk = getStaticExtent(op.getMaps(), op.getOperands(), Dim::dqk);
    int64_t n = getStaticExtent(op.getMaps(), op.getOperands(), Dim::n);
    auto print = [](int64_t extent) { return ShapedType::isDynamic(extent) ? "?" : std::to_string(extent); };
    for (auto [name, extent] : {std::pair("dqk", dqk), {"n", n}})
      if (ShapedType::isDynamic(extent) || extent % 4 != 0)
        return op.emitOpError() << "'dot' of bytes needs static multiples of 4, got " << name << " = " << print(extent)
                                << " (C12)";
    if (op.getShorts() && (dqk % (kShortLanes * kShortsPerLane) != 0 || dqk > kMaxShortProducts))
      return op.emitOpError() << "'shorts' needs a multiple of " << kShortLanes * kShortsPerLane << " up to "
                              << kMaxShortProducts << ", got dqk = " << dqk << " (C12)";
    if (op.getShorts() && n > kMaxShortProducts)
      return op.emitOpError() << "'shorts' needs at most " << kMaxShortProducts << " keys, got n = " << n << " (C12)";
    return success();
  }
  if (op.getShorts())
    return op.emitOpError() << "'shorts' needs 'key' and 'value' of i8, got " << op.getKey().getType() << " and "
                            << op.getValue().getType() << " (C12)";
  for (int64_t extent : cast<RankedTensorType>(op.getKey().getType()).getShape())
    if (ShapedType::isDynamic(extent) || extent % 2 != 0)
      return op.emitOpError() << "'dot' needs even extents of key, got " << op.getKey().getType() << " (C12)";
  return success();
}

LogicalResult OnlineAttentionOp::verify() {
  if (failed(verifyRequiredOperands(*this)))
    return failure();
  const SmallVector<Dim> scoreDims = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n};
  const SmallVector<Dim> rowDims = {Dim::b, Dim::hkv, Dim::g, Dim::m};
  // C11
  if (getOutputs().size() != 3)
    return emitOpError() << "must have three outputs (acc, max, sum), got " << getOutputs().size() << " (C11)";
  if (failed(verifyMapCount(*this, getMaps().size(), getNumOperands() - (getKeyStart() ? 1 : 0))))
    return failure();
  Dim keyRow = getRowDim(getKeyMap(), Dim::dqk, Dim::dqk2), valueRow = getRowDim(getValueMap(), Dim::dv, Dim::dv2);
  SmallVector<OperandRule> rules = {
      {"query", getQuery(), {Dim::dqk}, rowDims, OperandRule::Float},
      {"key", getKey(), {Dim::n, keyRow}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Stored},
      {"value", getValue(), {Dim::n, valueRow}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Stored},
      {"bias", getBias(), {}, scoreDims, OperandRule::Float},
      {"mask", getMask(), {}, scoreDims, OperandRule::Bool},
      {"kv_len", getKvLen(), {}, {Dim::b}, OperandRule::I32},
      {"positions", getPositions(), {}, {Dim::b, Dim::g, Dim::m}, OperandRule::I32},
      {"key_scale", getKeyScale(), {}, {Dim::b, Dim::hkv, Dim::n}, OperandRule::F32},
      {"value_scale", getValueScale(), {}, {Dim::b, Dim::hkv, Dim::n}, OperandRule::F32},
      {"key_positions", getKeyPositions(), {Dim::n}, {Dim::b}, OperandRule::I32},
      {"acc", getOutputs()[0], {Dim::dv}, rowDims, OperandRule::F32},
      {"max", getOutputs()[1], {}, rowDims, OperandRule::F32},
      {"sum", getOutputs()[2], {}, rowDims, OperandRule::F32}};
  if (failed(verifyOperands(*this, getMaps(), presentOnly(rules))))
    return failure();
  StringRef names[] = {"acc", "max", "sum"};
  for (auto [name, output] : llvm::zip_equal(names, getOutputsMutable()))
    if (failed(verifyOutputDims(*this, name, getMap(output), getQueryMap())))
      return failure();
  if (failed(verifyStaticExtents(*this, getMaps(), getTensors())) || failed(verifyScores(*this)) ||
      failed(verifyQuantised(*this, /*allowsFloats=*/getDot())))
    return failure();
  // C10
  if (isMaskedByPosition() != static_cast<bool>(getPositions()))
    return emitOpError() << (getPositions() ? "'positions' has no meaning without causal or window"
                                            : "causal and window need 'positions'")
                         << " (C10)";
  if (getKeyPositions() && !getPositions())
    return emitOpError() << "'key_positions' has no meaning without causal or window (C10)";
  if (IntegerAttr sinks = getSinksAttr(); sinks && (!getKeyPositions() || sinks.getInt() < 0))
    return emitOpError() << "sinks needs 'key_positions' and is not negative, got " << sinks.getInt() << " (C10)";
  // C11
  if (getMap(getOutputsMutable()[1]) != getMap(getOutputsMutable()[2]))
    return emitOpError() << "max " << printDims(getMaxMap()) << " and sum " << printDims(getMap(getOutputsMutable()[2]))
                         << " must list the same dimensions (C11)";
  if (failed(verifyResultTypes(*this, "C11")))
    return failure();
  return verifyDot(*this);
}
