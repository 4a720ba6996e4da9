#include "passes/HostTable.h"
#include "passes/Passes.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_OUTLINETASKS
#include "passes/Passes.h.inc"

namespace {

/// The frame that a task function gets: the host, the address of the entry's status word (HostTable.h), then what the
/// loop's body captured.
constexpr unsigned kFirstCapture = 2;

/// Moves one scf.forall into a task function.
struct Outliner {
  Outliner(func::FuncOp parent, Value status, scf::ForallOp forall, unsigned number)
      : parent(parent), status(status), forall(forall), b(forall), loc(forall.getLoc()), converter(forall.getContext()),
        pointer(LLVM::LLVMPointerType::get(forall.getContext())) {
    name = (parent.getName() + "_task" + Twine(number)).str();
  }

  void outline() {
    cloneConstantsInto();
    SetVector<Value> used;
    getUsedValuesDefinedAbove(forall.getRegion(), used);
    captures = used.takeVector();

    SmallVector<OpFoldResult> counts;
    for (auto [lower, upper, step] :
         llvm::zip_equal(forall.getMixedLowerBound(), forall.getMixedUpperBound(), forall.getMixedStep())) {
      AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1), d2 = b.getAffineDimExpr(2);
      counts.push_back(affine::makeComposedFoldedAffineApply(b, loc, (d1 - d0).ceilDiv(d2), {lower, upper, step}));
    }
    // Trip counts and bounds are captured as well: the task turns its number into induction variables with them.
    SmallVector<Value> bounds;
    for (auto [lower, step, count] : llvm::zip_equal(forall.getMixedLowerBound(), forall.getMixedStep(), counts))
      for (OpFoldResult bound : {lower, step, count})
        bounds.push_back(getValueOrCreateConstantIndexOp(b, loc, bound));
    SmallVector<Value> framed(captures);
    llvm::append_range(framed, bounds);

    Value frame = buildFrame(framed);
    buildTaskFunction(framed);
    callParallelFor(frame, counts);
    forall.erase();
  }

private:
  /// Constants are cheaper to repeat than to capture.
  void cloneConstantsInto() {
    SetVector<Value> used;
    getUsedValuesDefinedAbove(forall.getRegion(), used);
    OpBuilder inside = OpBuilder::atBlockBegin(forall.getBody());
    for (Value value : used)
      if (Operation *op = value.getDefiningOp(); op && op->hasTrait<OpTrait::ConstantLike>()) {
        Operation *clone = inside.clone(*op);
        replaceAllUsesInRegionWith(value, clone->getResult(0), forall.getRegion());
      }
  }

  LLVM::LLVMStructType getFrameType(ValueRange framed) {
    SmallVector<Type> fields = {pointer, pointer};
    for (Value value : framed)
      fields.push_back(converter.convertType(value.getType()));
    return LLVM::LLVMStructType::getLiteral(b.getContext(), fields);
  }

  Value getField(OpBuilder &builder, Type frameType, Value frame, int32_t field) {
    return LLVM::GEPOp::create(builder, loc, pointer, frameType, frame, ArrayRef<LLVM::GEPArg>{0, field});
  }

  /// A frame on the caller's stack, filled.
  Value buildFrame(ValueRange framed) {
    frameType = getFrameType(framed);
    Value frame;
    {
      OpBuilder entry(b.getContext());
      entry.setInsertionPointAfterValue(status);
      Value one = LLVM::ConstantOp::create(entry, loc, entry.getI64Type(), 1);
      frame = LLVM::AllocaOp::create(entry, loc, pointer, frameType, one, /*alignment=*/64);
    }
    auto store = [&](Value value, unsigned field) {
      LLVM::StoreOp::create(b, loc, value, getField(b, frameType, frame, field));
    };
    store(parent.getArgument(0), kFrameHostField);
    store(status, kFrameStatusField);
    for (auto [index, value] : llvm::enumerate(framed)) {
      Type type = converter.convertType(value.getType());
      Value converted = UnrealizedConversionCastOp::create(b, loc, type, value).getResult(0);
      store(converted, kFirstCapture + index);
    }
    return frame;
  }

  /// func @name(frame: ptr, index: i64) with the loop's body.
  void buildTaskFunction(ValueRange framed) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfter(parent);
    auto task = func::FuncOp::create(b, loc, name, b.getFunctionType({pointer, b.getI64Type()}, {}));
    task.setPrivate();
    Block *block = task.addEntryBlock();
    b.setInsertionPointToStart(block);
    Value frame = block->getArgument(0);

    IRMapping mapping;
    SmallVector<Value> loaded;
    for (auto [index, value] : llvm::enumerate(framed)) {
      Type type = converter.convertType(value.getType());
      Value field = LLVM::LoadOp::create(b, loc, type, getField(b, frameType, frame, kFirstCapture + index));
      loaded.push_back(UnrealizedConversionCastOp::create(b, loc, value.getType(), field).getResult(0));
    }
    for (auto [value, local] : llvm::zip(captures, loaded))
      mapping.map(value, local);

    ArrayRef<Value> bounds = ArrayRef(loaded).drop_front(captures.size());
    Value index = arith::IndexCastOp::create(b, loc, b.getIndexType(), block->getArgument(1));
    // The last loop runs fastest.
    SmallVector<Value> inductionVars(forall.getRank());
    for (int loop = forall.getRank() - 1; loop >= 0; --loop) {
      Value lower = bounds[3 * loop], step = bounds[3 * loop + 1], count = bounds[3 * loop + 2];
      Value position = loop == 0 ? index : Value(arith::RemUIOp::create(b, loc, index, count));
      if (loop != 0)
        index = arith::DivUIOp::create(b, loc, index, count);
      position = arith::MulIOp::create(b, loc, position, step);
      inductionVars[loop] = arith::AddIOp::create(b, loc, position, lower);
    }
    mapping.map(forall.getInductionVars(), inductionVars);
    for (Operation &op : forall.getBody()->without_terminator())
      b.clone(op, mapping);
    func::ReturnOp::create(b, loc);
  }

  void callParallelFor(Value frame, ArrayRef<OpFoldResult> counts) {
    Value tasks = arith::ConstantIndexOp::create(b, loc, 1);
    for (OpFoldResult count : counts)
      tasks = arith::MulIOp::create(b, loc, tasks, getValueOrCreateConstantIndexOp(b, loc, count));
    tasks = arith::IndexCastOp::create(b, loc, b.getI64Type(), tasks);
    auto type = b.getFunctionType({pointer, b.getI64Type()}, {});
    Value constant = func::ConstantOp::create(b, loc, type, name);
    Value function = UnrealizedConversionCastOp::create(b, loc, pointer, constant).getResult(0);
    callHost(b, loc, parent.getArgument(0), HostField::parallelFor, /*result=*/{}, {tasks, function, frame});
  }

  func::FuncOp parent;
  Value status;
  scf::ForallOp forall;
  OpBuilder b;
  Location loc;
  LLVMTypeConverter converter;
  LLVM::LLVMPointerType pointer;
  std::string name;
  SmallVector<Value> captures;
  Type frameType;
};

struct OutlineTasks : impl::OutlineTasksBase<OutlineTasks> {
  void runOnOperation() override {
    SmallVector<std::pair<func::FuncOp, SmallVector<scf::ForallOp>>> work;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      SmallVector<scf::ForallOp> outermost;
      function.walk<WalkOrder::PreOrder>([&](scf::ForallOp forall) {
        outermost.push_back(forall);
        return WalkResult::skip();
      });
      if (!outermost.empty())
        work.emplace_back(function, outermost);
    }
    for (auto &[function, loops] : work) {
      Value status = addStatusWord(function);
      for (auto [number, forall] : llvm::enumerate(loops)) {
        if (failed(makeInnerLoopsSequential(forall)))
          return signalPassFailure();
        Outliner(function, status, forall, number).outline();
      }
    }
  }

private:
  /// A word that tasks set when they fail, and that the function returns.
  static Value addStatusWord(func::FuncOp function) {
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    Location loc = function.getLoc();
    Value one = LLVM::ConstantOp::create(b, loc, b.getI64Type(), 1);
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Value status = LLVM::AllocaOp::create(b, loc, pointer, b.getI32Type(), one);
    Value ok = LLVM::ConstantOp::create(b, loc, b.getI32Type(), 0);
    LLVM::StoreOp::create(b, loc, ok, status);
    function.walk([&](func::ReturnOp op) {
      b.setInsertionPoint(op);
      op.getOperandsMutable().assign(LLVM::LoadOp::create(b, loc, b.getI32Type(), status).getResult());
    });
    return status;
  }

  static LogicalResult makeInnerLoopsSequential(scf::ForallOp outer) {
    SmallVector<scf::ForallOp> inner;
    outer.getBody()->walk([&](scf::ForallOp forall) { inner.push_back(forall); });
    IRRewriter rewriter(outer.getContext());
    for (scf::ForallOp forall : inner)
      if (failed(scf::forallToForLoop(rewriter, forall)))
        return forall.emitOpError() << "cannot become a sequential loop";
    return success();
  }
};

} // namespace
} // namespace mlir::gqa
