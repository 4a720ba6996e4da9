#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/Support/JSON.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_BUILDENTRIES
#include "passes/Passes.h.inc"

namespace {

/// A dimension of a function argument.
using ArgumentDim = std::pair<unsigned, unsigned>;

/// The argument dimension that `dim` of `value` is, if reshapes and casts between them keep it whole.
std::optional<ArgumentDim> traceToArgument(Value value, unsigned dim) {
  while (Operation *producer = value.getDefiningOp()) {
    if (auto cast = dyn_cast<tensor::CastOp>(producer)) {
      value = cast.getSource();
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(producer)) {
      unsigned group = expand.getCorrespondingSourceDim(dim);
      if (expand.getReassociationIndices()[group].size() != 1)
        return std::nullopt;
      value = expand.getSrc();
      dim = group;
    } else if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(producer)) {
      ReassociationIndices group = collapse.getReassociationIndices()[dim];
      if (group.size() != 1)
        return std::nullopt;
      value = collapse.getSrc();
      dim = group.front();
    } else {
      return std::nullopt;
    }
  }
  auto argument = cast<BlockArgument>(value);
  if (!isa<func::FuncOp>(argument.getOwner()->getParentOp()))
    return std::nullopt;
  return ArgumentDim{argument.getArgNumber(), dim};
}

/// Names for the dynamic dimensions of a function's arguments; dimensions that must agree share one.
class DimSymbols {
public:
  explicit DimSymbols(func::FuncOp function) {
    for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        for (unsigned dim = 0; dim < tensor.getRank(); ++dim)
          if (tensor.isDynamicDim(dim))
            classes.insert({index, dim});
    function.walk([&](AttentionOp op) { unite(op); });
  }

  std::string getName(ArgumentDim dim) {
    ArgumentDim leader = classes.getLeaderValue(dim);
    auto [it, isNew] = numbers.try_emplace(leader, numbers.size());
    return "s" + std::to_string(it->second);
  }

private:
  /// Operands of attention that list one dimension have one extent there.
  void unite(AttentionOp op) {
    for (unsigned i = 0; i < kNumDims; ++i) {
      std::optional<ArgumentDim> first;
      for (auto [map, operand] : llvm::zip_equal(op.getMaps(), op.getOperands())) {
        std::optional<unsigned> position = getDimPosition(map, static_cast<Dim>(i));
        if (!position || !cast<RankedTensorType>(operand.getType()).isDynamicDim(*position))
          continue;
        std::optional<ArgumentDim> dim = traceToArgument(operand, *position);
        if (!dim || !isDynamic(op, *dim))
          continue;
        if (first)
          classes.unionSets(*first, *dim);
        first = dim;
      }
    }
  }

  static bool isDynamic(AttentionOp op, ArgumentDim dim) {
    auto function = op->getParentOfType<func::FuncOp>();
    return cast<RankedTensorType>(function.getArgumentTypes()[dim.first]).isDynamicDim(dim.second);
  }

  llvm::EquivalenceClasses<ArgumentDim> classes;
  std::map<ArgumentDim, unsigned> numbers;
};

std::string printType(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// `{"type": "f32", "shape": [1, 32, "s0", 128]}`.
llvm::json::Object describe(Type type, function_ref<std::string(unsigned)> nameDim) {
  llvm::json::Array shape;
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    for (auto [dim, extent] : llvm::enumerate(tensor.getShape())) {
      if (ShapedType::isDynamic(extent))
        shape.push_back(nameDim(dim));
      else
        shape.push_back(extent);
    }
  return llvm::json::Object{{"type", printType(getElementTypeOrSelf(type))}, {"shape", std::move(shape)}};
}

/// `{"index": 0, "dims": ["b", "hkv", "n", "dqk"]}`.
llvm::json::Object describeOperand(unsigned index, AffineMap map) {
  llvm::json::Array dims;
  for (Dim dim : getDims(map))
    dims.push_back(getDimName(dim).str());
  return llvm::json::Object{{"index", index}, {"dims", std::move(dims)}};
}

/// If the function is one attention of its arguments: which of them are its operands, and what they list.
std::optional<llvm::json::Object> describeAttention(func::FuncOp function) {
  SmallVector<AttentionOp> ops(function.getOps<AttentionOp>());
  if (ops.size() != 1)
    return std::nullopt;
  AttentionOp op = ops.front();
  llvm::json::Object arguments, results;
  std::pair<StringRef, MutableOperandRange> operands[] = {{"query", op.getQueryMutable()},
                                                          {"key", op.getKeyMutable()},
                                                          {"value", op.getValueMutable()},
                                                          {"bias", op.getBiasMutable()},
                                                          {"mask", op.getMaskMutable()},
                                                          {"kv_len", op.getKvLenMutable()},
                                                          {"offset", op.getOffsetMutable()},
                                                          {"sink", op.getSinkMutable()},
                                                          {"block_table", op.getBlockTableMutable()},
                                                          {"key_scale", op.getKeyScaleMutable()},
                                                          {"value_scale", op.getValueScaleMutable()},
                                                          {"length", op.getLengthMutable()}};
  for (auto [name, range] : operands) {
    if (range.empty())
      continue;
    OpOperand &operand = *range.begin();
    auto argument = dyn_cast<BlockArgument>(operand.get());
    if (!argument || argument.getOwner() != &function.front())
      return std::nullopt;
    arguments[name] = describeOperand(argument.getArgNumber(), op.getMap(operand));
  }
  for (auto [index, value] : llvm::enumerate(function.front().getTerminator()->getOperands())) {
    auto result = dyn_cast<OpResult>(value);
    if (!result || result.getOwner() != op)
      return std::nullopt;
    AffineMap map = op.getMap(op.getOutputsMutable()[result.getResultNumber()]);
    results[result.getResultNumber() == 0 ? "output" : "lse"] = describeOperand(index, map);
  }
  llvm::json::Object attention{{"arguments", std::move(arguments)}, {"results", std::move(results)}};
  if (op.getLength()) {
    attention["ring_sinks"] = op.getRingSinksAttr().getInt();
    attention["ring_slots"] = op.getRingSlotsAttr().getInt();
  }
  return attention;
}

bool isEntry(func::FuncOp function) { return function.isPublic() && !function.isExternal(); }

/// What the calling convention can carry.
LogicalResult verifySignature(func::FuncOp function) {
  auto check = [&](TypeRange types, StringRef kind, bool allowScalars) -> LogicalResult {
    for (auto [index, type] : llvm::enumerate(types)) {
      Type element = getElementTypeOrSelf(type);
      bool isKnown = element.isIndex() || element.isF32() || element.isF64() || element.isF16() || element.isBF16() ||
                     isa<Float8E4M3FNType>(element) ||
                     llvm::any_of(ArrayRef{1u, 8u, 16u, 32u, 64u},
                                  [&](unsigned width) { return element.isSignlessInteger(width); });
      if (!isKnown || (!isa<RankedTensorType>(type) && !(allowScalars && type == element)))
        return function.emitOpError() << kind << " " << index << " has type " << type
                                      << ", which an artifact's entry cannot carry";
    }
    return success();
  };
  if (!llvm::hasSingleElement(function.getBody()))
    return function.emitOpError() << "must have one block to become an entry";
  return success(succeeded(check(function.getArgumentTypes(), "argument", /*allowScalars=*/true)) &&
                 succeeded(check(function.getResultTypes(), "result", /*allowScalars=*/true)));
}

/// Only entries know the host, so all code that they run must be inside: calls were inlined, if that was possible.
LogicalResult verifyNoCalls(func::FuncOp function) {
  WalkResult result = function.walk([](func::CallOp call) {
    call.emitOpError() << "calls '" << call.getCallee() << "', which cannot be inlined into the artifact's entry";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

/// i1 in memory is a byte.
Type getMemoryElement(Type type) { return type.isInteger(1) ? IntegerType::get(type.getContext(), 8) : type; }

/// The buffer that carries a value of `type`: any strides but the innermost.
MemRefType getBufferType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return MemRefType::get({}, getMemoryElement(type));
  SmallVector<int64_t> strides(tensor.getRank(), ShapedType::kDynamic);
  if (!strides.empty())
    strides.back() = 1;
  auto layout = StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
  return MemRefType::get(tensor.getShape(), getMemoryElement(tensor.getElementType()), layout);
}

/// Rewrites one function.
struct EntryBuilder {
  EntryBuilder(OpBuilder &builder, func::FuncOp function) : b(builder), function(function), loc(function.getLoc()) {}

  /// Arguments become buffers, behind the host pointer.
  void convertArguments() {
    Block &block = function.getBody().front();
    unsigned count = block.getNumArguments();
    block.insertArgument(0u, LLVM::LLVMPointerType::get(b.getContext()), loc);
    b.setInsertionPointToStart(&block);
    for (unsigned i = 1; i <= count; ++i) {
      BlockArgument argument = block.getArgument(i);
      Type type = argument.getType();
      BlockArgument buffer = block.addArgument(getBufferType(type), loc);
      argument.replaceAllUsesWith(loadArgument(buffer, type));
    }
    block.eraseArguments(1, count);
  }

  /// Results go to buffers, behind the arguments; the function returns a status.
  void convertResults() {
    Block &block = function.getBody().front();
    auto terminator = cast<func::ReturnOp>(block.getTerminator());
    b.setInsertionPoint(terminator);
    for (Value result : terminator.getOperands()) {
      BlockArgument buffer = block.addArgument(getBufferType(result.getType()), loc);
      storeResult(result, buffer);
    }
    function->setAttr("gqa.num_results", b.getI64IntegerAttr(terminator.getNumOperands()));
    finish(terminator);
  }

  /// The extents of the results go to arrays of i64, behind the arguments.
  void convertResultsToShapes() {
    Block &block = function.getBody().front();
    auto terminator = cast<func::ReturnOp>(block.getTerminator());
    b.setInsertionPoint(terminator);
    for (Value result : terminator.getOperands()) {
      auto tensor = dyn_cast<RankedTensorType>(result.getType());
      int64_t rank = tensor ? tensor.getRank() : 0;
      BlockArgument extents = block.addArgument(MemRefType::get({rank}, b.getI64Type()), loc);
      for (int64_t dim = 0; dim < rank; ++dim) {
        Value extent = tensor::DimOp::create(b, loc, result, dim);
        extent = arith::IndexCastOp::create(b, loc, b.getI64Type(), extent);
        Value index = arith::ConstantIndexOp::create(b, loc, dim);
        memref::StoreOp::create(b, loc, extent, extents, index);
      }
    }
    finish(terminator);
  }

private:
  Value loadArgument(Value buffer, Type type) {
    if (!isa<RankedTensorType>(type)) {
      Value scalar = memref::LoadOp::create(b, loc, buffer);
      return fromMemory(b, scalar, type);
    }
    auto bufferType = cast<MemRefType>(buffer.getType());
    auto memoryType = RankedTensorType::get(bufferType.getShape(), bufferType.getElementType());
    Value tensor = bufferization::ToTensorOp::create(b, loc, memoryType, buffer, /*restrict=*/true);
    return convertElements(tensor, getElementTypeOrSelf(type),
                           [&](OpBuilder &nested, Value scalar, Type to) { return fromMemory(nested, scalar, to); });
  }

  void storeResult(Value result, Value buffer) {
    Type memoryElement = cast<MemRefType>(buffer.getType()).getElementType();
    if (!isa<RankedTensorType>(result.getType())) {
      memref::StoreOp::create(b, loc, toMemory(b, result, memoryElement), buffer);
      return;
    }
    Value tensor = convertElements(
        result, memoryElement, [&](OpBuilder &nested, Value scalar, Type to) { return toMemory(nested, scalar, to); });
    auto store = bufferization::MaterializeInDestinationOp::create(b, loc, tensor, buffer);
    store.setRestrict(true);
    store.setWritable(true);
  }

  Value fromMemory(OpBuilder &nested, Value scalar, Type type) {
    if (scalar.getType() == type)
      return scalar;
    Value zero = arith::ConstantOp::create(nested, loc, nested.getZeroAttr(scalar.getType()));
    return arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::ne, scalar, zero);
  }

  Value toMemory(OpBuilder &nested, Value scalar, Type type) {
    return scalar.getType() == type ? scalar : Value(arith::ExtUIOp::create(nested, loc, type, scalar));
  }

  Value convertElements(Value tensor, Type element, function_ref<Value(OpBuilder &, Value, Type)> convert) {
    auto type = cast<RankedTensorType>(tensor.getType());
    if (type.getElementType() == element)
      return tensor;
    Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, tensor), element);
    AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
    return linalg::GenericOp::create(b, loc, empty.getType(), tensor, empty, ArrayRef{identity, identity}, loops,
                                     [&](OpBuilder &nested, Location l, ValueRange args) {
                                       linalg::YieldOp::create(nested, l, convert(nested, args[0], element));
                                     })
        .getResult(0);
  }

  void finish(func::ReturnOp terminator) {
    Value ok = arith::ConstantIntOp::create(b, loc, 0, 32);
    func::ReturnOp::create(b, loc, ok);
    terminator.erase();
    Block &block = function.getBody().front();
    function.setFunctionType(b.getFunctionType(block.getArgumentTypes(), b.getI32Type()));
    function.removeArgAttrsAttr();
    function.removeResAttrsAttr();
    function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), b.getUnitAttr());
  }

  OpBuilder &b;
  func::FuncOp function;
  Location loc;
};

/// An attention's mask reads the bytes that an i1 argument is made of, without a converted copy: the mask is the
/// argument or a view of it.
void useBytesAsMask(func::FuncOp function) {
  function.walk([](AttentionOp op) {
    if (!op.getMask())
      return;
    SmallVector<Operation *> views; // the last one first
    Value viewed = op.getMask();
    while (isa_and_nonnull<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
        viewed.getDefiningOp())) {
      views.push_back(viewed.getDefiningOp());
      viewed = views.back()->getOperand(0);
    }
    auto conversion = viewed.getDefiningOp<linalg::GenericOp>();
    if (!conversion || conversion.getNumDpsInputs() != 1 || conversion.getNumReductionLoops() != 0 ||
        !conversion.getIndexingMapsArray()[0].isIdentity() || !conversion.getIndexingMapsArray()[1].isIdentity())
      return;
    auto compare = conversion.getBody()->getTerminator()->getOperand(0).getDefiningOp<arith::CmpIOp>();
    if (!compare || compare.getPredicate() != arith::CmpIPredicate::ne || !matchPattern(compare.getRhs(), m_Zero()) ||
        compare.getLhs() != conversion.getBody()->getArgument(0) || !compare.getLhs().getType().isInteger(8))
      return;
    OpBuilder b(op);
    Value bytes = conversion.getDpsInputs()[0];
    for (Operation *view : llvm::reverse(views)) {
      IRMapping mapping;
      mapping.map(view->getOperand(0), bytes);
      Operation *copy = b.clone(*view, mapping);
      auto type = cast<RankedTensorType>(copy->getResult(0).getType());
      copy->getResult(0).setType(type.clone(b.getI8Type()));
      bytes = copy->getResult(0);
    }
    op.getMaskMutable().assign(bytes);
  });
}

struct BuildEntries : impl::BuildEntriesBase<BuildEntries> {
  void runOnOperation() override {
    OpBuilder builder(&getContext());
    llvm::json::Array entries;
    SmallVector<func::FuncOp> functions = llvm::to_vector(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (!isEntry(function))
        continue;
      if (failed(verifySignature(function)) || failed(verifyNoCalls(function)))
        return signalPassFailure();
      entries.push_back(describeEntry(function));
      buildShapeFunction(builder, function);
      EntryBuilder entry(builder, function);
      entry.convertArguments();
      entry.convertResults();
      useBytesAsMask(function);
    }
    std::string text;
    llvm::raw_string_ostream(text) << llvm::json::Value(std::move(entries));
    getOperation()->setAttr("gqa.description", builder.getStringAttr(text));
  }

private:
  llvm::json::Object describeEntry(func::FuncOp function) {
    DimSymbols symbols(function);
    llvm::json::Array arguments, results, schedules;
    for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
      arguments.push_back(describe(type, [&, i = index](unsigned dim) { return symbols.getName({i, dim}); }));
    for (Value result : function.getBody().front().getTerminator()->getOperands())
      results.push_back(describe(result.getType(), [&](unsigned dim) { return nameResultDim(symbols, result, dim); }));
    function.walk([&](AttentionOp op) {
      if (op.getSchedule())
        schedules.push_back(printAttribute(*op.getSchedule()));
      if (Attribute schedule = op->getAttr("gqa_gpu.schedule"))
        schedules.push_back(printAttribute(schedule));
    });
    llvm::json::Object entry{{"name", function.getName()},
                             {"arguments", std::move(arguments)},
                             {"results", std::move(results)},
                             {"schedules", std::move(schedules)}};
    if (std::optional<llvm::json::Object> attention = describeAttention(function))
      entry["attention"] = std::move(*attention);
    return entry;
  }

  static std::string printAttribute(Attribute attribute) {
    std::string text;
    llvm::raw_string_ostream(text) << attribute;
    return text;
  }

  /// The symbol of the argument dimension that sizes this one, found through destinations.
  static std::string nameResultDim(DimSymbols &symbols, Value result, unsigned dim) {
    while (auto producer = result.getDefiningOp<DestinationStyleOpInterface>())
      result = producer.getTiedOpOperand(cast<OpResult>(result))->get();
    if (auto collapse = result.getDefiningOp<tensor::CollapseShapeOp>()) {
      ReassociationIndices group = collapse.getReassociationIndices()[dim];
      return group.size() == 1 ? nameResultDim(symbols, collapse.getSrc(), group.front()) : "?";
    }
    if (auto expand = result.getDefiningOp<tensor::ExpandShapeOp>()) {
      unsigned group = expand.getCorrespondingSourceDim(dim);
      return expand.getReassociationIndices()[group].size() == 1 ? nameResultDim(symbols, expand.getSrc(), group) : "?";
    }
    std::optional<ArgumentDim> traced;
    if (auto empty = result.getDefiningOp<tensor::EmptyOp>()) {
      auto source = empty.getMixedSizes()[dim].dyn_cast<Value>();
      auto dimOp = source ? source.getDefiningOp<tensor::DimOp>() : tensor::DimOp();
      if (dimOp && dimOp.getConstantIndex())
        traced = traceToArgument(dimOp.getSource(), *dimOp.getConstantIndex());
    } else {
      traced = traceToArgument(result, dim);
    }
    return traced ? symbols.getName(*traced) : "?";
  }

  void buildShapeFunction(OpBuilder &builder, func::FuncOp function) {
    auto shapes = cast<func::FuncOp>(function->clone());
    shapes.setName(("gqa_shape_" + function.getName()).str());
    builder.setInsertionPointAfter(function);
    builder.insert(shapes);
    EntryBuilder entry(builder, shapes);
    entry.convertArguments();
    entry.convertResultsToShapes();
  }
};

} // namespace
} // namespace mlir::gqa
