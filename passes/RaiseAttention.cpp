// Raises attention that is spelled out in linalg to gqa.attention.
//
// Upstream patterns first bring a copy of the function to a normal form of about seven generics (contraction, scores,
// row max, exp, row sum, contraction), in which repeats of K and V have become index maps. The match then goes by role,
// from the second contraction back to the first. What does not match stays as it was written.

#include "passes/Passes.h"

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <cmath>

namespace mlir::gqa {
#define GEN_PASS_DEF_RAISEATTENTION
#include "passes/Passes.h.inc"

namespace {

/// A loop of the first contraction. Scores are tensors over atoms, whatever reshapes lie between.
using Atom = unsigned;
/// The atoms that each dimension of a tensor is made of, outermost first; unit atoms are left out.
using Axes = SmallVector<SmallVector<Atom>>;

/// Why a match ended, and where.
struct Mismatch {
  Operation *op;
  std::string reason;
};

Value stripCasts(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::TruncFOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// The number that a scalar is, looking through conversions of constants.
std::optional<double> getConstant(Value value) {
  FloatAttr attribute;
  if (!matchPattern(stripCasts(value), m_Constant(&attribute)))
    return std::nullopt;
  return attribute.getValueAsDouble();
}

Value getYielded(linalg::GenericOp op) { return op.getBody()->getTerminator()->getOperand(0); }

/// The operand of `op` that block argument `value` stands for.
OpOperand *getInput(linalg::GenericOp op, Value value) {
  auto argument = dyn_cast<BlockArgument>(stripCasts(value));
  if (!argument || argument.getOwner() != op.getBody() || argument.getArgNumber() >= op.getNumDpsInputs())
    return nullptr;
  return op.getDpsInputOperand(argument.getArgNumber());
}

bool isOutputArgument(linalg::GenericOp op, Value value) {
  return stripCasts(value) == op.getBody()->getArgument(op.getNumDpsInputs());
}

/// Whether the destination of a reduction is filled with a number that satisfies `isNeutral`.
bool isInitialised(linalg::GenericOp op, function_ref<bool(double)> isNeutral) {
  Operation *init = op.getDpsInits()[0].getDefiningOp();
  std::optional<double> value;
  if (auto fill = dyn_cast_or_null<linalg::FillOp>(init))
    value = getConstant(fill.getInputs()[0]);
  else if (auto generic = dyn_cast_or_null<linalg::GenericOp>(init); generic && generic.getNumDpsInputs() == 0)
    value = getConstant(getYielded(generic));
  else if (DenseElementsAttr elements; matchPattern(op.getDpsInits()[0], m_Constant(&elements)) && elements.isSplat())
    value = elements.getSplatValue<APFloat>().convertToDouble();
  return value && isNeutral(*value);
}

/// The number of reduction loops of more than one step.
unsigned countReductions(linalg::GenericOp op) {
  unsigned count = 0;
  for (auto [extent, kind] : llvm::zip_equal(op.getStaticLoopRanges(), op.getIteratorTypesArray()))
    count += kind == utils::IteratorType::reduction && extent != 1;
  return count;
}

/// `accumulator + term` of a summing generic: the term.
Value matchSum(linalg::GenericOp op) {
  auto add = stripCasts(getYielded(op)).getDefiningOp<arith::AddFOp>();
  if (!add)
    return {};
  if (isOutputArgument(op, add.getLhs()))
    return add.getRhs();
  return isOutputArgument(op, add.getRhs()) ? add.getLhs() : Value();
}

/// The softmax that is being matched; each step fills in what it finds.
struct Match {
  linalg::GenericOp products; // scores = query * key
  OpOperand *query = nullptr, *key = nullptr;
  Atom keyAtom = 0; // the loop over keys
  double scale = 1.0;
  std::optional<double> softcap;
  /// A term of the scores that does not come from the products: where it is, and whether it is added, keeps or drops.
  struct Term {
    linalg::GenericOp op;
    Value value;
    enum Kind { Bias, Keep, Drop } kind;
    Axes axes; // of the loops of `op`
  };
  SmallVector<Term> terms;
  linalg::GenericOp weights; // exp(scores - max)
  linalg::GenericOp output;  // weights / sum * value
  OpOperand *weightOperand = nullptr, *value = nullptr;
};

/// Matches one softmax, from its second contraction back.
class Matcher {
public:
  explicit Matcher(linalg::GenericOp output) { match.output = output; }

  std::optional<Mismatch> run() {
    for (auto step : {&Matcher::matchOutput, &Matcher::matchWeights, &Matcher::matchScores, &Matcher::matchReductions})
      if (std::optional<Mismatch> mismatch = (this->*step)())
        return mismatch;
    return std::nullopt;
  }

  Match match;

  /// The axes of `value`, a tensor of scores, traced to the products.
  std::optional<Axes> getAxes(Value value) {
    if (value == match.products->getResult(0))
      return getLoopAxes(match.products, value);
    Operation *op = value.getDefiningOp();
    if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(op))
      return collapseAxes(collapse);
    if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(op))
      return expandAxes(expand);
    auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
    if (!generic)
      return std::nullopt;
    std::optional<Axes> loops = getGenericAxes(generic);
    if (!loops)
      return std::nullopt;
    AffineMap map = generic.getIndexingMapsArray().back();
    Axes axes;
    for (AffineExpr expr : map.getResults())
      axes.push_back((*loops)[cast<AffineDimExpr>(expr).getPosition()]);
    return axes;
  }

  /// The axes of the loops of an elementwise op on scores, from the input that carries them.
  std::optional<Axes> getGenericAxes(linalg::GenericOp op) {
    OpOperand *scores = findScoreInput(op);
    std::optional<Axes> axes = scores ? getAxes(scores->get()) : std::nullopt;
    if (!axes)
      return std::nullopt;
    Axes loops(op.getNumLoops());
    AffineMap map = op.getMatchingIndexingMap(scores);
    for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop)
        return std::nullopt;
      loops[loop.getPosition()] = (*axes)[dim];
    }
    return loops;
  }

private:
  static Mismatch fail(Operation *op, const Twine &reason) { return {op, reason.str()}; }

  int64_t getExtent(Atom atom) { return match.products.getStaticLoopRanges()[atom]; }

  Axes getLoopAxes(linalg::GenericOp op, Value) {
    Axes axes;
    for (AffineExpr expr : op.getIndexingMapsArray().back().getResults()) {
      Atom atom = cast<AffineDimExpr>(expr).getPosition();
      axes.emplace_back();
      if (getExtent(atom) != 1)
        axes.back().push_back(atom);
    }
    return axes;
  }

  std::optional<Axes> collapseAxes(tensor::CollapseShapeOp op) {
    std::optional<Axes> source = getAxes(op.getSrc());
    if (!source)
      return std::nullopt;
    Axes axes;
    for (const ReassociationIndices &group : op.getReassociationIndices()) {
      axes.emplace_back();
      for (int64_t dim : group)
        axes.back().append((*source)[dim]);
    }
    return axes;
  }

  std::optional<Axes> expandAxes(tensor::ExpandShapeOp op) {
    std::optional<Axes> source = getAxes(op.getSrc());
    if (!source)
      return std::nullopt;
    Axes axes(op.getResultType().getRank());
    for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
      ArrayRef<Atom> rest = (*source)[dim];
      for (int64_t part : group) {
        int64_t extent = op.getResultType().getDimSize(part), product = 1;
        if (extent == 1)
          continue;
        // A part takes the atoms whose extents multiply to its own; a dynamic part takes one.
        while (!rest.empty() && product != extent) {
          int64_t atomExtent = getExtent(rest.front());
          product = ShapedType::isDynamic(atomExtent) ? extent : product * atomExtent;
          axes[part].push_back(rest.front());
          rest = rest.drop_front();
        }
        if (product != extent)
          return std::nullopt;
      }
      if (!rest.empty())
        return std::nullopt;
    }
    return axes;
  }

  /// The input of an elementwise op that is made of the products.
  OpOperand *findScoreInput(linalg::GenericOp op) {
    for (OpOperand *input : op.getDpsInputOperands())
      if (isScores(input->get()))
        return input;
    return nullptr;
  }

  bool isScores(Value value) {
    while (Operation *op = value.getDefiningOp()) {
      if (op == match.products)
        return true;
      if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op)) {
        value = op->getOperand(0);
        continue;
      }
      auto generic = dyn_cast<linalg::GenericOp>(op);
      if (!generic || generic.getNumReductionLoops() > 0)
        return false;
      return llvm::any_of(generic.getDpsInputs(), [&](Value input) { return isScores(input); });
    }
    return false;
  }

  //===-- The second contraction: weights / sum * value -----------------------------------------------------------===//

  std::optional<Mismatch> matchOutput() {
    linalg::GenericOp op = match.output;
    Value term = matchSum(op);
    if (!term || countReductions(op) != 1 || !isInitialised(op, [](double x) { return x == 0; }))
      return fail(op, "is no sum of products that starts from 0");
    if (std::optional<Mismatch> mismatch = collectFactors(op, term, /*isDivisor=*/false))
      return mismatch;
    if (factors.size() != 2 || divisors.size() != 1)
      return fail(op, "does not multiply weights, one value and the reciprocal of one sum");
    sum = divisors.front();
    for (unsigned i : {0u, 1u})
      if (findExponential(factors[i]->get())) {
        match.weightOperand = factors[i];
        match.value = factors[1 - i];
      }
    return match.weightOperand ? std::nullopt : std::optional(fail(op, "neither factor is an exponential"));
  }

  std::optional<Mismatch> collectFactors(linalg::GenericOp op, Value term, bool isDivisor) {
    term = stripCasts(term);
    if (OpOperand *input = getInput(op, term)) {
      (isDivisor ? divisors : factors).push_back(input);
      return std::nullopt;
    }
    Operation *producer = term.getDefiningOp();
    if (isa_and_nonnull<arith::MulFOp>(producer)) {
      for (Value operand : producer->getOperands())
        if (std::optional<Mismatch> mismatch = collectFactors(op, operand, isDivisor))
          return mismatch;
      return std::nullopt;
    }
    if (auto division = dyn_cast_or_null<arith::DivFOp>(producer)) {
      if (getConstant(division.getLhs()) != 1.0)
        if (std::optional<Mismatch> mismatch = collectFactors(op, division.getLhs(), isDivisor))
          return mismatch;
      return collectFactors(op, division.getRhs(), !isDivisor);
    }
    return fail(op, "multiplies something else than inputs");
  }

  static Value stripReshapes(Value value) {
    while (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(value.getDefiningOp()))
      value = value.getDefiningOp()->getOperand(0);
    return value;
  }

  /// The op that computes exp(...) elementwise.
  static linalg::GenericOp findExponential(Value value) {
    auto op = stripReshapes(value).getDefiningOp<linalg::GenericOp>();
    if (!op || op.getNumReductionLoops() > 0 || op->getNumResults() != 1 ||
        !stripCasts(getYielded(op)).getDefiningOp<math::ExpOp>())
      return nullptr;
    return op;
  }

  //===-- exp(scores - max) ---------------------------------------------------------------------------------------===//

  std::optional<Mismatch> matchWeights() {
    match.weights = findExponential(match.weightOperand->get());
    linalg::GenericOp op = match.weights;
    Value exponent = stripCasts(stripCasts(getYielded(op)).getDefiningOp()->getOperand(0));
    OpOperand *scores = getInput(op, exponent);
    if (auto difference = exponent.getDefiningOp<arith::SubFOp>()) {
      scores = getInput(op, difference.getLhs());
      max = getInput(op, difference.getRhs());
      if (!max)
        return fail(op, "subtracts something else than a maximum");
    }
    if (!scores)
      return fail(op, "its exponent is not scores less their maximum");
    maskedScores = scores->get();
    return std::nullopt;
  }

  //===-- Scores: scale, softcap, bias and masks on the first contraction -----------------------------------------===//

  std::optional<Mismatch> matchScores() {
    // Back through elementwise ops to the products, remembering the expressions on the way.
    SmallVector<std::pair<linalg::GenericOp, OpOperand *>> chain;
    Value value = maskedScores;
    while (true) {
      value = stripReshapes(value);
      auto op = value.getDefiningOp<linalg::GenericOp>();
      if (!op || op->getNumResults() != 1)
        return fail(match.output, "its scores do not come from a contraction");
      if (op.getNumReductionLoops() > 0) {
        match.products = op;
        break;
      }
      OpOperand *next = nullptr;
      for (OpOperand *input : op.getDpsInputOperands())
        if (comesFromContraction(input->get())) {
          if (next)
            return fail(op, "two of its inputs come from contractions");
          next = input;
        }
      if (!next)
        return fail(op, "none of its inputs comes from a contraction");
      chain.emplace_back(op, next);
      value = next->get();
    }
    if (std::optional<Mismatch> mismatch = matchProducts())
      return mismatch;
    linalg::GenericOp previous = match.products;
    for (auto [op, scores] : llvm::reverse(chain)) {
      if (std::optional<Mismatch> mismatch = matchUses(previous, {op.getOperation()}))
        return mismatch;
      previous = op;
      std::optional<Axes> axes = getGenericAxes(op);
      if (!axes)
        return fail(op, "its dimensions are not those of the scores");
      Value argument = op.getBody()->getArgument(scores->getOperandNumber());
      if (std::optional<Mismatch> mismatch = matchExpression(op, getYielded(op), argument, *axes))
        return mismatch;
    }
    return std::nullopt;
  }

  static bool comesFromContraction(Value value) {
    value = stripReshapes(value);
    auto op = value.getDefiningOp<linalg::GenericOp>();
    if (!op)
      return false;
    if (op.getNumReductionLoops() > 0)
      return op.getNumDpsInputs() == 2;
    return llvm::any_of(op.getDpsInputs(), comesFromContraction);
  }

  std::optional<Mismatch> matchProducts() {
    linalg::GenericOp op = match.products;
    Value term = matchSum(op);
    if (!term || op.getNumDpsInputs() != 2 || countReductions(op) != 1 ||
        !isInitialised(op, [](double x) { return x == 0; }))
      return fail(op, "is no product of query and key");
    if (std::optional<Mismatch> mismatch = matchProductTerm(op, term))
      return mismatch;
    if (operands.size() != 2 || operands[0] == operands[1])
      return fail(op, "does not multiply query and key once each");
    return std::nullopt;
  }

  /// query * key * constants.
  std::optional<Mismatch> matchProductTerm(linalg::GenericOp op, Value term) {
    term = stripCasts(term);
    if (OpOperand *input = getInput(op, term)) {
      operands.push_back(input);
      return std::nullopt;
    }
    if (std::optional<double> constant = getConstant(term)) {
      match.scale *= *constant;
      return std::nullopt;
    }
    Operation *producer = term.getDefiningOp();
    if (auto division = dyn_cast_or_null<arith::DivFOp>(producer)) {
      std::optional<double> constant = getConstant(division.getRhs());
      if (!constant)
        return fail(op, "divides by something that is not constant");
      match.scale /= *constant;
      return matchProductTerm(op, division.getLhs());
    }
    if (!isa_and_nonnull<arith::MulFOp>(producer))
      return fail(op, "computes more than a product of query and key");
    for (Value operand : producer->getOperands())
      if (std::optional<Mismatch> mismatch = matchProductTerm(op, operand))
        return mismatch;
    return std::nullopt;
  }

  static bool dependsOn(Value value, Value argument) {
    if (value == argument)
      return true;
    Operation *op = value.getDefiningOp();
    return op && op->getBlock() == argument.getParentBlock() &&
           llvm::any_of(op->getOperands(), [&](Value operand) { return dependsOn(operand, argument); });
  }

  /// Peels `value`, an expression of the score `argument`, from the outside in.
  std::optional<Mismatch> matchExpression(linalg::GenericOp op, Value value, Value argument, const Axes &axes) {
    value = stripCasts(value);
    if (value == argument)
      return std::nullopt;
    Operation *producer = value.getDefiningOp();
    auto inner = [&](Value score) { return matchExpression(op, score, argument, axes); };
    if (auto add = dyn_cast_or_null<arith::AddFOp>(producer)) {
      bool isLeft = dependsOn(add.getLhs(), argument);
      Value score = isLeft ? add.getLhs() : add.getRhs(), bias = isLeft ? add.getRhs() : add.getLhs();
      if (dependsOn(bias, argument))
        return fail(op, "adds the scores to themselves");
      if (std::optional<Mismatch> mismatch = inner(score))
        return mismatch;
      match.terms.push_back({op, bias, Match::Term::Bias, axes});
      return std::nullopt;
    }
    if (auto select = dyn_cast_or_null<arith::SelectOp>(producer))
      return matchMask(op, select, argument, axes);
    return matchScaling(op, producer, argument, axes);
  }

  std::optional<Mismatch> matchMask(linalg::GenericOp op, arith::SelectOp select, Value argument, const Axes &axes) {
    bool keepsTrue = dependsOn(select.getTrueValue(), argument);
    Value score = keepsTrue ? select.getTrueValue() : select.getFalseValue();
    Value fill = keepsTrue ? select.getFalseValue() : select.getTrueValue();
    std::optional<double> constant = getConstant(fill);
    // Finite fills that no score can compete with mean the same as -inf wherever a row has a key (and rows without keys
    // are then 0).
    bool isHalf = getElementTypeOrSelf(fill.getType()).isF16();
    if (!constant || !(*constant <= (isHalf ? -6e4 : -1e9)) || dependsOn(select.getCondition(), argument))
      return fail(op, "selects something else than a masking fill");
    if (std::optional<Mismatch> mismatch = matchExpression(op, score, argument, axes))
      return mismatch;
    match.terms.push_back({op, select.getCondition(), keepsTrue ? Match::Term::Keep : Match::Term::Drop, axes});
    return std::nullopt;
  }

  /// score * c, score / c, and c * tanh(score / c).
  std::optional<Mismatch> matchScaling(linalg::GenericOp op, Operation *producer, Value argument, const Axes &axes) {
    if (!isa_and_nonnull<arith::MulFOp, arith::DivFOp>(producer))
      return fail(op, "does something to the scores that attention does not");
    bool isLeft = dependsOn(producer->getOperand(0), argument);
    Value score = producer->getOperand(isLeft ? 0 : 1);
    std::optional<double> constant = getConstant(producer->getOperand(isLeft ? 1 : 0));
    if (!constant || (isa<arith::DivFOp>(producer) && !isLeft))
      return fail(op, "scales the scores by something that is not constant");
    double factor = isa<arith::DivFOp>(producer) ? 1.0 / *constant : *constant;
    if (auto tanh = stripCasts(score).getDefiningOp<math::TanhOp>()) {
      if (std::optional<Mismatch> mismatch = matchExpression(op, tanh.getOperand(), argument, axes))
        return mismatch;
      if (match.softcap || !match.terms.empty() || factor <= 0)
        return fail(op, "caps the scores after a mask or twice");
      match.softcap = factor;
      match.scale *= factor;
      return std::nullopt;
    }
    if (std::optional<Mismatch> mismatch = matchExpression(op, score, argument, axes))
      return mismatch;
    if (match.softcap || !match.terms.empty())
      return fail(op, "scales the scores after a cap or a mask");
    match.scale *= factor;
    return std::nullopt;
  }

  //===-- The maximum and the sum run over the keys ---------------------------------------------------------------===//

  std::optional<Mismatch> matchReductions() {
    if (std::optional<Mismatch> mismatch = matchSides())
      return mismatch;
    auto sumOp = stripReshapes(sum->get()).getDefiningOp<linalg::GenericOp>();
    if (!sumOp || sumOp.getNumDpsInputs() != 1 || sumOp->getNumResults() != 1 ||
        !isInitialised(sumOp, [](double x) { return x == 0; }) || !matchSum(sumOp) || !getInput(sumOp, matchSum(sumOp)))
      return fail(match.output, "does not divide by a sum of weights");
    if (stripReshapes(sumOp.getDpsInputs()[0]) != match.weights->getResult(0))
      return fail(sumOp, "sums something else than the weights");
    if (!runsOverKeys(sumOp, *getAxes(sumOp.getDpsInputs()[0])))
      return fail(sumOp, "sums over something else than the keys");
    if (std::optional<Mismatch> mismatch = matchUses(match.weights, {sumOp, match.output}))
      return mismatch;
    return max ? matchMax() : std::nullopt;
  }

  std::optional<Mismatch> matchMax() {
    auto maxOp = stripReshapes(max->get()).getDefiningOp<linalg::GenericOp>();
    if (!maxOp || maxOp.getNumDpsInputs() != 1 || maxOp->getNumResults() != 1 ||
        !isInitialised(maxOp, [](double x) { return x <= -6e4; }))
      return fail(match.weights, "subtracts something else than a maximum");
    Operation *combiner = stripCasts(getYielded(maxOp)).getDefiningOp();
    if (!isa_and_nonnull<arith::MaximumFOp, arith::MaxNumFOp>(combiner))
      return fail(maxOp, "is no maximum");
    std::optional<Axes> axes = getAxes(maxOp.getDpsInputs()[0]);
    if (stripReshapes(maxOp.getDpsInputs()[0]) != stripReshapes(maskedScores) || !axes)
      return fail(maxOp, "is the maximum of something else than the scores");
    // Any number that is the same for all keys of a row serves; the maximum over the keys is one.
    if (!runsOverKeys(maxOp, *axes))
      return fail(maxOp, "is the maximum over something else than the keys");
    if (auto scores = stripReshapes(maskedScores).getDefiningOp<linalg::GenericOp>())
      return matchUses(scores, {maxOp, match.weights});
    return std::nullopt;
  }

  /// Which factor is the query: the value shares the other one's loop.
  std::optional<Mismatch> matchSides() {
    std::optional<Axes> axes = getAxes(match.weightOperand->get());
    if (!axes)
      return fail(match.output, "its weights do not have the dimensions of the scores");
    AffineMap map = match.output.getMatchingIndexingMap(match.weightOperand);
    unsigned reduction = 0;
    for (auto [loop, kind] : llvm::enumerate(match.output.getIteratorTypesArray()))
      if (kind == utils::IteratorType::reduction && match.output.getStaticLoopRanges()[loop] != 1)
        reduction = loop;
    std::optional<unsigned> dim = map.getResultPosition(getAffineDimExpr(reduction, map.getContext()));
    if (!dim || (*axes)[*dim].size() != 1)
      return fail(match.output, "does not sum over one dimension of the scores");
    match.keyAtom = (*axes)[*dim].front();
    auto lists = [&](OpOperand *operand) {
      return match.products.getMatchingIndexingMap(operand).isFunctionOfDim(match.keyAtom);
    };
    if (lists(operands[0]) == lists(operands[1]))
      return fail(match.output, "sums over a dimension that is not the keys' alone");
    match.key = lists(operands[0]) ? operands[0] : operands[1];
    match.query = lists(operands[0]) ? operands[1] : operands[0];
    return std::nullopt;
  }

  bool runsOverKeys(linalg::GenericOp op, const Axes &inputAxes) {
    AffineMap map = op.getIndexingMapsArray()[0];
    for (auto [loop, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
      std::optional<unsigned> dim = map.getResultPosition(getAffineDimExpr(loop, map.getContext()));
      bool isKeys = dim && inputAxes[*dim] == SmallVector<Atom>{match.keyAtom};
      bool isUnit = dim && inputAxes[*dim].empty();
      if ((kind == utils::IteratorType::reduction) != isKeys && !isUnit)
        return false;
    }
    return true;
  }

  /// Nobody but `users` looks at the result of `op`.
  static std::optional<Mismatch> matchUses(linalg::GenericOp op, ArrayRef<Operation *> users) {
    SmallVector<Value> worklist = {op->getResult(0)};
    while (!worklist.empty())
      for (Operation *user : worklist.pop_back_val().getUsers()) {
        if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(user))
          worklist.push_back(user->getResult(0));
        else if (!llvm::is_contained(users, user))
          return fail(user, "uses scores or weights for something else");
      }
    return std::nullopt;
  }

  SmallVector<OpOperand *> factors, divisors, operands;
  OpOperand *sum = nullptr, *max = nullptr;
  Value maskedScores;
};

//===-- Building the op
//---------------------------------------------------------------------------------------------===//

/// Builds gqa.attention for a match.
class Builder {
public:
  Builder(RewriterBase &b, Matcher &matcher)
      : b(b), matcher(matcher), match(matcher.match), loc(match.output.getLoc()) {}

  std::optional<Mismatch> run() {
    if (std::optional<Mismatch> mismatch = nameAtoms())
      return mismatch;
    b.setInsertionPoint(match.output);
    if (!addOperand(match.query->get(), match.products.getMatchingIndexingMap(match.query), productDims()) ||
        !addOperand(match.key->get(), match.products.getMatchingIndexingMap(match.key), productDims()) ||
        !addOperand(match.value->get(), match.output.getMatchingIndexingMap(match.value), outputDims))
      return Mismatch{match.output, "reads an operand through a map that is no projection"};
    SmallVector<int32_t> segments = {1, 1, 1};
    if (std::optional<Mismatch> mismatch = addTerms(segments))
      return mismatch;
    segments.append({0, 0, 0, 1});
    return build(segments);
  }

private:
  using LoopDims = SmallVector<std::optional<Dim>>;

  /// Gives each loop of the two contractions its name.
  std::optional<Mismatch> nameAtoms() {
    linalg::GenericOp op = match.products;
    AffineMap queryMap = op.getMatchingIndexingMap(match.query), keyMap = op.getMatchingIndexingMap(match.key);
    SmallVector<Atom> shared, rows;
    dims.assign(op.getNumLoops(), std::nullopt);
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
      bool inQuery = queryMap.isFunctionOfDim(loop), inKey = keyMap.isFunctionOfDim(loop);
      if (op.getStaticLoopRanges()[loop] == 1) {
        continue;
      } else if (op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction) {
        dims[loop] = Dim::dqk;
      } else if (loop == match.keyAtom) {
        dims[loop] = Dim::n;
      } else if (inQuery && inKey) {
        shared.push_back(loop);
      } else if (inQuery) {
        rows.push_back(loop);
      } else {
        return Mismatch{op, "has a second dimension that only the key lists"};
      }
    }
    if (!assign(shared, Dim::b, Dim::hkv) || !assign(rows, Dim::m, Dim::g))
      return Mismatch{op, "has more batch or row dimensions than attention"};
    return nameOutputLoops();
  }

  /// Names up to two loops. `first` (b or m) may be dynamic; `second` (hkv or g) is static, and so are lone heads.
  bool assign(ArrayRef<Atom> loops, Dim first, Dim second) {
    SmallVector<int64_t> extents = match.products.getStaticLoopRanges();
    auto isDynamic = [&](Atom loop) { return ShapedType::isDynamic(extents[loop]); };
    if (loops.size() == 1) {
      bool isHeads = first == Dim::b && !isDynamic(loops[0]);
      dims[loops[0]] = isHeads ? second : first;
    } else if (loops.size() == 2) {
      // Either way round is the same function; more rows in m, and the outer loop as the batch, run better.
      bool isSwapped =
          isDynamic(loops[1]) || (first == Dim::m && !isDynamic(loops[0]) && extents[loops[1]] > extents[loops[0]]);
      dims[loops[isSwapped ? 1 : 0]] = first;
      dims[loops[isSwapped ? 0 : 1]] = second;
      return !isDynamic(loops[isSwapped ? 0 : 1]);
    }
    return loops.size() <= 2;
  }

  std::optional<Mismatch> nameOutputLoops() {
    linalg::GenericOp op = match.output;
    outputDims.assign(op.getNumLoops(), std::nullopt);
    std::optional<Axes> axes = matcher.getAxes(match.weightOperand->get());
    AffineMap map = op.getMatchingIndexingMap(match.weightOperand);
    SmallVector<bool> isWeightLoop(op.getNumLoops(), false);
    for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop || (*axes)[dim].size() > 1)
        return Mismatch{op, "reads weights with merged dimensions"};
      isWeightLoop[loop.getPosition()] = true;
      if (!(*axes)[dim].empty())
        outputDims[loop.getPosition()] = dims[(*axes)[dim].front()];
    }
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
      if (isWeightLoop[loop] || op.getStaticLoopRanges()[loop] == 1)
        continue;
      if (llvm::is_contained(outputDims, std::optional(Dim::dv)))
        return Mismatch{op, "has two dimensions of values"};
      outputDims[loop] = Dim::dv;
    }
    // Every row dimension must come through, and a head dimension of one still counts.
    if (!llvm::is_contained(outputDims, std::optional(Dim::dv)))
      return Mismatch{op, "has no dimension of values"};
    for (std::optional<Dim> dim : dims)
      if (dim && *dim != Dim::dqk && !llvm::is_contained(outputDims, dim))
        return Mismatch{op, "does not have every dimension of the scores"};
    return std::nullopt;
  }

  LoopDims productDims() { return dims; }

  /// `tensor` without unit dimensions that have no name, and the dims that it then lists.
  std::optional<std::pair<Value, AffineMap>> nameDims(Value tensor, AffineMap map, const LoopDims &loopDims) {
    auto type = cast<RankedTensorType>(tensor.getType());
    SmallVector<Dim> named;
    SmallVector<int64_t> shape;
    for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      std::optional<Dim> name = loop ? loopDims[loop.getPosition()] : std::nullopt;
      if (!name && type.getDimSize(dim) != 1)
        return std::nullopt;
      if (!name)
        continue;
      if (llvm::is_contained(named, *name))
        return std::nullopt;
      named.push_back(*name);
      shape.push_back(type.getDimSize(dim));
    }
    AffineMap namedMap = getDimsMap(b.getContext(), named);
    if (named.size() == map.getNumResults())
      return std::pair(tensor, namedMap);
    SmallVector<OpFoldResult> zeros(type.getRank(), b.getIndexAttr(0)), ones(type.getRank(), b.getIndexAttr(1));
    auto reduced = RankedTensorType::get(shape, type.getElementType());
    Value slice =
        tensor::ExtractSliceOp::create(b, loc, reduced, tensor, zeros, tensor::getMixedSizes(b, loc, tensor), ones);
    return std::pair(slice, namedMap);
  }

  bool addOperand(Value tensor, AffineMap map, const LoopDims &loopDims) {
    auto named = nameDims(tensor, map, loopDims);
    if (!named)
      return false;
    operands.push_back(named->first);
    maps.push_back(named->second);
    return true;
  }

  /// Biases and masks; several of a kind are combined.
  std::optional<Mismatch> addTerms(SmallVectorImpl<int32_t> &segments) {
    for (bool isBias : {true, false}) {
      SmallVector<Match::Term *> terms;
      for (Match::Term &term : match.terms)
        if ((term.kind == Match::Term::Bias) == isBias)
          terms.push_back(&term);
      segments.push_back(terms.empty() ? 0 : 1);
      if (terms.empty())
        continue;
      if (terms.size() > 1)
        return Mismatch{terms[1]->op, "adds or masks more than once"};
      if (std::optional<Mismatch> mismatch = addTerm(*terms.front()))
        return mismatch;
    }
    return std::nullopt;
  }

  /// The term as a tensor of its own, over the loops that it depends on.
  std::optional<Mismatch> addTerm(Match::Term &term) {
    SetVector<Operation *> slice;
    SetVector<unsigned> loops;
    SmallVector<OpOperand *> inputs;
    if (!collectSlice(term.op, term.value, slice, loops, inputs))
      return Mismatch{term.op, "computes a bias or mask in a way that cannot be taken out"};
    SmallVector<unsigned> order(loops.begin(), loops.end());
    llvm::sort(order);
    SmallVector<OpFoldResult> sizes;
    SmallVector<AffineExpr> replacements(term.op.getNumLoops(), getAffineConstantExpr(0, b.getContext()));
    LoopDims loopDims;
    for (auto [position, loop] : llvm::enumerate(order)) {
      if (term.axes[loop].size() > 1)
        return Mismatch{term.op, "computes a bias or mask over merged dimensions"};
      loopDims.push_back(term.axes[loop].empty() ? std::nullopt : dims[term.axes[loop].front()]);
      replacements[loop] = b.getAffineDimExpr(position);
      sizes.push_back(getLoopSize(term.op, loop));
    }
    SmallVector<AffineMap> termMaps;
    SmallVector<Value> tensors;
    for (OpOperand *input : inputs) {
      tensors.push_back(input->get());
      termMaps.push_back(
          term.op.getMatchingIndexingMap(input).replaceDimsAndSymbols(replacements, {}, order.size(), 0));
    }
    termMaps.push_back(b.getMultiDimIdentityMap(order.size()));
    bool isBias = term.kind == Match::Term::Bias;
    Type element = isBias ? term.value.getType() : Type(b.getI8Type());
    Value empty = tensor::EmptyOp::create(b, loc, sizes, element);
    SmallVector<utils::IteratorType> iterators(order.size(), utils::IteratorType::parallel);
    auto generic = linalg::GenericOp::create(
        b, loc, empty.getType(), tensors, empty, termMaps, iterators,
        [&](OpBuilder &nested, Location l, ValueRange args) {
          IRMapping mapping;
          for (auto [input, arg] : llvm::zip(inputs, args))
            mapping.map(term.op.getBody()->getArgument(input->getOperandNumber()), arg);
          for (Operation &original : term.op.getBody()->without_terminator()) {
            if (!slice.contains(&original))
              continue;
            Operation *clone = nested.clone(original, mapping);
            if (auto index = dyn_cast<linalg::IndexOp>(clone))
              index.setDim(llvm::find(order, index.getDim()) - order.begin());
          }
          Value value = mapping.lookupOrDefault(term.value);
          if (!isBias) {
            if (term.kind == Match::Term::Drop)
              value = arith::XOrIOp::create(nested, l, value, arith::ConstantIntOp::create(nested, l, 1, 1));
            value = arith::ExtUIOp::create(nested, l, nested.getI8Type(), value);
          }
          linalg::YieldOp::create(nested, l, value);
        });
    if (!addOperand(generic.getResult(0), b.getMultiDimIdentityMap(order.size()), loopDims))
      return Mismatch{term.op, "computes a bias or mask over dimensions that have no name"};
    return std::nullopt;
  }

  /// What `value` is computed from inside the body of `op`.
  static bool collectSlice(linalg::GenericOp op, Value value, SetVector<Operation *> &slice, SetVector<unsigned> &loops,
                           SmallVectorImpl<OpOperand *> &inputs) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() != op.getBody() || argument.getArgNumber() >= op.getNumDpsInputs())
        return false;
      OpOperand *input = op.getDpsInputOperand(argument.getArgNumber());
      if (!llvm::is_contained(inputs, input))
        inputs.push_back(input);
      AffineMap map = op.getMatchingIndexingMap(input);
      for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
        if (map.isFunctionOfDim(loop))
          loops.insert(loop);
      return true;
    }
    Operation *producer = value.getDefiningOp();
    if (producer->getBlock() != op.getBody())
      return true; // a value from outside
    if (auto index = dyn_cast<linalg::IndexOp>(producer))
      loops.insert(index.getDim());
    if (!isPure(producer) || producer->getNumRegions() > 0)
      return false;
    for (Value operand : producer->getOperands())
      if (!collectSlice(op, operand, slice, loops, inputs))
        return false;
    slice.insert(producer);
    return true;
  }

  OpFoldResult getLoopSize(linalg::GenericOp op, unsigned loop) {
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      if (std::optional<unsigned> dim = map.getResultPosition(getAffineDimExpr(loop, map.getContext())))
        return tensor::getMixedSize(b, loc, operand.get(), *dim);
    }
    llvm_unreachable("every loop is a dimension of some operand");
  }

  std::optional<Mismatch> build(ArrayRef<int32_t> segments) {
    // The destination lists the output's dimensions in its order.
    linalg::GenericOp op = match.output;
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    SmallVector<OpFoldResult> fullSizes = tensor::getMixedSizes(b, loc, op.getDpsInits()[0]), sizes;
    SmallVector<Dim> named;
    for (auto [dim, expr] : llvm::enumerate(op.getIndexingMapsArray().back().getResults()))
      if (std::optional<Dim> name = outputDims[cast<AffineDimExpr>(expr).getPosition()]) {
        named.push_back(*name);
        sizes.push_back(fullSizes[dim]);
      }
    Value empty = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
    operands.push_back(empty);
    maps.push_back(getDimsMap(b.getContext(), named));
    SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(maps)),
                                              b.getNamedAttr("scale", b.getF32FloatAttr(match.scale)),
                                              b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
    if (match.softcap)
      attributes.push_back(b.getNamedAttr("softcap", b.getF32FloatAttr(*match.softcap)));
    if (!std::isfinite(match.scale))
      return Mismatch{op, "scales the scores by a number that is not finite"};
    auto attention = AttentionOp::create(b, loc, empty.getType(), operands, attributes);
    if (failed(attention.verify())) {
      b.eraseOp(attention);
      return Mismatch{op, "is attention that gqa.attention cannot say"};
    }
    Value result = attention.getResult(0);
    if (static_cast<int64_t>(named.size()) != type.getRank()) {
      SmallVector<OpFoldResult> zeros(type.getRank(), b.getIndexAttr(0)), ones(type.getRank(), b.getIndexAttr(1));
      Value whole = tensor::EmptyOp::create(b, loc, fullSizes, type.getElementType());
      result = tensor::InsertSliceOp::create(b, loc, result, whole, zeros, fullSizes, ones);
    }
    b.replaceOp(op, result);
    return std::nullopt;
  }

  RewriterBase &b;
  Matcher &matcher;
  Match &match;
  Location loc;
  LoopDims dims, outputDims;
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
};

/// Whether `op` could be the second contraction of a softmax: a sum in which an exponential is a factor.
bool isCandidate(linalg::GenericOp op) {
  if (op.getNumReductionLoops() == 0 || op.getNumDpsInputs() < 2)
    return false;
  return llvm::any_of(op.getDpsInputs(), [](Value input) {
    while (isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(input.getDefiningOp()))
      input = input.getDefiningOp()->getOperand(0);
    auto producer = input.getDefiningOp<linalg::GenericOp>();
    return producer && producer.getNumReductionLoops() == 0 && producer->getNumResults() == 1 &&
           stripCasts(getYielded(producer)).getDefiningOp<math::ExpOp>();
  });
}

struct RaiseAttention : impl::RaiseAttentionBase<RaiseAttention> {
  using RaiseAttentionBase::RaiseAttentionBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<GQADialect, linalg::LinalgDialect, tensor::TensorDialect, arith::ArithDialect>();
    buildNormalForm().getDependentDialects(registry);
  }

  void runOnOperation() override {
    SmallVector<func::FuncOp> functions = llvm::to_vector(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      bool hasSoftmax = false;
      function.walk([&](math::ExpOp) { hasSoftmax = true; });
      if (!hasSoftmax || function.isExternal())
        continue;
      auto copy = cast<func::FuncOp>(function->clone());
      copy.setName((function.getName() + ".normal").str());
      getOperation().insert(function, copy);
      OpPassManager pipeline = buildNormalForm();
      bool isRaised = succeeded(runPipeline(pipeline, copy)) && raise(copy);
      if (isRaised)
        function.getBody().takeBody(copy.getBody());
      copy.erase();
    }
  }

private:
  static OpPassManager buildNormalForm() {
    OpPassManager pipeline(func::FuncOp::getOperationName());
    auto cleanUp = [&] {
      pipeline.addPass(createCanonicalizerPass());
      pipeline.addPass(createCSEPass());
    };
    pipeline.addPass(createCanonicalizerPass());
    pipeline.addPass(createLinalgGeneralizeNamedOpsPass());
    pipeline.addPass(createLinalgElementwiseOpFusionPass());
    cleanUp();
    pipeline.addPass(createLinalgFoldUnitExtentDimsPass());
    cleanUp();
    pipeline.addPass(createLinalgElementwiseOpFusionPass());
    cleanUp();
    return pipeline;
  }

  /// Raises every softmax of `function`; false if there is one that does not match.
  bool raise(func::FuncOp function) {
    SmallVector<linalg::GenericOp> candidates;
    function.walk([&](linalg::GenericOp op) {
      if (isCandidate(op))
        candidates.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    bool areAllRaised = !candidates.empty();
    for (linalg::GenericOp op : candidates) {
      Matcher matcher(op);
      std::optional<Mismatch> mismatch = matcher.run();
      if (!mismatch)
        mismatch = Builder(rewriter, matcher).run();
      if (!mismatch)
        continue;
      areAllRaised = false;
      if (explain)
        mismatch->op->emitRemark() << "softmax is not raised to gqa.attention: this op " << mismatch->reason;
    }
    return areAllRaised;
  }
};

} // namespace
} // namespace mlir::gqa
