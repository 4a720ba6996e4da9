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

/// Positive numbers of an object, which must have those in `needed`.
class RopeScaling {
public:
  RopeScaling(const json &scaling, const std::string &path, const std::string &model)
      : scaling(scaling), path(path), model(model) {
    if (!scaling.is_object() || !scaling.contains("type") || !scaling["type"].is_string())
      failField(path, model, "field 'rope_scaling' must be an object with a 'type', not " + scaling.dump());
  }

  double get(const char *field) const {
    if (!scaling.contains(field) || !scaling[field].is_number() || scaling[field] <= 0)
      failField(path, model, std::string("field 'rope_scaling' needs a positive number '") + field + "'");
    return scaling[field];
  }

  void read(gqa_rotary &rotary) const {
    std::string type = scaling["type"];
    if (type != "linear" && type != "llama3" && type != "yarn")
      failField(path, model, "field 'rope_scaling' must have type linear, llama3 or yarn, not '" + type + "'");
    rotary.factor = get("factor");
    if (type == "linear") {
      rotary.scaling = GQA_ROTARY_LINEAR;
      return;
    }
    rotary.original_context = get("original_context");
    rotary.scaling = type == "yarn" ? GQA_ROTARY_YARN : GQA_ROTARY_LLAMA3;
    if (type == "llama3") {
      rotary.low_frequency_factor = get("low_frequency_factor");
      rotary.high_frequency_factor = get("high_frequency_factor");
      return;
    }
    rotary.beta_fast = get("beta_fast");
    rotary.beta_slow = get("beta_slow");
    rotary.no_ramp_rounding = scaling.contains("round_ramp") && scaling["round_ramp"] == false;
  }

private:
  const json &scaling;
  const std::string &path, &model;
};

/// A base of rotary frequencies, or 0 where it is missing.
double readBase(const json &entry, const char *field, const std::string &path, const std::string &model) {
  if (!entry.contains(field))
    return 0;
  if (!entry[field].is_number() || entry[field] <= 1)
    failField(path, model, std::string("field '") + field + "' must be a number above 1, not " + entry[field].dump());
  return entry[field];
}

gqa_rotary readRotary(const json &entry, const ModelData &model, const std::string &path) {
  double base = readBase(entry, "rope_base", path, model.name);
  if (base == 0)
    return {};
  gqa_rotary rotary = makePlainRotary(model.headDim, base);
  if (entry.contains("rope_scaling"))
    RopeScaling(entry["rope_scaling"], path, model.name).read(rotary);
  return rotary;
}

/// A field with one of two words, or "" where it is missing.
std::string readWord(const json &entry, const char *field, const char *first, const char *second,
                     const std::string &path, const std::string &model) {
  if (!entry.contains(field))
    return "";
  if (entry[field] != first && entry[field] != second)
    failField(path, model,
              std::string("field '") + field + "' must be " + first + " or " + second + ", not " + entry[field].dump());
  return entry[field];
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
  model.rotary = readRotary(entry, model, path);
  model.localRopeBase = readBase(entry, "rope_local_base", path, model.name);
  if (entry.contains("softcap") && !entry["softcap"].is_number())
    failField(path, model.name, "field 'softcap' must be a number, not " + entry["softcap"].dump());
  if (entry.contains("sinks") && !entry["sinks"].is_boolean())
    failField(path, model.name, "field 'sinks' must be true or false, not " + entry["sinks"].dump());
  model.scaleDim = optionalCount("scale_dim");
  std::string biases = readWord(entry, "biases", "qkv", "qkvo", path, model.name);
  std::string norms = readWord(entry, "norms", "weight", "one_plus_weight", path, model.name);
  model.hasBiases = !biases.empty();
  model.hasOutputBias = biases == "qkvo";
  model.hasNorms = !norms.empty();
  model.normsAddOne = norms == "one_plus_weight";
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

int64_t ModelData::countWindowLayers() const {
  int64_t count = 0;
  for (int64_t layer = 0; layer < layers; ++layer)
    count += hasWindow(layer);
  return count;
}

gqa_rotary ModelData::getRotary(bool isWindowed) const {
  gqa_rotary result = rotary;
  if (isWindowed && localRopeBase > 0) {
    result.theta = localRopeBase;
    result.scaling = GQA_ROTARY_UNSCALED;
  }
  return result;
}

gqa_rotary makePlainRotary(int64_t headDim, double base) {
  gqa_rotary rotary = {};
  rotary.dim = headDim / 2 * 2;
  rotary.pairs = GQA_ROTARY_HALF_SPLIT;
  rotary.theta = base;
  return rotary;
}

std::string describeRotary(const gqa_rotary &rotary) {
  if (rotary.dim == 0)
    return "none";
  constexpr const char *kScalings[] = {"", "llama3", "yarn", "linear"};
  std::ostringstream text;
  text << "base " << static_cast<int64_t>(rotary.theta);
  if (rotary.scaling != GQA_ROTARY_UNSCALED)
    text << ", " << kScalings[rotary.scaling] << " by " << rotary.factor;
  return text.str();
}

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
