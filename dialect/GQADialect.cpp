#include "dialect/GQADialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::gqa;

#include "dialect/GQADialect.cpp.inc"
#include "dialect/GQAEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/GQAAttributes.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/GQAOps.cpp.inc"

namespace {

/// Functions that attend can be inlined: the ops have no regions and no effects.
struct GQAInliner : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;
  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const override { return true; }
};

} // namespace

void GQADialect::initialize() {
  addInterfaces<GQAInliner>();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/GQAAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/GQAOps.cpp.inc"
      >();
}

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError, Lanes lanes, int64_t g, int64_t m,
                                   int64_t rows, int64_t n, int64_t split, bool dot, bool shorts) {
  if (g < 1 || m < 1 || n < 1)
    return emitError() << "tile sizes must be positive, got g = " << g << ", m = " << m << ", n = " << n << " (S1)";
  if (rows / g < m)
    return emitError() << "rows (" << rows << ") must hold g * m (" << g << " * " << m << ") (S2)";
  if (split < 0 || split % n != 0)
    return emitError() << "split (" << split << ") must be a multiple of n (" << n << "), or 0 (S3)";
  if (dot && n % 2 != 0)
    return emitError() << "dot pairs keys: n (" << n << ") must be even (S4)";
  if (shorts && !(dot && lanes == Lanes::HeadDim))
    return emitError() << "shorts needs dot = true and lanes = head_dim (S4)";
  return success();
}
