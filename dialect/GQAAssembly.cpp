// The custom assembly of the attention ops: a list of clauses, each a keyword with its operand or attribute.
//
//   gqa.attention scale 0.125 causal align bottom_right window(left 4095)
//       query(%q[b, hkv, g, m, dqk] : tensor<...>) key(...) value(...) ... outs(%o[...] : ..., %lse[...] : ...)
//
// Clauses may come in any order; they are printed in one.

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::gqa;

namespace {

/// The attributes that clauses spell.
constexpr StringLiteral kClauseAttributes[] = {
    "indexing_maps", "operandSegmentSizes", "scale",     "softcap", "causal",
    "window_left",   "window_right",        "alignment", "dot",     "schedule",
    "ring_sinks",    "ring_slots",          "sinks",     "shorts"};

/// A tensor operand with its list of dimensions: `%q[b, hkv, g, m, dqk] : tensor<...>`.
struct TensorOperand {
  OpAsmParser::UnresolvedOperand value;
  AffineMap map;
  Type type;
};

ParseResult parseDims(OpAsmParser &parser, AffineMap &map) {
  SmallVector<Dim> dims;
  auto parseOne = [&]() -> ParseResult {
    StringRef name;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&name))
      return failure();
    std::optional<Dim> dim = parseDim(name);
    if (!dim)
      return parser.emitError(loc) << "'" << name
                                   << "' is no dimension: expected b, hkv, g, m, n, dqk, dv, page, block, "
                                   << "slot, dqk2 or dv2";
    dims.push_back(*dim);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return failure();
  map = getDimsMap(parser.getContext(), dims);
  return success();
}

ParseResult parseTensorOperand(OpAsmParser &parser, TensorOperand &operand) {
  return failure(parser.parseOperand(operand.value) || parseDims(parser, operand.map) ||
                 parser.parseColonType(operand.type));
}

/// `window(left L right R)`, one of them optional.
ParseResult parseWindow(OpAsmParser &parser, NamedAttrList &attributes) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLParen())
    return failure();
  bool isEmpty = true;
  for (StringRef side : {"left", "right"}) {
    int64_t extent;
    if (failed(parser.parseOptionalKeyword(side)))
      continue;
    if (parser.parseInteger(extent))
      return failure();
    attributes.set(("window_" + side).str(), parser.getBuilder().getI64IntegerAttr(extent));
    isEmpty = false;
  }
  if (isEmpty)
    return parser.emitError(loc) << "window needs 'left', 'right' or both, in this order";
  return parser.parseRParen();
}

ParseResult parseNumber(OpAsmParser &parser, StringRef name, NamedAttrList &attributes) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  attributes.set(name, parser.getBuilder().getI64IntegerAttr(value));
  return success();
}

/// `ring(sinks S slots R)`.
ParseResult parseRing(OpAsmParser &parser, NamedAttrList &attributes) {
  return failure(parser.parseLParen() || parser.parseKeyword("sinks") ||
                 parseNumber(parser, "ring_sinks", attributes) || parser.parseKeyword("slots") ||
                 parseNumber(parser, "ring_slots", attributes) || parser.parseRParen());
}

ParseResult parseFloat(OpAsmParser &parser, StringRef name, NamedAttrList &attributes) {
  // Hexadecimal literals are the bits of an f32.
  APFloat value(APFloat::IEEEsingle());
  if (parser.parseFloat(value.getSemantics(), value))
    return failure();
  attributes.set(name, FloatAttr::get(parser.getBuilder().getF32Type(), value));
  return success();
}

/// Parses the clauses of an op whose tensor operands are `names`, in operand order, of which the first three are
/// required; `outs` comes behind them and `key_start` last.
class ClauseParser {
public:
  ClauseParser(OpAsmParser &parser, OperationState &result, ArrayRef<StringRef> names, bool hasKeyStart)
      : parser(parser), result(result), names(names), hasKeyStart(hasKeyStart) {
    for (StringRef name : names)
      tensors[name] = {};
  }

  ParseResult parse() {
    SMLoc opLoc = parser.getCurrentLocation();
    // Only known clauses are taken: the next keyword may be the next op's name.
    SmallVector<StringRef> clauses(names);
    llvm::append_range(clauses, ArrayRef<StringRef>{"outs", "scale", "softcap", "causal", "window"});
    llvm::append_range(clauses, hasKeyStart ? ArrayRef<StringRef>{"key_start", "dot", "shorts", "sinks"}
                                            : ArrayRef<StringRef>{"align", "schedule", "ring"});
    llvm::SmallDenseSet<StringRef> seen;
    StringRef keyword;
    SMLoc loc = parser.getCurrentLocation();
    for (; succeeded(parser.parseOptionalKeyword(&keyword, clauses)); loc = parser.getCurrentLocation()) {
      if (!seen.insert(keyword).second)
        return parser.emitError(loc) << "'" << keyword << "' is given twice";
      if (parseClause(keyword, loc))
        return failure();
    }
    if (parseOtherAttributes())
      return failure();
    for (StringRef required : {names[0], names[1], names[2], StringRef("scale"), StringRef("outs")})
      if (!seen.contains(required))
        return parser.emitError(opLoc) << "missing clause '" << required << "'";
    return resolveOperands();
  }

private:
  ParseResult parseClause(StringRef keyword, SMLoc loc) {
    if (auto *entry = tensors.find(keyword); entry != tensors.end())
      return failure(parser.parseLParen() || parseTensorOperand(parser, entry->second.emplace_back()) ||
                     parser.parseRParen());
    if (keyword == "outs")
      return parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren,
                                            [&] { return parseTensorOperand(parser, outputs.emplace_back()); });
    if (keyword == "key_start")
      return failure(parser.parseLParen() || parser.parseOperand(keyStart.emplace()) || parser.parseRParen());
    if (keyword == "scale" || keyword == "softcap")
      return parseFloat(parser, keyword, result.attributes);
    if (keyword == "window")
      return parseWindow(parser, result.attributes);
    if (keyword == "sinks")
      return parseNumber(parser, keyword, result.attributes);
    if (keyword == "ring")
      return parseRing(parser, result.attributes);
    if (keyword == "align")
      return parseAlignment();
    if (keyword == "schedule") {
      ScheduleAttr schedule;
      return failure(parser.parseLParen() || parser.parseAttribute(schedule, "schedule", result.attributes) ||
                     parser.parseRParen());
    }
    // causal, dot, shorts
    result.attributes.set(keyword, parser.getBuilder().getUnitAttr());
    return success();
  }

  ParseResult parseAlignment() {
    SMLoc loc = parser.getCurrentLocation();
    StringRef name;
    if (parser.parseKeyword(&name))
      return failure();
    std::optional<Alignment> alignment = symbolizeAlignment(name);
    if (!alignment)
      return parser.emitError(loc) << "'" << name << "' is no alignment: expected top_left or bottom_right";
    result.attributes.set("alignment", AlignmentAttr::get(parser.getContext(), *alignment));
    return success();
  }

  /// The dictionary of attributes that no clause spells.
  ParseResult parseOtherAttributes() {
    SMLoc loc = parser.getCurrentLocation();
    NamedAttrList others;
    if (parser.parseOptionalAttrDict(others))
      return failure();
    for (NamedAttribute attribute : others)
      if (llvm::is_contained(kClauseAttributes, attribute.getName().strref()))
        return parser.emitError(loc) << "attribute " << attribute.getName() << " is given by a clause";
    result.attributes.append(others.begin(), others.end());
    return success();
  }

  ParseResult resolveOperands() {
    for (auto &[name, operands] : tensors)
      if (resolve(operands))
        return failure();
    if (resolve(outputs))
      return failure();
    for (const TensorOperand &output : outputs)
      result.addTypes(output.type);
    if (hasKeyStart) {
      segments.push_back(keyStart ? 1 : 0);
      if (keyStart && parser.resolveOperand(*keyStart, parser.getBuilder().getIndexType(), result.operands))
        return failure();
    }
    result.attributes.set("indexing_maps", parser.getBuilder().getArrayAttr(maps));
    result.attributes.set("operandSegmentSizes", parser.getBuilder().getDenseI32ArrayAttr(segments));
    return success();
  }

  ParseResult resolve(ArrayRef<TensorOperand> operands) {
    segments.push_back(operands.size());
    for (const TensorOperand &operand : operands) {
      maps.push_back(AffineMapAttr::get(operand.map));
      if (parser.resolveOperand(operand.value, operand.type, result.operands))
        return failure();
    }
    return success();
  }

  OpAsmParser &parser;
  OperationState &result;
  ArrayRef<StringRef> names;
  bool hasKeyStart;
  llvm::MapVector<StringRef, SmallVector<TensorOperand, 1>> tensors;
  SmallVector<TensorOperand> outputs;
  std::optional<OpAsmParser::UnresolvedOperand> keyStart;
  SmallVector<int32_t> segments;
  SmallVector<Attribute> maps;
};

/// Prints what the two ops share. `keywords` go between the scores' attributes and the operands.
template <typename OpTy>
void printAttention(OpAsmPrinter &printer, OpTy op, ArrayRef<std::pair<StringRef, Value>> tensors,
                    function_ref<void()> printKeywords) {
  auto printFloat = [&](FloatAttr value) { printer.printAttributeWithoutType(value); };
  unsigned mapIndex = 0;
  auto printTensor = [&](Value tensor) {
    printer << tensor << printDims(op.getMaps()[mapIndex++]) << " : " << tensor.getType();
  };

  printer << " scale ";
  printFloat(op.getScaleAttr());
  if (FloatAttr softcap = op.getSoftcapAttr()) {
    printer << " softcap ";
    printFloat(softcap);
  }
  if (op.getCausal())
    printer << " causal";
  if (op.getWindowLeft() || op.getWindowRight()) {
    SmallVector<std::string> sides;
    if (std::optional<uint64_t> left = op.getWindowLeft())
      sides.push_back("left " + std::to_string(static_cast<int64_t>(*left)));
    if (std::optional<uint64_t> right = op.getWindowRight())
      sides.push_back("right " + std::to_string(static_cast<int64_t>(*right)));
    printer << " window(" << llvm::join(sides, " ") << ")";
  }
  printKeywords();

  printer.increaseIndent();
  for (auto [name, tensor] : tensors) {
    if (!tensor)
      continue;
    printer.printNewline();
    printer << "  " << name << "(";
    printTensor(tensor);
    printer << ")";
  }
  printer.printNewline();
  printer << "  outs(";
  llvm::interleaveComma(op.getOutputs(), printer, printTensor);
  printer << ")";
  printer.decreaseIndent();
}

} // namespace

ParseResult AttentionOp::parse(OpAsmParser &parser, OperationState &result) {
  return ClauseParser(parser, result,
                      {"query", "key", "value", "bias", "mask", "kv_len", "offset", "sink", "block_table", "key_scale",
                       "value_scale", "length"},
                      /*hasKeyStart=*/false)
      .parse();
}

void AttentionOp::print(OpAsmPrinter &printer) {
  printAttention(printer, *this,
                 {{"query", getQuery()},
                  {"key", getKey()},
                  {"value", getValue()},
                  {"bias", getBias()},
                  {"mask", getMask()},
                  {"kv_len", getKvLen()},
                  {"offset", getOffset()},
                  {"sink", getSink()},
                  {"block_table", getBlockTable()},
                  {"key_scale", getKeyScale()},
                  {"value_scale", getValueScale()},
                  {"length", getLength()}},
                 [&] {
                   if (getAlignment())
                     printer << " align " << stringifyAlignment(*getAlignment());
                   if (getRingSlotsAttr() && getRingSinksAttr())
                     printer << " ring(sinks " << getRingSinksAttr().getInt() << " slots "
                             << getRingSlotsAttr().getInt() << ")";
                   if (getSchedule())
                     printer << " schedule(" << *getSchedule() << ")";
                 });
  printer.printOptionalAttrDict((*this)->getAttrs(), SmallVector<StringRef>(ArrayRef(kClauseAttributes)));
}

ParseResult OnlineAttentionOp::parse(OpAsmParser &parser, OperationState &result) {
  return ClauseParser(parser, result,
                      {"query", "key", "value", "bias", "mask", "kv_len", "positions", "key_scale", "value_scale",
                       "key_positions"},
                      /*hasKeyStart=*/true)
      .parse();
}

void OnlineAttentionOp::print(OpAsmPrinter &printer) {
  printAttention(printer, *this,
                 {{"query", getQuery()},
                  {"key", getKey()},
                  {"value", getValue()},
                  {"bias", getBias()},
                  {"mask", getMask()},
                  {"kv_len", getKvLen()},
                  {"positions", getPositions()},
                  {"key_scale", getKeyScale()},
                  {"value_scale", getValueScale()},
                  {"key_positions", getKeyPositions()}},
                 [&] {
                   if (getSinksAttr())
                     printer << " sinks " << getSinksAttr().getInt();
                   if (getDot())
                     printer << " dot";
                   if (getShorts())
                     printer << " shorts";
                 });
  if (getKeyStart())
    printer << " key_start(" << getKeyStart() << ")";
  printer.printOptionalAttrDict((*this)->getAttrs(), SmallVector<StringRef>(ArrayRef(kClauseAttributes)));
}
