#ifndef GQA_RUNTIME_LAYER_CHECKPOINT_H
#define GQA_RUNTIME_LAYER_CHECKPOINT_H

#include "runtime/layer/SafetensorsFile.h"

#include <memory>

namespace gqa::layer {

/// The tensors of a model, in one safetensors file or in several (shards) with an index, as Hugging Face's libraries
/// write them:
///
///     model.safetensors.index.json    {"weight_map": {name of a tensor: name of a file beside the index, ...}, ...}
///
/// All shards are opened and their headers checked at once; every tensor of the index must be in the shard that it
/// names. Tensors are read one by one. Functions throw std::runtime_error with one line that names the file.
class Checkpoint {
public:
  /// `path` is a safetensors file, an index (its name ends in .json), or a directory with model.safetensors.index.json
  /// or model.safetensors.
  explicit Checkpoint(const std::string &path);

  const std::string &getPath() const { return path; }

  /// Of all tensors, sorted.
  std::vector<std::string> getNames() const;

  /// The tensor called `name`, or null.
  const StoredTensor *find(const std::string &name) const;

  /// The bytes of the tensor called `name`, which exists.
  std::vector<char> read(const std::string &name) const;

private:
  void readIndex(const std::string &index);
  const SafetensorsFile &open(const std::string &file);

  std::string path;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards; ///< by path
  std::map<std::string, const SafetensorsFile *> owners;          ///< of tensors
};

} // namespace gqa::layer

#endif // GQA_RUNTIME_LAYER_CHECKPOINT_H
