#ifndef GQA_PASSES_TRACEELEMENT_H
#define GQA_PASSES_TRACEELEMENT_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include <optional>

/// Follows one element of a tensor back through the ops that only move elements.
namespace mlir::gqa {

/// A coordinate of an element: a number, or "wherever along dimension `value` of the tensor where the trace began".
struct Coordinate {
  enum Kind { Number, Anywhere } kind;
  int64_t value;

  static Coordinate number(int64_t value) { return {Number, value}; }
  static Coordinate anywhereAlong(int64_t dim) { return {Anywhere, dim}; }
  bool isNumber() const { return kind == Number; }
  bool operator==(const Coordinate &other) const { return kind == other.kind && value == other.value; }
};

struct Element {
  TypedValue<RankedTensorType> tensor;
  SmallVector<Coordinate> at;
};

/// The element that `element` is a copy of, one op further back: through reshapes, slices, concat, gather, casts,
/// transpositions, broadcasts and generics that yield an element of an input or of a tensor.extract. Indices that are
/// computed from constants and loop indices are evaluated. Nothing if the producer computes the element, or if where it
/// comes from is not known at compile time.
std::optional<Element> traceBack(const Element &element);

} // namespace mlir::gqa

#endif // GQA_PASSES_TRACEELEMENT_H
