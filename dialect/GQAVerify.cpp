// The numbered constraints of the op descriptions in GQAOps.td; each check names its constraint.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

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
  enum Elements { Float, F32, Bool, Integer, I32 } elements;
};

bool hasElements(Type type, OperandRule::Elements elements) {
  switch (elements) {
  case OperandRule::Float:
    return type.isF32() || type.isF16() || type.isBF16();
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

/// C1 to C4 for all operands. `rules[i]` belongs to `maps[i]`; query, key and value come first.
LogicalResult verifyOperands(Operation *op, ArrayRef<AffineMap> maps, ArrayRef<OperandRule> rules) {
  if (maps.size() != rules.size())
    return op->emitOpError() << "has " << rules.size() << " tensor operands but " << maps.size()
                             << " indexing maps (C1)";
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

LogicalResult AttentionOp::verify() {
  if (failed(verifyRequiredOperands(*this)))
    return failure();
  const SmallVector<Dim> scoreDims = {Dim::b, Dim::hkv, Dim::g, Dim::m, Dim::n};
  SmallVector<OperandRule> rules = {
      {"query", getQuery(), {Dim::dqk}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::Float},
      {"key", getKey(), {Dim::n, Dim::dqk}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Float},
      {"value", getValue(), {Dim::n, Dim::dv}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Float},
      {"bias", getBias(), {}, scoreDims, OperandRule::Float},
      {"mask", getMask(), {}, scoreDims, OperandRule::Bool},
      {"kv_len", getKvLen(), {}, {Dim::b}, OperandRule::Integer},
      {"offset", getOffset(), {}, {Dim::b}, OperandRule::Integer},
      {"sink", getSink(), {}, {Dim::hkv, Dim::g}, OperandRule::Float}};
  if (getOutputs().empty() || getOutputs().size() > 2)
    return emitOpError() << "must have one or two outputs, got " << getOutputs().size() << " (C9)";
  rules.push_back({"output", getOutput(), {Dim::dv}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::Float});
  if (Value lse = getLse())
    rules.push_back({"lse", lse, {}, {Dim::b, Dim::hkv, Dim::g, Dim::m}, OperandRule::F32});

  if (failed(verifyOperands(*this, getMaps(), presentOnly(rules))))
    return failure();
  for (OpOperand &output : getOutputsMutable())
    if (failed(verifyOutputDims(*this, output.get() == getOutput() ? "output" : "lse", getMap(output), getQueryMap())))
      return failure();
  if (failed(verifyStaticExtents(*this, getMaps(), getTensors())) || failed(verifyScores(*this)))
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

/// C12.
static LogicalResult verifyDot(OnlineAttentionOp op) {
  if (!op.getDot())
    return success();
  MLIRContext *context = op.getContext();
  std::tuple<StringRef, Value, AffineMap, SmallVector<Dim>> operands[] = {
      {"query", op.getQuery(), op.getQueryMap(), {Dim::m, Dim::dqk}},
      {"key", op.getKey(), op.getKeyMap(), {Dim::n, Dim::dqk}},
      {"value", op.getValue(), op.getValueMap(), {Dim::n, Dim::dv}},
      {"acc", op.getOutputs()[0], op.getAccMap(), {Dim::dv, Dim::m}}};
  for (auto &[name, tensor, map, dims] : operands) {
    if (map != getDimsMap(context, dims))
      return op.emitOpError() << "'dot' needs '" << name << "' to list " << printDims(getDimsMap(context, dims))
                              << ", got " << printDims(map) << " (C12)";
    Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
    if (name != "acc" && !element.isBF16())
      return op.emitOpError() << "'dot' needs '" << name << "' to have elements of bf16, got " << element << " (C12)";
  }
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
  SmallVector<OperandRule> rules = {
      {"query", getQuery(), {Dim::dqk}, rowDims, OperandRule::Float},
      {"key", getKey(), {Dim::n, Dim::dqk}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Float},
      {"value", getValue(), {Dim::n, Dim::dv}, {Dim::b, Dim::hkv, Dim::g}, OperandRule::Float},
      {"bias", getBias(), {}, scoreDims, OperandRule::Float},
      {"mask", getMask(), {}, scoreDims, OperandRule::Bool},
      {"kv_len", getKvLen(), {}, {Dim::b}, OperandRule::I32},
      {"positions", getPositions(), {}, {Dim::b, Dim::g, Dim::m}, OperandRule::I32},
      {"acc", getOutputs()[0], {Dim::dv}, rowDims, OperandRule::F32},
      {"max", getOutputs()[1], {}, rowDims, OperandRule::F32},
      {"sum", getOutputs()[2], {}, rowDims, OperandRule::F32}};
  if (failed(verifyOperands(*this, getMaps(), presentOnly(rules))))
    return failure();
  StringRef names[] = {"acc", "max", "sum"};
  for (auto [name, output] : llvm::zip_equal(names, getOutputsMutable()))
    if (failed(verifyOutputDims(*this, name, getMap(output), getQueryMap())))
      return failure();
  if (failed(verifyStaticExtents(*this, getMaps(), getTensors())) || failed(verifyScores(*this)))
    return failure();
  // C10
  if (isMaskedByPosition() != static_cast<bool>(getPositions()))
    return emitOpError() << (getPositions() ? "'positions' has no meaning without causal or window"
                                            : "causal and window need 'positions'")
                         << " (C10)";
  // C11
  if (getMap(getOutputsMutable()[1]) != getMap(getOutputsMutable()[2]))
    return emitOpError() << "max " << printDims(getMaxMap()) << " and sum " << printDims(getMap(getOutputsMutable()[2]))
                         << " must list the same dimensions (C11)";
  if (failed(verifyResultTypes(*this, "C11")))
    return failure();
  return verifyDot(*this);
}
