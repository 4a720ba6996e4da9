#include "tools/Npy.h"

#include "tools/OutputFile.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace gqa {

namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;
// NumPy's own limit on the header that it reads is 10,000 characters.
constexpr size_t kMaxHeaderSize = 1 << 20;

/// `problem` may quote a damaged file, line breaks and all: what does not print becomes '?'.
[[noreturn]] void fail(const std::string &path, std::string problem) {
  std::replace_if(problem.begin(), problem.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  throw std::runtime_error("'" + path + "' " + problem);
}

/// A file, or a pipe such as /dev/stdin, read from its start to its end.
class Reader {
public:
  explicit Reader(const std::string &path) : path(path), stream(path, std::ios::binary) {
    if (!stream)
      throw std::runtime_error("cannot open '" + path + "': " + std::strerror(errno));
  }

  /// The next bytes: fewer than `size` at the end of the file.
  std::string read(size_t size) {
    std::string bytes(size, '\0');
    bytes.resize(read(bytes.data(), size));
    return bytes;
  }

  size_t read(char *bytes, size_t size) {
    stream.read(bytes, static_cast<std::streamsize>(size));
    if (stream.bad())
      throw std::runtime_error("cannot read '" + path + "'");
    return static_cast<size_t>(stream.gcount());
  }

  /// How many bytes a file still has; nothing for what is no regular file.
  std::optional<uint64_t> countRemaining() {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error))
      return std::nullopt;
    uint64_t size = std::filesystem::file_size(path, error);
    auto position = static_cast<uint64_t>(stream.tellg());
    return error ? std::nullopt : std::optional<uint64_t>(size > position ? size - position : 0);
  }

private:
  std::string path;
  std::ifstream stream;
};

/// The text of the value of `key` in the header's dictionary, up to the next comma outside of parentheses.
std::string getField(const std::string &path, const std::string &header, const std::string &key) {
  size_t begin = header.find("'" + key + "'");
  if (begin == std::string::npos || (begin = header.find(':', begin)) == std::string::npos)
    fail(path, "is a damaged .npy file: its header has no '" + key + "'");
  size_t end = ++begin;
  for (int depth = 0; end < header.size() && (depth > 0 || (header[end] != ',' && header[end] != '}')); ++end)
    depth += header[end] == '(' ? 1 : header[end] == ')' ? -1 : 0;
  std::string value = header.substr(begin, end - begin);
  value.erase(0, value.find_first_not_of(" '\""));
  value.erase(value.find_last_not_of(" '\"") + 1);
  return value;
}

std::vector<int64_t> parseShape(const std::string &path, const std::string &text) {
  std::vector<int64_t> shape;
  if (text.size() < 2 || text.front() != '(' || text.back() != ')')
    fail(path, "is a damaged .npy file: shape '" + text + "'");
  std::istringstream stream(text.substr(1, text.size() - 2));
  for (std::string item; std::getline(stream, item, ',');) {
    if (item.find_first_not_of(' ') == std::string::npos)
      continue;
    size_t used = 0;
    int64_t extent = -1;
    try {
      extent = std::stoll(item, &used);
    } catch (const std::exception &) {
    }
    if (extent < 0 || item.find_first_not_of(" L", used) != std::string::npos)
      fail(path, "is a damaged .npy file: extent '" + item + "'");
    shape.push_back(extent);
  }
  return shape;
}

const std::map<std::string, std::string> kTypesByDescriptor = {
    {"<f4", "f32"}, {"<f8", "f64"}, {"<f2", "f16"}, {"<V2", "bf16"}, {"|V2", "bf16"}, {"bfloat16", "bf16"},
    {"<i8", "i64"}, {"<i4", "i32"}, {"<i2", "i16"}, {"|i1", "i8"},   {"|u1", "i8"},   {"|b1", "i1"},
};

std::string getDescriptor(const std::string &type) {
  if (type == "index")
    return "<i8";
  if (type == "bf16")
    return "<V2";
  for (const auto &[descriptor, name] : kTypesByDescriptor)
    if (name == type)
      return descriptor;
  throw std::runtime_error("element type '" + type + "' has no .npy form");
}

/// Copies elements from Fortran order (first index fastest) to C order.
void copyFortran(const char *source, HostTensor &tensor) {
  const std::vector<int64_t> &shape = tensor.getShape();
  int64_t size = tensor.getElementSize(), count = tensor.getNumElements();
  std::vector<int64_t> index(shape.size(), 0), strides(shape.size(), 1);
  for (size_t dim = 1; dim < shape.size(); ++dim)
    strides[dim] = strides[dim - 1] * shape[dim - 1];
  for (int64_t element = 0; element < count; ++element) {
    int64_t offset = 0;
    for (size_t dim = 0; dim < shape.size(); ++dim)
      offset += index[dim] * strides[dim];
    std::memcpy(tensor.data() + element * size, source + offset * size, static_cast<size_t>(size));
    for (size_t dim = shape.size(); dim-- > 0;) {
      if (++index[dim] < shape[dim])
        break;
      index[dim] = 0;
    }
  }
}

} // namespace

HostTensor readNpy(const std::string &path) {
  Reader reader(path);
  std::string start = reader.read(kMagicSize + 2);
  if (start.size() < kMagicSize + 2 || start.compare(0, kMagicSize, kMagic, kMagicSize) != 0)
    fail(path, "is no .npy file, or truncated");
  int version = static_cast<unsigned char>(start[kMagicSize]);
  if (version < 1 || version > 3)
    fail(path, "has .npy version " + std::to_string(version) + ", expected 1, 2 or 3");
  size_t length = 0;
  std::string lengthBytes = reader.read(version == 1 ? 2 : 4);
  for (size_t byte = lengthBytes.size(); byte-- > 0;)
    length = length << 8 | static_cast<unsigned char>(lengthBytes[byte]);
  if (length > kMaxHeaderSize)
    fail(path, "is a damaged .npy file: its header should have " + std::to_string(length) + " bytes");
  std::string header = reader.read(length);
  if (header.size() < length)
    fail(path, "is a truncated .npy file: its header should have " + std::to_string(length) + " bytes");

  std::string descriptor = getField(path, header, "descr");
  auto type = kTypesByDescriptor.find(descriptor);
  if (type == kTypesByDescriptor.end())
    fail(path, "has elements of type '" + descriptor + "', which is not supported");
  std::vector<int64_t> shape = parseShape(path, getField(path, header, "shape"));
  auto checkSize = [&](uint64_t available) {
    if (uint64_t size = HostTensor::countBytes(type->second, shape); available != size)
      fail(path, "is a damaged .npy file: " + HostTensor::print(type->second, shape) + " needs " +
                     std::to_string(size) + " bytes of data, but it has " + std::to_string(available));
  };
  // A file that claims more than it holds is damaged, whatever memory there is.
  if (std::optional<uint64_t> available = reader.countRemaining())
    checkSize(*available);
  HostTensor tensor(type->second, shape);
  size_t available = reader.read(tensor.data(), tensor.getNumBytes());
  checkSize(available + reader.read(1).size());
  if (getField(path, header, "fortran_order") == "True")
    copyFortran(std::string(tensor.data(), available).data(), tensor);
  return tensor;
}

void writeNpy(const std::string &path, const HostTensor &tensor) {
  std::string shape;
  for (int64_t extent : tensor.getShape())
    shape += std::to_string(extent) + ", ";
  if (tensor.getShape().size() > 1)
    shape.resize(shape.size() - 2);
  std::string header = "{'descr': '" + getDescriptor(tensor.getType()) + "', 'fortran_order': False, 'shape': (" +
                       (tensor.getShape().size() == 1 ? shape.substr(0, shape.size() - 1) : shape) + "), }";
  // The data starts at a multiple of 64 bytes.
  size_t prefix = kMagicSize + 4;
  header.append((64 - (prefix + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string file(kMagic, kMagicSize);
  file += {'\x01', '\x00', static_cast<char>(header.size() & 0xFF), static_cast<char>(header.size() >> 8)};
  file += header;
  file.append(tensor.data(), tensor.getNumBytes());
  writeOutput(path, file);
}

} // namespace gqa
