#ifndef GQA_PASSES_RAISE_LOOPS_H
#define GQA_PASSES_RAISE_LOOPS_H

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace mlir::gqa::raise {

/// A loop variable that runs from 0 to below its extent.
using Loop = unsigned;

/// A sum of coefficient * loop, and a constant.
struct Linear {
  using Term = std::pair<Loop, int64_t>;
  SmallVector<Term, 2> terms; ///< in the order of loops; no coefficient is 0
  int64_t constant = 0;

  /// The terms by falling coefficient: the order in which merged dimensions are nested.
  SmallVector<Term, 2> getOutermostFirst() const;

  bool isConstant() const { return terms.empty(); }
  int64_t getCoefficient(Loop loop) const;
  bool operator==(const Linear &other) const { return terms == other.terms && constant == other.constant; }
};

/// a + factor * b
Linear add(const Linear &a, const Linear &b, int64_t factor = 1);

/// Which loops a division may split: none; those whose extents are known to be multiples of the inner extent; dynamic
/// ones, too, where the caller knows that.
enum class Split { none, even, assumed };

/// The loops over which one softmax is described. Reshapes split them: if a dimension that a loop walks is found to be
/// two merged dimensions, the loop becomes an outer and an inner one, everywhere at once.
class Loops {
public:
  /// A new loop; `extent` may be ShapedType::kDynamic. One that cannot be split stays whole whatever it walks.
  Loop create(int64_t extent, bool canSplit = true);

  int64_t getExtent(Loop loop) const { return loops[loop].extent; }
  /// The loop as an index: 0 if its extent is 1.
  Linear getIndex(Loop loop) const;
  /// `index` in terms of loops that are not split.
  Linear resolve(const Linear &index) const;
  /// The least and the greatest value of `index`, where they are known.
  std::pair<std::optional<int64_t>, std::optional<int64_t>> getRange(const Linear &index) const;
  /// `index` as quotient * divisor + remainder with 0 <= remainder < divisor, splitting loops where need be.
  std::optional<std::pair<Linear, Linear>> divide(const Linear &index, int64_t divisor, Split split);
  /// The loop that `loop` was split from, if any, and its other part.
  std::optional<Loop> getSibling(Loop loop) const { return loops[loop].sibling; }
  /// Whether `loop` is the inner part of a split.
  bool isInner(Loop loop) const { return loops[loop].isInner; }

private:
  struct Info {
    int64_t extent;
    bool canSplit;
    std::optional<std::pair<Loop, Loop>> parts = std::nullopt; // outer, inner
    std::optional<Loop> sibling = std::nullopt;
    bool isInner = false;
  };
  SmallVector<Info> loops;
};

} // namespace mlir::gqa::raise

#endif // GQA_PASSES_RAISE_LOOPS_H
