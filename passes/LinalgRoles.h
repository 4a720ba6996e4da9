#ifndef GQA_PASSES_LINALGROLES_H
#define GQA_PASSES_LINALGROLES_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace mlir::gqa {

/// The loops of a contraction that are blocked, and which input is which: out[..., lanes] += lhs[rows, depth] *
/// rhs[depth, lanes].
struct ContractionRoles {
  unsigned rows, lanes, depth;
  unsigned lhs; ///< the input that lists `rows`, 0 or 1; the other one lists `lanes`

  bool isBlocked(unsigned loop) const { return loop == rows || loop == lanes || loop == depth; }
};

/// Whether `op` adds products of two inputs to its output, all floats; inputs may be widened before the product.
bool isFloatContraction(linalg::LinalgOp op);

/// The same with narrow operands, too: 8-bit floats and integers, widened by the body.
bool isWideningContraction(linalg::LinalgOp op);

/// Whether an operand is read backwards. Linalg computes the slice of a tile from the ends of its ranges, which is then
/// upside down, so such an op must not be tiled.
bool readsBackwards(linalg::LinalgOp op);

/// The roles in a contraction that is worth packing: several rows and lanes share what is packed. Nothing for products
/// of a matrix and a vector and outer products, which use each element of one side once, and for what is not a
/// contraction.
std::optional<ContractionRoles> getContractionRoles(linalg::LinalgOp op);

} // namespace mlir::gqa

#endif // GQA_PASSES_LINALGROLES_H
