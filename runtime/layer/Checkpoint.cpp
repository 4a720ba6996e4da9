#include "runtime/layer/Checkpoint.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace gqa::layer {

using Json = nlohmann::json;
namespace fs = std::filesystem;

[[noreturn]] static void refuse(const std::string &path, const std::string &problem) {
  throw std::runtime_error("'" + path + "' " + problem);
}

static std::string findFile(const std::string &path) {
  std::error_code error;
  if (!fs::is_directory(path, error))
    return path;
  for (const char *name : {"model.safetensors.index.json", "model.safetensors"})
    if (fs::path file = fs::path(path) / name; fs::exists(file, error))
      return file.string();
  refuse(path, "has neither model.safetensors.index.json nor model.safetensors");
}

Checkpoint::Checkpoint(const std::string &given) : path(findFile(given)) {
  if (fs::path(path).extension() == ".json") {
    readIndex(path);
    return;
  }
  const SafetensorsFile &file = open(path);
  for (const auto &[name, tensor] : file.getTensors())
    owners.emplace(name, &file);
}

void Checkpoint::readIndex(const std::string &index) {
  std::error_code error;
  std::ifstream stream(index);
  if (!stream || !fs::is_regular_file(index, error))
    refuse(index, "cannot be opened, or is no file");
  Json json = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    refuse(index, "is no JSON object with a weight_map");
  for (const auto &[name, shard] : json["weight_map"].items()) {
    if (!shard.is_string())
      refuse(index, "has no name of a file for tensor '" + name + "'");
    fs::path file = shard.get<std::string>();
    if (file.empty() || file != file.filename() || file == "." || file == "..")
      refuse(index, "has tensor '" + name + "' in '" + file.string() + "', which is no file beside it");
    const SafetensorsFile &owner = open((fs::path(index).parent_path() / file).string());
    if (!owner.find(name))
      refuse(index, "has tensor '" + name + "' in '" + file.string() + "', which does not have it");
    owners.emplace(name, &owner);
  }
}

const SafetensorsFile &Checkpoint::open(const std::string &file) {
  std::unique_ptr<SafetensorsFile> &shard = shards[file];
  if (!shard)
    shard = std::make_unique<SafetensorsFile>(file);
  return *shard;
}

const StoredTensor *Checkpoint::find(const std::string &name) const {
  auto owner = owners.find(name);
  return owner == owners.end() ? nullptr : owner->second->find(name);
}

std::vector<std::string> Checkpoint::getNames() const {
  std::vector<std::string> names;
  for (const auto &owner : owners)
    names.push_back(owner.first);
  return names;
}

std::vector<char> Checkpoint::read(const std::string &name) const { return owners.at(name)->read(*find(name)); }

} // namespace gqa::layer
