#include "runtime/ElementNames.h"

#include "runtime/Failure.h"

namespace gqa {

namespace {

/// DLPack's kBool, which older headers lack.
constexpr uint8_t kBool = 6;
/// DLPack's kDLFloat8_e4m3fn, which came with DLPack 1.1.
constexpr uint8_t kFloat8E4M3FN = 10;

/// The element types that cross the interface, by MLIR's names.
struct ElementName {
  const char *name;
  uint8_t code;
  uint8_t bits;
};

constexpr ElementName kElementNames[] = {
    {"f32", kDLFloat, 32},
    {"f64", kDLFloat, 64},
    {"f16", kDLFloat, 16},
    {"bf16", kDLBfloat, 16},
    {"i64", kDLInt, 64},
    {"i32", kDLInt, 32},
    {"i16", kDLInt, 16},
    {"i8", kDLInt, 8},
    {"index", kDLInt, 64},
    {"i1", kBool, 8},
    {"f8E4M3FN", kFloat8E4M3FN, 8},
};

} // namespace

DLDataType getElementType(const std::string &name) {
  for (const ElementName &known : kElementNames)
    if (name == known.name)
      return {known.code, known.bits, 1};
  fail(GQA_INTERNAL_ERROR, "element type '" + name + "' has no equivalent in DLPack");
}

bool isElementType(DLDataType type, const std::string &name) {
  if (type.lanes != 1)
    return false;
  bool isByte = type.bits == 8 && (type.code == kDLInt || type.code == kDLUInt || type.code == kBool);
  if (name == "i1" || name == "i8")
    return isByte;
  if (name == "f8E4M3FN" && isByte)
    return true;
  for (const ElementName &known : kElementNames)
    if (name == known.name)
      return type.code == known.code && type.bits == known.bits;
  return false;
}

std::string printElementType(DLDataType type) {
  for (const ElementName &known : kElementNames)
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1)
      return known.name;
  return "DLPack type (" + std::to_string(type.code) + ", " + std::to_string(type.bits) + ", " +
         std::to_string(type.lanes) + ")";
}

} // namespace gqa
