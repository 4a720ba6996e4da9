#include "tools/ModelData.h"

#include "tools/DataFile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

using nlohmann::json;

namespace gqa {
namespace {

[[noreturn]] void failField(const std::string &path, const std::string &model, const std::string &problem) {
  throw std::runtime_error(path + ": model '" + model + "': " + problem);
}

/// A positive integer field of `entry`, or `fallback` (if not negative) where it is missing.
int64_t readCount(const json &entry, const char *field, const std::string &path, const std::string &model,
                  int64_t fallback = -1) {
  auto found = entry.find(field);
  if (found == entry.end()) {
    if (fallback >= 0)
      return fallback;
    failField(path, model, std::string("field '") + field + "' is missing");
  }
  if (!found->is_number_integer() || *found <= 0)
    failField(path, model, std::string("field '") + field + "' must be a positive integer, not " + found->dump());
  return *found;
}

ModelData readModel(const json &entry, const std::string &path) {
  if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string())
    throw std::runtime_error(path + ": every model needs a field 'name' with a string");
  ModelData model;
  model.name = entry["name"];
  auto count = [&](const char *field) { return readCount(entry, field, path, model.name); };
  auto optionalCount = [&](const char *field) { return readCount(entry, field, path, model.name, /*fallback=*/0); };
  model.layers = count("layers");
  model.dModel = count("d_model");
  model.heads = count("heads");
  model.kvHeads = count("kv_heads");
  model.headDim = count("head_dim");
  model.window = optionalCount("window");
  model.windowEvery = optionalCount("window_every");
  model.globalEvery = optionalCount("global_every");
  if (entry.contains("rope_base") && (!entry["rope_base"].is_number() || entry["rope_base"] <= 1))
    failField(path, model.name, "field 'rope_base' must be a number above 1, not " + entry["rope_base"].dump());
  model.ropeBase = entry.value("rope_base", 0.0);
  if (entry.contains("softcap") && !entry["softcap"].is_number())
    failField(path, model.name, "field 'softcap' must be a number, not " + entry["softcap"].dump());
  if (entry.contains("sinks") && !entry["sinks"].is_boolean())
    failField(path, model.name, "field 'sinks' must be true or false, not " + entry["sinks"].dump());
  model.softcap = entry.value("softcap", 0.0);
  model.sinks = entry.value("sinks", false);
  if (model.heads % model.kvHeads != 0)
    failField(path, model.name,
              "query heads (" + std::to_string(model.heads) + ") must be a multiple of K/V heads (" +
                  std::to_string(model.kvHeads) + ")");
  return model;
}

/// Levenshtein distance: insertions, deletions and replacements that make `a` into `b`.
size_t editDistance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

/// Up to four names, nearest first.
std::vector<std::string> nearNames(const std::vector<ModelData> &models, const std::string &name) {
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const ModelData &model : models) {
    bool contains = !name.empty() && model.name.find(name) != std::string::npos;
    ranked.emplace_back(contains ? 0 : editDistance(name, model.name), model.name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < ranked.size() && i < 4; ++i)
    names.push_back(ranked[i].second);
  return names;
}

} // namespace

std::vector<ModelData> parseModels(const std::string &text, const std::string &path) {
  json file = json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded() || !file.is_object() || !file.contains("models") || !file["models"].is_array())
    throw std::runtime_error(path + ": not a JSON object with a list 'models'");
  std::vector<ModelData> models;
  for (const json &entry : file["models"])
    models.push_back(readModel(entry, path));
  return models;
}

std::vector<ModelData> loadModels() {
  std::string path = dataFilePath("models.json");
  std::ifstream stream(path);
  std::ostringstream text;
  if (!stream || !(text << stream.rdbuf()))
    throw std::runtime_error("cannot read the model data file '" + path + "'");
  return parseModels(text.str(), path);
}

const ModelData &findModel(const std::vector<ModelData> &models, const std::string &name) {
  for (const ModelData &model : models)
    if (model.name == name)
      return model;
  std::string message = "unknown model '" + name + "'; near names:";
  const char *separator = " ";
  for (const std::string &near : nearNames(models, name)) {
    message += separator + near;
    separator = ", ";
  }
  throw std::runtime_error(message);
}

std::string describeWindow(const ModelData &model) {
  if (model.window == 0)
    return "";
  std::string where = "every layer";
  if (model.windowEvery)
    where = "one of " + std::to_string(model.windowEvery) + " layers";
  else if (model.globalEvery)
    where = std::to_string(model.globalEvery - 1) + " of " + std::to_string(model.globalEvery) + " layers";
  return "window of " + std::to_string(model.window) + " tokens in " + where;
}

} // namespace gqa
