#include "tools/CacheEntries.h"

#include "tools/AttentionModule.h"
#include "tools/CachedProblem.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

namespace gqa {
namespace {

constexpr const char *kKeys[] = {"heads",          "kv-heads",   "head-dim",   "key-dim",    "value-dim",
                                 "type",           "key-type",   "value-type", "query-type", "page-size",
                                 "window",         "sinks",      "slack",      "scale",      "softcap",
                                 "channel-scales", "head-sinks", "mask",       "rows",       "name"};
constexpr const char *kTypes[] = {"f32", "f16", "bf16", "i8", "f8e4m3", "i4"};

/// The parts of a spec. The first error is kept.
class Spec {
public:
  explicit Spec(const std::string &text) {
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');) {
      size_t equals = part.find('=');
      std::string key = part.substr(0, equals);
      if (equals == std::string::npos || std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys))
        setError("'" + part + "' is not KEY=VALUE with a known key");
      else if (!values.emplace(key, part.substr(equals + 1)).second)
        setError("'" + key + "' is given twice");
    }
  }

  bool has(const std::string &key) const { return values.count(key) > 0; }
  std::string getText(const std::string &key, const std::string &fallback) const {
    auto it = values.find(key);
    return it == values.end() ? fallback : it->second;
  }
  bool getFlag(const std::string &key) { return getInteger(key, 0, 0, 1) == 1; }

  int64_t getInteger(const std::string &key, std::optional<int64_t> fallback, int64_t low, int64_t high) {
    if (!has(key)) {
      if (!fallback)
        setError("'" + key + "' is missing");
      return fallback.value_or(low);
    }
    const std::string &text = values[key];
    char *end = nullptr;
    long long value = std::strtoll(text.c_str(), &end, 10);
    if (text.empty() || *end || value < low || value > high)
      setError("'" + key + "' must be a number from " + std::to_string(low) + " to " + std::to_string(high) +
               ", got '" + text + "'");
    return value;
  }

  std::optional<float> getPositive(const std::string &key) {
    if (!has(key))
      return std::nullopt;
    char *end = nullptr;
    float value = std::strtof(values[key].c_str(), &end);
    if (values[key].empty() || *end || !(value > 0) || !std::isfinite(value))
      setError("'" + key + "' must be a positive number, got '" + values[key] + "'");
    return value;
  }

  CacheType getType(const std::string &key, const std::string &fallback) {
    std::string text = getText(key, fallback);
    const auto *it = std::find(std::begin(kTypes), std::end(kTypes), text);
    if (it == std::end(kTypes)) {
      setError("'" + key + "' must be f32, f16, bf16, i8, f8e4m3 or i4, got '" + text + "'");
      return CacheType::f16;
    }
    return static_cast<CacheType>(it - std::begin(kTypes));
  }

  void setError(const std::string &text) {
    if (error.empty())
      error = text;
  }

  std::string error;

private:
  std::map<std::string, std::string> values;
};

constexpr int64_t kMany = int64_t(1) << 30;

/// The layer that a spec describes, as attention on dense tensors, and how it is stored.
struct LayerSpec {
  AttentionProblem problem;
  CacheLayout layout;
  int64_t window = 0, slack = 0;
  std::string name;
};

void setTypes(Spec &spec, LayerSpec &layer) {
  std::string common = spec.getText("type", "f16");
  layer.layout.keyType = spec.getType("key-type", common);
  layer.layout.valueType = spec.getType("value-type", common);
  bool isWide = isQuantised(layer.layout.keyType);
  CacheType query = spec.getType("query-type", isWide ? "f32" : kTypes[static_cast<int>(layer.layout.keyType)]);
  if (isQuantised(query))
    spec.setError("'query-type' must be f32, f16 or bf16");
  ElementType floats[] = {ElementType::f32, ElementType::f16, ElementType::bf16};
  layer.problem.query.type = layer.problem.output.type = floats[isQuantised(query) ? 0 : static_cast<int>(query)];
  layer.layout.hasChannelScales = spec.getFlag("channel-scales");
  if (layer.layout.hasChannelScales && !isWide)
    spec.setError("'channel-scales' needs keys of i8, f8e4m3 or i4");
  for (auto [type, dim, name] :
       {std::tuple(layer.layout.keyType, Dim::dqk, "keys"), std::tuple(layer.layout.valueType, Dim::dv, "values")})
    if (type == CacheType::i4 && layer.problem.getExtent(dim) % 2 != 0)
      spec.setError(std::string(name) + " of i4 need an even dim, got " + std::to_string(layer.problem.getExtent(dim)));
}

void setStorage(Spec &spec, LayerSpec &layer) {
  bool isContiguous = spec.getText("page-size", "16") == "contiguous";
  layer.layout.pageSize = isContiguous ? 0 : spec.getInteger("page-size", 16, 1, 256);
  if ((layer.layout.pageSize & (layer.layout.pageSize - 1)) != 0)
    spec.setError("'page-size' must be a power of two, got " + std::to_string(layer.layout.pageSize));
  if (!spec.has("window")) {
    if (spec.has("sinks") || spec.has("slack"))
      spec.setError("'sinks' and 'slack' are of a ring, which 'window' makes");
    return;
  }
  if (isContiguous)
    spec.setError("a ring has pages");
  layer.window = spec.getInteger("window", std::nullopt, 1, kMany);
  layer.slack = spec.getInteger("slack", 0, 0, kMany);
  layer.layout.ring = Ring{spec.getInteger("sinks", 0, 0, kMany), layer.window + layer.slack};
}

LayerSpec makeLayer(Spec &spec) {
  LayerSpec layer;
  AttentionProblem &problem = layer.problem;
  int64_t heads = spec.getInteger("heads", std::nullopt, 1, 1 << 16);
  int64_t kvHeads = spec.getInteger("kv-heads", heads, 1, 1 << 16);
  if (heads % kvHeads != 0)
    spec.setError("'heads' (" + std::to_string(heads) + ") must be a multiple of 'kv-heads' (" +
                  std::to_string(kvHeads) + ")");
  std::optional<int64_t> common;
  if (spec.has("head-dim"))
    common = spec.getInteger("head-dim", std::nullopt, 1, 1 << 16);
  at(problem.extents, Dim::hkv) = kvHeads;
  at(problem.extents, Dim::g) = std::max<int64_t>(1, heads / kvHeads);
  const char *keyDim = common || spec.has("key-dim") ? "key-dim" : "head-dim"; // what is missing if all are
  at(problem.extents, Dim::dqk) = spec.getInteger(keyDim, common, 1, 1 << 16);
  at(problem.extents, Dim::dv) = spec.getInteger("value-dim", common.value_or(problem.getExtent(Dim::dqk)), 1, 1 << 16);
  setTypes(spec, layer);
  setStorage(spec, layer);
  problem.scale = spec.getPositive("scale").value_or(1 / std::sqrt(static_cast<float>(problem.getExtent(Dim::dqk))));
  problem.softcap = spec.getPositive("softcap");
  if (spec.getFlag("head-sinks"))
    problem.sink = Operand{{Dim::hkv, Dim::g}};
  layer.name = spec.getText("name", "attention");
  bool isName = !layer.name.empty() && !std::isdigit(static_cast<unsigned char>(layer.name[0]));
  for (char c : layer.name)
    isName &= std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  if (!isName)
    spec.setError("'name' must be letters, digits and underscores, got '" + layer.name + "'");
  return layer;
}

/// The function for any number of queries per sequence, or for one.
std::string printEntry(const LayerSpec &layer, bool isDecode, bool hasMask) {
  AttentionProblem problem = layer.problem;
  auto rows = [&](std::vector<Dim> dims) {
    if (isDecode)
      dims.erase(std::remove(dims.begin(), dims.end(), Dim::m), dims.end());
    return dims;
  };
  problem.query.dims = rows({Dim::b, Dim::m, Dim::hkv, Dim::g, Dim::dqk});
  problem.output.dims = rows({Dim::b, Dim::m, Dim::hkv, Dim::g, Dim::dv});
  problem.lse = Operand{rows({Dim::b, Dim::m, Dim::hkv, Dim::g})};
  if (hasMask)
    problem.mask = Operand{rows({Dim::b, Dim::m, Dim::n}), ElementType::i8};
  // A single query sees all that is stored, unless a ring keeps more than its window.
  if (!isDecode || layer.slack > 0) {
    problem.causal = true;
    problem.alignment = Alignment::bottomRight;
    if (layer.layout.ring)
      problem.windowLeft = layer.window - 1;
  }
  return printAttentionFunction(
      makeCachedProblem(problem, layer.layout), layer.name + (isDecode ? "_decode" : ""),
      {Dim::b, Dim::m, Dim::n, Dim::page, layer.layout.pageSize == 0 ? Dim::slot : Dim::block});
}

} // namespace

bool makeCacheEntries(const std::string &text, std::string &mlir, std::string &error) {
  Spec spec(text);
  LayerSpec layer = makeLayer(spec);
  bool hasMask = spec.getFlag("mask"), hasDecodeOnly = spec.has("rows") && spec.getInteger("rows", 1, 1, 1) == 1;
  error = spec.error;
  if (!error.empty())
    return false;
  mlir = hasDecodeOnly ? "" : printEntry(layer, /*isDecode=*/false, hasMask);
  mlir += printEntry(layer, /*isDecode=*/true, hasMask);
  return true;
}

} // namespace gqa
