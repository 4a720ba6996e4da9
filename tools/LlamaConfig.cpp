#include "tools/LlamaConfig.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace gqa {
namespace {

using Json = nlohmann::json;

/// The fields of config.json; null counts as missing.
class Fields {
public:
  Fields(const std::string &path, Json json) : path(path), json(std::move(json)) {}

  [[noreturn]] void refuse(const std::string &problem) const { throw std::runtime_error("'" + path + "': " + problem); }
  bool has(const char *name) const { return json.contains(name) && !json[name].is_null(); }
  const Json &get(const char *name) const { return json[name]; }

  int64_t getCount(const char *name, int64_t fallback = 0) const {
    if (!has(name) && fallback > 0)
      return fallback;
    const Json &value = has(name) ? get(name) : Json();
    if (!value.is_number_unsigned() || value < 1 || value > int64_t(1) << 31)
      refuse(std::string(name) + " must be a number from 1 to 2^31, got " + print(value));
    return value.get<int64_t>();
  }
  double getPositive(const char *name) const {
    const Json &value = has(name) ? get(name) : Json();
    if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>()))
      refuse(std::string(name) + " must be a positive number, got " + print(value));
    return value.get<double>();
  }
  double getPositive(const char *name, double fallback) const { return has(name) ? getPositive(name) : fallback; }
  std::string getText(const char *name, const std::string &fallback) const {
    if (has(name) && !get(name).is_string())
      refuse(std::string(name) + " must be a text, got " + print(get(name)));
    return has(name) ? get(name).get<std::string>() : fallback;
  }
  bool getFlag(const char *name, bool fallback = false) const {
    if (has(name) && !get(name).is_boolean())
      refuse(std::string(name) + " must be true or false, got " + print(get(name)));
    return has(name) ? get(name).get<bool>() : fallback;
  }
  void requireText(const char *name, const std::string &fallback, const std::vector<std::string> &known) const {
    std::string text = getText(name, fallback), list;
    for (const std::string &each : known)
      list += (list.empty() ? "" : ", ") + each;
    if (std::find(known.begin(), known.end(), text) == known.end())
      refuse(std::string(name) + " '" + text + "' is not known here (" + list + ")");
  }
  /// The fields of an object in these.
  Fields getObject(const char *name) const {
    if (has(name) && !get(name).is_object())
      refuse(std::string(name) + " must be an object, got " + print(get(name)));
    return {path, has(name) ? get(name) : Json::object()};
  }

  static std::string print(const Json &value) {
    return value.is_null() ? "nothing" : value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  }

private:
  std::string path;
  Json json;
};

void refuseUnknown(const Fields &fields) {
  fields.requireText("model_type", "", {"llama", "mistral", "qwen2", "qwen3"});
  fields.requireText("hidden_act", "silu", {"silu"});
  if (fields.has("sliding_window") && fields.getFlag("use_sliding_window", /*fallback=*/true))
    fields.refuse("sliding_window " + Fields::print(fields.get("sliding_window")) + " is not known here");
  if (fields.has("quantization_config"))
    fields.refuse("quantised weights are not known here");
  if (fields.getFlag("mlp_bias"))
    fields.refuse("biases of the MLP are not known here");
  if (fields.getPositive("partial_rotary_factor", 1) != 1)
    fields.refuse("partial_rotary_factor is not known here");
  if (fields.has("layer_types"))
    for (const Json &type : fields.get("layer_types"))
      if (type != "full_attention")
        fields.refuse("layer_types " + Fields::print(type) + " is not known here (full_attention)");
}

/// What YaRN has, with the defaults of Hugging Face's libraries (modeling_rope_utils.py).
void setYarn(const Fields &fields, const Fields &rope, gqa_rotary &rotary) {
  rotary.scaling = GQA_ROTARY_YARN;
  const char *original = "original_max_position_embeddings";
  rotary.original_context =
      rope.has(original) ? rope.getPositive(original) : fields.getPositive("max_position_embeddings");
  rotary.beta_fast = rope.getPositive("beta_fast", 32);
  rotary.beta_slow = rope.getPositive("beta_slow", 1);
  rotary.no_ramp_rounding = !rope.getFlag("truncate", /*fallback=*/true);
  auto getStretch = [&](const char *name) { return 0.1 * rope.getPositive(name) * std::log(rotary.factor) + 1; };
  if (rope.has("attention_factor"))
    rotary.attention_factor = rope.getPositive("attention_factor");
  else if (rope.has("mscale") && rope.has("mscale_all_dim"))
    rotary.attention_factor = getStretch("mscale") / getStretch("mscale_all_dim");
}

gqa_rotary readRotary(const Fields &fields, int64_t headDim) {
  // Newer files have the base among the parameters of the scaling.
  Fields rope = fields.getObject(fields.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  gqa_rotary rotary = {};
  rotary.dim = headDim;
  rotary.pairs = GQA_ROTARY_HALF_SPLIT;
  rotary.theta = rope.getPositive("rope_theta", fields.getPositive("rope_theta", 10000));
  const char *kind = rope.has("rope_type") ? "rope_type" : "type";
  rope.requireText(kind, "default", {"default", "linear", "llama3", "yarn"});
  std::string scaling = rope.getText(kind, "default");
  if (scaling == "default")
    return rotary;
  rotary.factor = rope.getPositive("factor");
  if (scaling == "linear") {
    rotary.scaling = GQA_ROTARY_LINEAR;
  } else if (scaling == "llama3") {
    rotary.scaling = GQA_ROTARY_LLAMA3;
    rotary.low_frequency_factor = rope.getPositive("low_freq_factor");
    rotary.high_frequency_factor = rope.getPositive("high_freq_factor");
    rotary.original_context = rope.getPositive("original_max_position_embeddings");
  } else {
    setYarn(fields, rope, rotary);
  }
  return rotary;
}

} // namespace

LlamaConfig readLlamaConfig(const std::string &path) {
  std::ifstream stream(path);
  if (!stream)
    throw std::runtime_error("cannot open '" + path + "'");
  Json json = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  Fields fields(path, json);
  if (!json.is_object())
    fields.refuse("no JSON object");
  refuseUnknown(fields);
  LlamaConfig config;
  config.layers = fields.getCount("num_hidden_layers");
  config.hidden = fields.getCount("intermediate_size");
  config.vocabulary = fields.getCount("vocab_size");
  config.context = fields.getCount("max_position_embeddings", 2048);
  config.normEpsilon = static_cast<float>(fields.getPositive("rms_norm_eps", 1e-6));
  config.hasTiedEmbeddings = fields.getFlag("tie_word_embeddings");
  layer::LayerConfig &attention = config.attention;
  attention.dModel = fields.getCount("hidden_size");
  attention.numHeads = fields.getCount("num_attention_heads");
  attention.numKvHeads = fields.getCount("num_key_value_heads", attention.numHeads);
  attention.headDim = fields.has("head_dim") ? fields.getCount("head_dim") : 0;
  attention.normEpsilon = config.normEpsilon;
  attention.rotary = readRotary(fields, attention.getHeadDim());
  try {
    attention.check();
  } catch (const std::invalid_argument &error) {
    fields.refuse(error.what());
  }
  return config;
}

} // namespace gqa
