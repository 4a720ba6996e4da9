#include "runtime/layer/SafetensorsFile.h"

#include "runtime/AtomicFile.h"
#include "runtime/Context.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>

namespace gqa::layer {

using Json = nlohmann::json;

/// Longer headers are refused, as the format's own library does.
constexpr int64_t kMaxHeader = 100'000'000;

int64_t getStoredBits(const std::string &type) {
  static const std::map<std::string, int64_t> bits = {
      {"F64", 64}, {"F32", 32}, {"F16", 16}, {"BF16", 16}, {"I64", 64},    {"I32", 32},    {"I16", 16}, {"I8", 8},
      {"U64", 64}, {"U32", 32}, {"U16", 16}, {"U8", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"BOOL", 8}};
  auto found = bits.find(type);
  return found == bits.end() ? 0 : found->second;
}

/// Bytes of a tensor; -1 if the product overflows.
static int64_t countBytes(const std::string &type, const std::vector<int64_t> &shape) {
  int64_t bytes = getStoredBits(type) / 8;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes))
      return -1;
  return bytes;
}

/// Parses the header. nlohmann-json keeps the last of two equal keys, so names are counted on the way.
static Json parseUnique(const std::string &header, std::string &twice) {
  std::set<std::string> names;
  auto onEvent = [&](int depth, Json::parse_event_t event, Json &value) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  return Json::parse(header, onEvent, /*allow_exceptions=*/false);
}

static bool isCount(const Json &value) { return value.is_number_unsigned() && value <= uint64_t(INT64_MAX); }

/// "" or what is wrong with the description of a tensor, which goes to `tensor`.
static std::string parseTensor(const Json &json, StoredTensor &tensor) {
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") || !json.contains("data_offsets"))
    return "needs dtype, shape and data_offsets";
  const Json &type = json["dtype"], &shape = json["shape"], &offsets = json["data_offsets"];
  if (!type.is_string() || getStoredBits(type.get<std::string>()) == 0)
    return "has the unknown type " + type.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  tensor.type = type.get<std::string>();
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), isCount))
    return "has a shape that is no list of extents";
  tensor.shape = shape.get<std::vector<int64_t>>();
  if (!offsets.is_array() || offsets.size() != 2 || !isCount(offsets[0]) || !isCount(offsets[1]))
    return "has data_offsets that are not two offsets";
  tensor.begin = offsets[0].get<int64_t>();
  tensor.end = offsets[1].get<int64_t>();
  if (tensor.begin > tensor.end)
    return "begins at " + std::to_string(tensor.begin) + " but ends at " + std::to_string(tensor.end);
  int64_t bytes = countBytes(tensor.type, tensor.shape);
  if (bytes < 0)
    return "has a shape whose size overflows";
  if (bytes != tensor.end - tensor.begin)
    return "takes " + std::to_string(bytes) + " bytes by its shape, but " + std::to_string(tensor.end - tensor.begin) +
           " by its offsets";
  return "";
}

SafetensorsFile::SafetensorsFile(const std::string &path) : path(path) {
  descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    throw std::runtime_error("cannot open '" + path + "': " + std::strerror(errno));
  try {
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
      refuse("is no file");
    int64_t size = status.st_size;
    if (size < 8)
      refuse("has " + std::to_string(size) + " bytes, too few for a safetensors file");
    unsigned char length[8];
    readAt(0, reinterpret_cast<char *>(length), sizeof length);
    uint64_t headerBytes = 0;
    for (int i = 7; i >= 0; --i)
      headerBytes = headerBytes << 8 | length[i];
    if (headerBytes > uint64_t(kMaxHeader) || static_cast<int64_t>(headerBytes) > size - 8)
      refuse("says that its header has " + std::to_string(headerBytes) + " bytes, but " + std::to_string(size - 8) +
             " follow");
    std::string header(headerBytes, '\0');
    readAt(8, header.data(), header.size());
    dataBegin = 8 + static_cast<int64_t>(headerBytes);
    parseHeader(header, size - dataBegin);
  } catch (...) {
    close(descriptor);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { close(descriptor); }

void SafetensorsFile::refuse(const std::string &problem) const {
  throw std::runtime_error("'" + path + "' " + problem);
}

void SafetensorsFile::parseHeader(const std::string &header, int64_t dataBytes) {
  std::string twice;
  Json json = parseUnique(header, twice);
  if (json.is_discarded() || !json.is_object())
    refuse("has a header that is no JSON object");
  if (!twice.empty())
    refuse("has tensor '" + twice + "' twice");
  std::vector<std::pair<StoredTensor, std::string>> byOffset;
  for (const auto &[name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object() || !std::all_of(value.begin(), value.end(), [](const Json &v) { return v.is_string(); }))
        refuse("has metadata that are not texts");
      metadata = value.get<std::map<std::string, std::string>>();
      continue;
    }
    StoredTensor tensor;
    if (std::string problem = parseTensor(value, tensor); !problem.empty())
      refuse("is damaged: tensor '" + name + "' " + problem);
    byOffset.emplace_back(tensor, name);
    tensors.emplace(name, std::move(tensor));
  }
  std::sort(byOffset.begin(), byOffset.end(), [](const auto &a, const auto &b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  int64_t end = 0;
  for (const auto &[tensor, name] : byOffset) {
    if (tensor.begin != end)
      refuse("is damaged: tensor '" + name + "' begins at " + std::to_string(tensor.begin) +
             ", but the one before ends at " + std::to_string(end));
    end = tensor.end;
  }
  if (end != dataBytes)
    refuse("is damaged: its tensors take " + std::to_string(end) + " bytes, but it has " + std::to_string(dataBytes));
}

void SafetensorsFile::readAt(int64_t offset, char *bytes, size_t size) const {
  while (size > 0) {
    ssize_t done = pread(descriptor, bytes, size, offset);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      refuse(done == 0 ? "ends before its data" : std::string("cannot be read: ") + std::strerror(errno));
    bytes += done;
    offset += done;
    size -= static_cast<size_t>(done);
  }
}

const StoredTensor *SafetensorsFile::find(const std::string &name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

std::vector<char> SafetensorsFile::read(const StoredTensor &tensor) const {
  std::vector<char> bytes(static_cast<size_t>(tensor.end - tensor.begin));
  readAt(dataBegin + tensor.begin, bytes.data(), bytes.size());
  return bytes;
}

void writeSafetensors(const std::string &path, const std::map<std::string, TensorToStore> &tensors,
                      const std::map<std::string, std::string> &metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty())
    json["__metadata__"] = metadata;
  int64_t end = 0;
  for (const auto &[name, tensor] : tensors) {
    int64_t bytes = countBytes(tensor.type, tensor.shape);
    json[name] = {{"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  std::string header = json.dump();
  header.append((8 - header.size() % 8) % 8, ' '); // so that the data is aligned
  unsigned char length[8];
  for (size_t i = 0; i < 8; ++i)
    length[i] = static_cast<unsigned char>(static_cast<uint64_t>(header.size()) >> 8 * i);
  try {
    AtomicFile file(path);
    file.write(length, sizeof length);
    file.write(header.data(), header.size());
    for (const auto &entry : tensors)
      file.write(entry.second.data, static_cast<size_t>(countBytes(entry.second.type, entry.second.shape)));
    file.commit();
  } catch (const Failure &failure) {
    throw std::runtime_error(failure.message);
  }
}

} // namespace gqa::layer
