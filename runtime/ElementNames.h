#ifndef GQA_RUNTIME_ELEMENTNAMES_H
#define GQA_RUNTIME_ELEMENTNAMES_H

#include <dlpack/dlpack.h>

#include <string>

namespace gqa {

/// DLPack's type for MLIR's name of an element type that crosses the interface. Throws gqa::Failure.
DLDataType getElementType(const std::string &name);

/// Whether tensors of `type` are taken where MLIR's type is `name`: bytes of either sign, and booleans, are i1 and i8.
bool isElementType(DLDataType type, const std::string &name);

/// MLIR's name, or "DLPack type (code, bits, lanes)" for what has none here.
std::string printElementType(DLDataType type);

} // namespace gqa

#endif // GQA_RUNTIME_ELEMENTNAMES_H
