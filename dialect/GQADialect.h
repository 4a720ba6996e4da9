#ifndef GQA_DIALECT_GQADIALECT_H
#define GQA_DIALECT_GQADIALECT_H

#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/TilingInterface.h"

#include "dialect/GQADialect.h.inc"

#include "dialect/GQAEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/GQAAttributes.h.inc"

#define GET_OP_CLASSES
#include "dialect/GQAOps.h.inc"

#endif // GQA_DIALECT_GQADIALECT_H
