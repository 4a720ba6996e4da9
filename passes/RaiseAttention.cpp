// Raises attention that is spelled out in linalg to gqa.attention, softmax by softmax: finds exponentials, traces what
// the elements of the tensors around them are (raise/Trace.h), matches that by role (raise/Softmax.h, raise/Scores.h)
// and replaces the output of the second contraction. Everything else stays as it was written.

#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "passes/raise/BuildAttention.h"
#include "passes/raise/FindSoftmax.h"

#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/PassManager.h"

namespace mlir::gqa {
#define GEN_PASS_DEF_RAISEATTENTION
#include "passes/Passes.h.inc"

namespace {

using namespace raise;

/// What came of one attempt.
struct Outcome {
  AttentionOp attention;
  std::optional<Mismatch> mismatch;
  SmallVector<Operation *> erased; // dangling: to compare only
  bool isSoftmax = false;          // else there was nothing to raise
  bool hasNoSum = false;
};

/// The op as a remark names it: its attributes, and which operands list what.
std::string describe(AttentionOp op) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "query" << printDims(op.getQueryMap()) << " key" << printDims(op.getKeyMap());
  if (op.getSoftcap())
    os << ", softcap";
  if (op.getCausal())
    os << ", causal";
  if (op.getWindowLeft() || op.getWindowRight())
    os << ", window";
  if (op.getAlignment())
    os << ", align " << stringifyAlignment(*op.getAlignment());
  for (auto [range, name] : {std::pair(op.getBiasMutable(), "bias"), std::pair(op.getMaskMutable(), "mask"),
                             std::pair(op.getKvLenMutable(), "kv_len"), std::pair(op.getOffsetMutable(), "offset"),
                             std::pair(op.getSinkMutable(), "sink")})
    if (!range.empty())
      os << ", " << name << printDims(op.getMap(*range.begin()));
  return text;
}

/// An op among those that make `scores` and weights whose result attention would need as well; null if there is none.
Operation *findScoreUse(const Softmax &softmax, const llvm::SetVector<Operation *> &scores,
                        const llvm::SetVector<Operation *> &dying) {
  Operation *use = nullptr;
  for (ExprRef operand : softmax.getOperands())
    walk(operand, [&](ExprRef part) {
      if (part->kind == Expr::Kind::load && scores.contains(part->origin) && dying.contains(part->origin))
        use = part->origin;
    });
  return use;
}

/// The lse of the softmax, if with it and the root all scores die.
std::optional<Lse> findLse(SoftmaxMatcher &matcher, const llvm::SetVector<Operation *> &scores,
                           llvm::SetVector<Operation *> &dying) {
  Operation *root = dying.front(), *products = scores.front();
  for (Operation *op : llvm::reverse(scores)) {
    if (dying.contains(op) || op->getNumResults() != 1)
      continue;
    std::optional<Lse> lse = matcher.matchLse(op->getResult(0));
    if (!lse)
      continue;
    llvm::SetVector<Operation *> both = findDying({root, op});
    if (!both.contains(products))
      continue;
    dying = both;
    return lse;
  }
  return std::nullopt;
}

/// Moves the ops that use `value` in front of the op that makes it behind that one.
void sinkUsers(Value value) {
  Operation *last = value.getDefiningOp();
  SmallVector<Operation *> early;
  for (Operation *op : findReached(last))
    if (op != last && op->isBeforeInBlock(last))
      early.push_back(op);
  llvm::sort(early, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : early) {
    op->moveAfter(last);
    last = op;
  }
}

/// Replaces `root` by attention, if it is that.
Outcome raiseRoot(IRRewriter &rewriter, Value root, linalg::LinalgOp contraction, const Exponential &exponential) {
  Loops loops;
  Tracer tracer(rewriter.getContext(), loops);
  SoftmaxMatcher matcher(tracer, exponential.reached);
  Outcome outcome;
  outcome.mismatch = matcher.match(root, contraction);
  outcome.isSoftmax = matcher.isSoftmax();
  outcome.hasNoSum = matcher.lacksSum();
  if (outcome.mismatch)
    return outcome;
  Operation *rootOp = root.getDefiningOp(), *products = matcher.softmax.scores.products->origin;
  llvm::SetVector<Operation *> dying = findDying(rootOp), scores = findReached(products);
  std::optional<Lse> lse;
  if (!dying.contains(products))
    lse = findLse(matcher, scores, dying);
  if (!dying.contains(products)) {
    outcome.mismatch = Mismatch{findOtherUse(products, dying), "uses scores or weights for something else"};
    return outcome;
  }
  if (Operation *use = findScoreUse(matcher.softmax, scores, dying)) {
    outcome.mismatch = Mismatch{use, "makes a bias, a mask or an operand of the scores"};
    return outcome;
  }
  AttentionBuilder builder(rewriter, tracer, matcher.softmax);
  outcome.mismatch = builder.build(lse);
  if (outcome.mismatch)
    return outcome;
  rewriter.replaceAllUsesWith(builder.replaced, builder.replacement);
  for (Operation *op = builder.replaced.getDefiningOp(); op != rootOp;) {
    Operation *arranged = op->getOperand(0).getDefiningOp();
    outcome.erased.push_back(op);
    rewriter.eraseOp(op);
    op = arranged;
  }
  if (lse) {
    rewriter.replaceAllUsesWith(lse->value, builder.lseReplacement);
    sinkUsers(builder.lseReplacement);
  }
  for (Operation *op : dying)
    if (op->use_empty()) {
      outcome.erased.push_back(op);
      rewriter.eraseOp(op);
    }
  outcome.attention = builder.attention;
  return outcome;
}

/// Tries the contraction's result, and what becomes of it elementwise: the division by the sum may come later.
Outcome raiseContraction(IRRewriter &rewriter, linalg::LinalgOp contraction, const Exponential &exponential) {
  Value root = contraction->getResult(0);
  Outcome first = raiseRoot(rewriter, root, contraction, exponential);
  Outcome outcome = first;
  for (unsigned step = 0; step < 8 && outcome.mismatch && outcome.hasNoSum; ++step) {
    SmallVector<Operation *> users =
        llvm::filter_to_vector(root.getUsers(), [](Operation *user) { return !isa<tensor::DimOp>(user); });
    if (users.size() != 1 || users[0]->getNumResults() != 1 || users[0]->getBlock() != contraction->getBlock() ||
        !isa<RankedTensorType>(users[0]->getResult(0).getType()))
      break;
    root = users[0]->getResult(0);
    outcome = raiseRoot(rewriter, root, contraction, exponential);
  }
  return outcome.attention || outcome.isSoftmax ? outcome : first;
}

struct RaiseAttention : impl::RaiseAttentionBase<RaiseAttention> {
  using RaiseAttentionBase::RaiseAttentionBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<GQADialect, linalg::LinalgDialect, math::MathDialect, tensor::TensorDialect, arith::ArithDialect>();
    OpPassManager import(ModuleOp::getOperationName());
    buildImport(import);
    import.getDependentDialects(registry);
  }

  void runOnOperation() override {
    OpPassManager import(ModuleOp::getOperationName());
    buildImport(import);
    if (failed(runPipeline(import, getOperation())))
      return signalPassFailure();
    for (auto function : getOperation().getOps<func::FuncOp>())
      raise(function);
  }

private:
  void raise(func::FuncOp function) {
    IRRewriter rewriter(&getContext());
    SmallVector<Exponential> exponentials = findExponentials(function);
    llvm::DenseSet<Operation *> done, erased;
    for (Exponential &exponential : exponentials)
      for (linalg::LinalgOp contraction : exponential.contractions) {
        if (erased.contains(exponential.op) || !done.insert(contraction).second)
          continue;
        Outcome outcome = raiseContraction(rewriter, contraction, exponential);
        erased.insert(outcome.erased.begin(), outcome.erased.end());
        if (outcome.attention && explain)
          outcome.attention.emitRemark() << "softmax is raised to gqa.attention: " << describe(outcome.attention);
        if (outcome.mismatch && (outcome.isSoftmax || exponential.isSummed))
          explainMismatch(*outcome.mismatch);
      }
    for (Exponential &exponential : exponentials)
      if (exponential.isSummed && exponential.contractions.empty() && !erased.contains(exponential.op))
        explainMismatch({exponential.op, "computes weights that no contraction multiplies with a value"});
  }

  void explainMismatch(const Mismatch &mismatch) {
    if (explain)
      mismatch.op->emitRemark() << "softmax is not raised to gqa.attention: this op " << mismatch.reason;
  }
};

} // namespace
} // namespace mlir::gqa
