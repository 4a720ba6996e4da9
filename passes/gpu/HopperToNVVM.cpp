#include "passes/gpu/HopperToNVVM.h"
#include "dialect/gpu/GQAGpuDialect.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::gqa {

namespace {

using namespace gqa_gpu;

Value buildConstant(OpBuilder &b, Location loc, int64_t value) {
  return LLVM::ConstantOp::create(b, loc, b.getI32Type(), value);
}

/// A block of PTX. Its operands are $0, $1, ...: results, then `operands`, of which the last `numTied` are where
/// results begin.
SmallVector<Value> buildAssembly(OpBuilder &b, Location loc, StringRef text, TypeRange results, ValueRange operands,
                                 unsigned numTied = 0) {
  SmallVector<std::string> constraints;
  auto letter = [](Type type) { return type.isF32() ? "f" : isa<LLVM::LLVMPointerType>(type) ? "l" : "r"; };
  for (Type type : results)
    constraints.push_back(std::string("=") + letter(type));
  for (Value operand : operands.drop_back(numTied))
    constraints.push_back(letter(operand.getType()));
  for (unsigned i = 0; i < numTied; ++i)
    constraints.push_back(std::to_string(i));
  constraints.push_back("~{memory}");
  Type type = LLVM::LLVMVoidType::get(b.getContext());
  if (results.size() == 1)
    type = results[0];
  else if (!results.empty())
    type = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(results));
  auto assembly = LLVM::InlineAsmOp::create(
      b, loc, results.empty() ? TypeRange() : TypeRange(type), operands, text, llvm::join(constraints, ","),
      /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr());
  if (results.empty())
    return {};
  if (results.size() == 1)
    return {assembly.getResult(0)};
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, loc, assembly.getResult(0), ArrayRef<int64_t>(i)));
  return values;
}

std::string listOperands(unsigned first, unsigned count) {
  std::string text = "{";
  for (unsigned i = 0; i < count; ++i)
    text += llvm::formatv("{0}${1}", i ? ", " : "", first + i).str();
  return text + "}";
}

/// All steps of a product in one block, so that nothing comes between them. A step's descriptor is the first one's low
/// word plus a constant, and the high word.
struct LowerWgmma : OpRewritePattern<WgmmaOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(WgmmaOp op, PatternRewriter &b) const override {
    unsigned numResults = op.getResults().size(), numA = op.getA().size();
    bool inRegisters = numA != 0;
    SmallVector<Value> operands(op.getA());
    if (!inRegisters)
      operands.push_back(op.getADescriptor());
    operands.push_back(op.getBDescriptor());
    unsigned b0 = numResults + operands.size() - 1;
    llvm::append_range(operands, op.getInit());

    StringRef type = op.getElement().isBF16() ? "bf16" : "f16";
    std::string text = "{ .reg .pred p0, p1; .reg .b32 la, lb; .reg .b64 da, db; setp.ne.b32 p0, 0, 0; "
                       "setp.eq.b32 p1, 0, 0; wgmma.fence.sync.aligned; ";
    for (auto [step, bStep] : llvm::enumerate(op.getBSteps())) {
      std::string a = "da";
      if (inRegisters)
        a = listOperands(numResults + 4 * step, 4);
      else
        text += buildStep("a", numResults, op.getASteps()[step], op.getAHigh());
      text += buildStep("b", b0, bStep, op.getBHigh());
      // scale-d, signs of a and b, then which matrices in shared memory are transposed
      text += llvm::formatv("wgmma.mma_async.sync.aligned.m64n{0}k16.f32.{1}.{1} {2}, {3}, db, {4}, 1, 1{5}, {6}; ",
                            op.getN(), type, listOperands(0, numResults), a,
                            step == 0 && op.getInit().empty() ? "p0" : "p1", inRegisters ? "" : ", 0",
                            int(op.getTransposeB()));
    }
    text += "wgmma.commit_group.sync.aligned; }";
    b.replaceOp(op, buildAssembly(b, op.getLoc(), text, op.getResultTypes(), operands, op.getInit().size()));
    return success();
  }

  static std::string buildStep(StringRef name, unsigned operand, int64_t step, int64_t high) {
    return llvm::formatv("add.u32 l{0}, ${1}, {2}; mov.b64 d{0}, {{l{0}, {3}}; ", name, operand, step, high);
  }
};

struct LowerWgmmaWait : OpRewritePattern<WgmmaWaitOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(WgmmaWaitOp op, PatternRewriter &b) const override {
    std::string text = "wgmma.wait_group.sync.aligned " + std::to_string(op.getPending()) + ";";
    b.replaceOp(op, buildAssembly(b, op.getLoc(), text, op.getResultTypes(), op.getValues(), op.getValues().size()));
    return success();
  }
};

/// An instruction without results.
template <typename OpTy> struct StatementPattern : OpRewritePattern<OpTy> {
  using Function = void (*)(OpBuilder &, Location, OpTy);
  StatementPattern(MLIRContext *context, Function function) : OpRewritePattern<OpTy>(context), function(function) {}
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &b) const override {
    function(b, op.getLoc(), op);
    b.eraseOp(op);
    return success();
  }
  Function function;
};

void lowerSetMaxRegisters(OpBuilder &b, Location loc, SetMaxRegistersOp op) {
  auto action = op.getIncrease() ? NVVM::SetMaxRegisterAction::increase : NVVM::SetMaxRegisterAction::decrease;
  NVVM::SetMaxRegisterOp::create(b, loc, op.getCount(), action);
}

void lowerNamedBarrier(OpBuilder &b, Location loc, NamedBarrierOp op) {
  Value threads = buildConstant(b, loc, op.getThreads());
  StringRef text = op.getArriveOnly() ? "barrier.cta.arrive $0, $1;" : "barrier.cta.sync $0, $1;";
  buildAssembly(b, loc, text, {}, {op.getId(), threads});
}

void lowerMBarrierInit(OpBuilder &b, Location loc, MBarrierInitOp op) {
  NVVM::MBarrierInitOp::create(b, loc, op.getBarrier(), buildConstant(b, loc, op.getCount()), Value());
}

void lowerMBarrierFence(OpBuilder &b, Location loc, MBarrierFenceOp op) { NVVM::FenceMbarrierInitOp::create(b, loc); }

Value toWord(OpBuilder &b, Location loc, Value shared) {
  return LLVM::PtrToIntOp::create(b, loc, b.getI32Type(), shared);
}

/// By a predicate and no branch, which products that are under way would not survive.
void lowerMBarrierArrive(OpBuilder &b, Location loc, MBarrierArriveOp op) {
  Value predicate = LLVM::ZExtOp::create(b, loc, b.getI32Type(), op.getPredicate());
  buildAssembly(b, loc, "{ .reg .pred p; setp.ne.b32 p, $1, 0; @p mbarrier.arrive.shared::cta.b64 _, [$0]; }", {},
                {toWord(b, loc, op.getBarrier()), predicate});
}

void lowerMBarrierExpect(OpBuilder &b, Location loc, MBarrierExpectOp op) {
  buildAssembly(b, loc, "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", {},
                {toWord(b, loc, op.getBarrier()), buildConstant(b, loc, op.getBytes())});
}

/// The instruction gives up after a while, so it is tried until it succeeds.
void lowerMBarrierWait(OpBuilder &b, Location loc, MBarrierWaitOp op) {
  buildAssembly(b, loc,
                "{ .reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; @p bra.uni done; "
                "bra.uni again; done: }",
                {}, {toWord(b, loc, op.getBarrier()), op.getParity()});
}

void lowerAsyncProxyFence(OpBuilder &b, Location loc, AsyncProxyFenceOp op) {
  buildAssembly(b, loc, "fence.proxy.async.shared::cta;", {}, {});
}

void lowerTmaLoad(OpBuilder &b, Location loc, TmaLoadOp op) {
  std::string text =
      llvm::formatv("cp.async.bulk.tensor.{0}d.shared::cluster.global.mbarrier::complete_tx::bytes [$0], "
                    "[$1, {1}], [$2];",
                    op.getCoordinates().size(), listOperands(3, op.getCoordinates().size()));
  SmallVector<Value> operands = {toWord(b, loc, op.getDestination()), op.getMap(), toWord(b, loc, op.getBarrier())};
  llvm::append_range(operands, op.getCoordinates());
  buildAssembly(b, loc, text, {}, operands);
}

/// The number of lane 0, which the compiler sees to be the warp's.
struct LowerWarpgroupId : OpRewritePattern<WarpgroupIdOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(WarpgroupIdOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Value thread = NVVM::ThreadIdXOp::create(b, loc, b.getI32Type());
    Value group = LLVM::LShrOp::create(b, loc, thread, buildConstant(b, loc, 7));
    b.replaceOp(op,
                NVVM::ShflOp::create(b, loc, b.getI32Type(), buildConstant(b, loc, -1), group, buildConstant(b, loc, 0),
                                     buildConstant(b, loc, 31), NVVM::ShflKind::idx, UnitAttr()));
    return success();
  }
};

struct LowerSharedOffset : OpRewritePattern<SharedOffsetOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(SharedOffsetOp op, PatternRewriter &b) const override {
    b.replaceOp(op, toWord(b, op.getLoc(), op.getAddress()));
    return success();
  }
};

template <typename OpTy> void add(RewritePatternSet &patterns, void (*function)(OpBuilder &, Location, OpTy)) {
  patterns.add<StatementPattern<OpTy>>(patterns.getContext(), function);
}

} // namespace

void populateHopperToNVVM(RewritePatternSet &patterns) {
  patterns.add<LowerWgmma, LowerWgmmaWait, LowerWarpgroupId, LowerSharedOffset>(patterns.getContext());
  add(patterns, lowerSetMaxRegisters);
  add(patterns, lowerNamedBarrier);
  add(patterns, lowerMBarrierInit);
  add(patterns, lowerMBarrierFence);
  add(patterns, lowerMBarrierArrive);
  add(patterns, lowerMBarrierExpect);
  add(patterns, lowerMBarrierWait);
  add(patterns, lowerAsyncProxyFence);
  add(patterns, lowerTmaLoad);
}

} // namespace mlir::gqa
