#include "passes/raise/Loops.h"

#include "llvm/Support/MathExtras.h"

namespace mlir::gqa::raise {

SmallVector<Linear::Term, 2> Linear::getOutermostFirst() const {
  SmallVector<Term, 2> sorted(terms);
  llvm::sort(sorted, [](const Term &a, const Term &b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sorted;
}

int64_t Linear::getCoefficient(Loop loop) const {
  for (auto [term, coefficient] : terms)
    if (term == loop)
      return coefficient;
  return 0;
}

Linear add(const Linear &a, const Linear &b, int64_t factor) {
  Linear sum;
  sum.constant = a.constant + factor * b.constant;
  const auto *left = a.terms.begin(), *right = b.terms.begin();
  while (left != a.terms.end() || right != b.terms.end()) {
    bool takesLeft = right == b.terms.end() || (left != a.terms.end() && left->first <= right->first);
    bool takesRight = left == a.terms.end() || (right != b.terms.end() && right->first <= left->first);
    Loop loop = takesLeft ? left->first : right->first;
    int64_t coefficient = 0;
    if (takesLeft)
      coefficient += (left++)->second;
    if (takesRight)
      coefficient += factor * (right++)->second;
    if (coefficient != 0)
      sum.terms.emplace_back(loop, coefficient);
  }
  return sum;
}

Loop Loops::create(int64_t extent, bool canSplit) {
  loops.push_back({extent, canSplit});
  return loops.size() - 1;
}

Linear Loops::getIndex(Loop loop) const {
  Linear index;
  if (loops[loop].extent != 1)
    index.terms.emplace_back(loop, 1);
  return resolve(index);
}

Linear Loops::resolve(const Linear &index) const {
  Linear resolved;
  resolved.constant = index.constant;
  for (auto [loop, coefficient] : index.terms) {
    Linear term;
    if (auto parts = loops[loop].parts) {
      auto [outer, inner] = *parts;
      term = add(getIndex(inner), getIndex(outer), loops[inner].extent);
    } else if (loops[loop].extent != 1) {
      term.terms.emplace_back(loop, 1);
    }
    resolved = add(resolved, term, coefficient);
  }
  return resolved;
}

std::pair<std::optional<int64_t>, std::optional<int64_t>> Loops::getRange(const Linear &unresolved) const {
  Linear index = resolve(unresolved);
  std::optional<int64_t> least = index.constant, greatest = index.constant;
  for (auto [loop, coefficient] : index.terms) {
    int64_t extent = loops[loop].extent;
    std::optional<int64_t> &bound = coefficient < 0 ? least : greatest;
    if (ShapedType::isDynamic(extent))
      bound = std::nullopt;
    else if (bound)
      *bound += coefficient * (extent - 1);
  }
  return {least, greatest};
}

std::optional<std::pair<Linear, Linear>> Loops::divide(const Linear &unresolved, int64_t divisor, Split split) {
  Linear index = resolve(unresolved), quotient, remainder;
  quotient.constant = llvm::divideFloorSigned(index.constant, divisor);
  remainder.constant = index.constant - quotient.constant * divisor;
  for (auto [loop, coefficient] : index.terms) {
    Linear whole;
    whole.terms.emplace_back(loop, 1);
    int64_t extent = loops[loop].extent;
    bool isDynamic = ShapedType::isDynamic(extent);
    if (coefficient % divisor == 0) {
      quotient = add(quotient, whole, coefficient / divisor);
      continue;
    }
    if (!isDynamic && coefficient > 0 && coefficient * (extent - 1) < divisor) {
      remainder = add(remainder, whole, coefficient);
      continue;
    }
    if (split == Split::none || coefficient < 0 || divisor % coefficient != 0 || !loops[loop].canSplit)
      return std::nullopt;
    int64_t innerExtent = divisor / coefficient;
    if (isDynamic ? split != Split::assumed : extent % innerExtent != 0)
      return std::nullopt;
    Loop outer = create(isDynamic ? extent : extent / innerExtent), inner = create(innerExtent);
    loops[loop].parts = {outer, inner};
    loops[outer].sibling = inner;
    loops[inner].sibling = outer;
    loops[inner].isInner = true;
    quotient = add(quotient, getIndex(outer));
    remainder = add(remainder, getIndex(inner), coefficient);
  }
  auto [least, greatest] = getRange(remainder);
  if (!least || *least < 0 || !greatest || *greatest >= divisor)
    return std::nullopt;
  return std::pair(quotient, remainder);
}

} // namespace mlir::gqa::raise
