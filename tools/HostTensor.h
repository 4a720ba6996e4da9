#ifndef GQA_TOOLS_HOSTTENSOR_H
#define GQA_TOOLS_HOSTTENSOR_H

#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <vector>

namespace gqa {

/// A contiguous tensor that owns its elements, of an element type that artifacts know (f32, f64, f16, bf16, i64, i32,
/// i16, i8, i1, index).
class HostTensor {
public:
  /// Zeros. Throws std::runtime_error for an unknown type or an impossible size, std::bad_alloc if memory is out.
  HostTensor(const std::string &type, std::vector<int64_t> shape);

  const std::string &getType() const { return type; }
  const std::vector<int64_t> &getShape() const { return shape; }
  int64_t getNumElements() const;
  int64_t getElementSize() const;
  char *data() { return bytes.data(); }
  const char *data() const { return bytes.data(); }
  size_t getNumBytes() const { return bytes.size(); }

  /// Element `index` in row-major order, as a double and back.
  double get(int64_t index) const;
  void set(int64_t index, double value);

  /// A view for the runtime; valid as long as this.
  DLTensor view();

  /// "f32[1, 8, 128]".
  std::string print() const { return print(type, shape); }
  static std::string print(const std::string &type, const std::vector<int64_t> &shape);

  /// What the elements take. Throws std::runtime_error for an unknown type or an impossible size.
  static int64_t countBytes(const std::string &type, const std::vector<int64_t> &shape);

private:
  std::string type;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

/// Whether `type` is an integer type (i1 and index included).
bool isIntegerType(const std::string &type);

} // namespace gqa

#endif // GQA_TOOLS_HOSTTENSOR_H
