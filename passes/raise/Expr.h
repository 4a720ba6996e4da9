#ifndef GQA_PASSES_RAISE_EXPR_H
#define GQA_PASSES_RAISE_EXPR_H

#include "passes/raise/Loops.h"

#include "mlir/IR/Operation.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <deque>

namespace mlir::gqa::raise {

struct Expr;
/// Expressions live as long as the Exprs that made them.
using ExprRef = const Expr *;

/// What one element of a tensor is, as an expression of loops.
struct Expr {
  enum class Kind {
    number, ///< a constant
    index,  ///< a linear expression of loops
    load,   ///< an element of a tensor
    scalar, ///< an SSA value that is no constant, or the extent of a tensor
    op      ///< an op on scalars
  };
  Kind kind;
  Type type;
  double number = 0;             ///< of extents: the dimension
  Linear index;                  ///< as it was when made: Loops::resolve brings it up to date
  Value value;                   ///< of load: the tensor; of scalar: the value, or the tensor that has the extent
  SmallVector<int64_t> shape;    ///< of load: the tensor's extents, as far as known
  SmallVector<ExprRef> operands; ///< of load: the indices
  std::optional<OperationName> name;
  DictionaryAttr attributes; ///< of op, without flags that say how exact it must be
  Operation *origin = nullptr;

  /// Whether this is the extent of dimension `number` of the tensor `value`.
  bool isExtent() const { return kind == Kind::scalar && isa<RankedTensorType>(value.getType()); }
  template <typename OpT> bool isOp() const {
    return kind == Kind::op && name->getStringRef() == OpT::getOperationName();
  }
  template <typename... OpTs> bool isAnyOp() const { return (isOp<OpTs>() || ...); }
};

/// Makes expressions, folded as far as constants and the ranges of loops allow.
class Exprs {
public:
  Exprs(MLIRContext *context, Loops &loops) : context(context), loops(loops) {}

  ExprRef getNumber(double number, Type type);
  ExprRef getIndex(const Linear &index, Type type);
  ExprRef getIndex(Loop loop);
  ExprRef getLoad(Value tensor, ArrayRef<ExprRef> indices, ArrayRef<int64_t> shape);
  ExprRef getScalar(Value value);
  ExprRef getExtent(Value tensor, unsigned dim);
  ExprRef getOp(OperationName name, DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type,
                Operation *origin);
  template <typename OpT> ExprRef getOp(ArrayRef<ExprRef> operands, Type type) {
    return getOp(OperationName(OpT::getOperationName(), context), DictionaryAttr::get(context), operands, type,
                 operands[0]->origin);
  }
  ExprRef getNot(ExprRef condition);
  ExprRef getAnd(ExprRef a, ExprRef b);
  /// Arithmetic of indices.
  ExprRef addIndex(ExprRef a, ExprRef b);
  ExprRef scaleIndex(ExprRef a, int64_t factor);
  /// Quotient or remainder of a division by a constant. Loops split as `split` says.
  ExprRef divideIndex(ExprRef a, int64_t divisor, Split split);
  ExprRef getRemainder(ExprRef a, int64_t divisor, Split split);

  /// `expr` as a linear expression of loops, if it is one.
  std::optional<Linear> getLinear(ExprRef expr) const;

  MLIRContext *getContext() { return context; }

private:
  ExprRef fold(OperationName name, DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type);
  ExprRef foldCast(StringRef name, ExprRef operand, Type type);
  ExprRef foldSelect(ArrayRef<ExprRef> operands);
  ExprRef foldNumbers(StringRef name, ArrayRef<ExprRef> operands, Type type);
  ExprRef foldLinear(StringRef name, ArrayRef<ExprRef> operands, Type type);
  ExprRef foldCompare(DictionaryAttr attributes, ArrayRef<ExprRef> operands, Type type);
  ExprRef foldNeutral(StringRef name, ArrayRef<ExprRef> operands, Type type);
  Expr &make(Expr::Kind kind, Type type);

  MLIRContext *context;
  Loops &loops;
  std::deque<Expr> pool;
};

/// Whether two expressions are the same, loops taken as they are now.
bool isEqual(ExprRef a, ExprRef b, const Loops &loops);
/// `expr` without conversions between types of floats, or between types of integers.
ExprRef skipCasts(ExprRef expr);
/// The constant that `expr` is, conversions aside.
std::optional<double> getNumber(ExprRef expr);
/// Calls `visit` on `expr` and everything that it is made of, each once.
void walk(ExprRef expr, llvm::function_ref<void(ExprRef)> visit);
/// Whether `expr` varies along `loop`.
bool dependsOn(ExprRef expr, Loop loop, const Loops &loops);
/// The loops along which `expr` varies, in ascending order.
SmallVector<Loop> getLoops(ExprRef expr, const Loops &loops);

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_EXPR_H
