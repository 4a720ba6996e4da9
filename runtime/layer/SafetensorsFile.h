#ifndef GQA_RUNTIME_LAYER_SAFETENSORSFILE_H
#define GQA_RUNTIME_LAYER_SAFETENSORSFILE_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gqa::layer {

/// A tensor in a safetensors file: elements in row-major order, little endian.
struct StoredTensor {
  std::string type; ///< F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, F8_E4M3, F8_E5M2 or BOOL
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0; ///< bytes from the beginning of the data to those of this tensor
};

/// A file of named tensors, as model checkpoints come in (https://github.com/huggingface/safetensors):
///
///     u64       length of the header in bytes, little endian
///     header    JSON: {name: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, ...}
///     data      all tensors, without holes
///
/// The whole header is checked when a file is opened: its length, its JSON, that no name comes twice, that types are
/// known, that offsets lie in the file, hold exactly the shape, do not overlap and leave no hole. Tensors are read one
/// by one, so one layer of a large checkpoint costs that layer. All functions throw std::runtime_error with one line
/// that names the file.
class SafetensorsFile {
public:
  explicit SafetensorsFile(const std::string &path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile &) = delete;
  SafetensorsFile &operator=(const SafetensorsFile &) = delete;

  const std::string &getPath() const { return path; }
  const std::map<std::string, StoredTensor> &getTensors() const { return tensors; }
  const std::map<std::string, std::string> &getMetadata() const { return metadata; }

  /// The tensor called `name`, or null.
  const StoredTensor *find(const std::string &name) const;

  /// The bytes of a tensor of this file.
  std::vector<char> read(const StoredTensor &tensor) const;

private:
  void parseHeader(const std::string &header, int64_t dataBytes);
  void readAt(int64_t offset, char *bytes, size_t size) const;
  [[noreturn]] void refuse(const std::string &problem) const;

  std::string path;
  int descriptor = -1;
  int64_t dataBegin = 0;
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Bits of an element of `type`; 0 if there is no such type.
int64_t getStoredBits(const std::string &type);

/// A tensor to write.
struct TensorToStore {
  std::string type;
  std::vector<int64_t> shape;
  const void *data;
};

/// Writes a file that SafetensorsFile reads; it appears complete or not at all. Throws std::runtime_error.
void writeSafetensors(const std::string &path, const std::map<std::string, TensorToStore> &tensors,
                      const std::map<std::string, std::string> &metadata = {});

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_SAFETENSORSFILE_H
