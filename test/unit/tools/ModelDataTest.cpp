#include "tools/ModelData.h"
#include "ThrowsMessage.h"
#include "tools/KVCacheSize.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

using namespace gqa;

namespace {

std::vector<ModelData> shipped() {
  std::ifstream file(GQA_MODELS_FILE);
  std::ostringstream text;
  text << file.rdbuf();
  return parseModels(text.str(), "models.json");
}

TEST(ModelData, ShippedFileHoldsWhatItSays) {
  std::vector<ModelData> models = shipped();
  EXPECT_GE(models.size(), 20u);
  std::set<std::string> names;
  for (const ModelData &model : models)
    EXPECT_TRUE(names.insert(model.name).second) << model.name << " is there twice";
  const ModelData &llama = findModel(models, "llama-3-8b");
  EXPECT_EQ(llama.heads, 32);
  EXPECT_EQ(llama.kvHeads, 8);
  EXPECT_EQ(llama.dModel, 4096);
  EXPECT_EQ(llama.window, 0);
  const ModelData &gemma = findModel(models, "gemma-2-9b");
  EXPECT_EQ(gemma.softcap, 50);
  EXPECT_EQ(describeWindow(gemma), "window of 4096 tokens in one of 2 layers");
  EXPECT_EQ(describeWindow(findModel(models, "gemma-3-12b")), "window of 1024 tokens in 5 of 6 layers");
  EXPECT_EQ(describeWindow(findModel(models, "mistral-7b-v0.1")), "window of 4096 tokens in every layer");
  EXPECT_EQ(findModel(models, "gpt-oss-20b").countWindowLayers(), 12);
  EXPECT_EQ(findModel(models, "gemma-3-12b").countWindowLayers(), 40);
  EXPECT_EQ(findModel(models, "gemma-3-1b").countWindowLayers(), 22) << "of 26: the last two have the window, too";
  EXPECT_EQ(findModel(models, "mistral-7b-v0.1").countWindowLayers(), 32);
  EXPECT_EQ(llama.countWindowLayers(), 0);
  EXPECT_TRUE(findModel(models, "gpt-oss-20b").sinks);
  EXPECT_EQ(findModel(models, "gemma-3-27b").scaleDim, 168);
  EXPECT_EQ(findModel(models, "gemma-3-12b").scaleDim, 0);
}

std::string describeWeights(const ModelData &model) {
  return std::string(model.hasBiases ? "qkv" : "") + (model.hasOutputBias ? "o" : "") +
         (model.hasNorms ? " norms" : "") + (model.normsAddOne ? " + 1" : "");
}

TEST(ModelData, BiasesAndNorms) {
  std::vector<ModelData> models = shipped();
  EXPECT_EQ(describeWeights(findModel(models, "llama-3-8b")), "");
  EXPECT_EQ(describeWeights(findModel(models, "qwen2.5-7b")), "qkv");
  EXPECT_EQ(describeWeights(findModel(models, "gpt-oss-20b")), "qkvo");
  EXPECT_EQ(describeWeights(findModel(models, "qwen3-14b")), " norms");
  EXPECT_EQ(describeWeights(findModel(models, "gemma-3-4b")), " norms + 1");
}

void expectRotary(const gqa_rotary &rotary, const std::string &description, int64_t dim) {
  EXPECT_EQ(describeRotary(rotary), description);
  EXPECT_EQ(rotary.dim, dim);
  EXPECT_EQ(rotary.pairs, dim > 0 ? GQA_ROTARY_HALF_SPLIT : 0);
}

// Each fact from the authors' configuration, which models.json names.
TEST(ModelData, RotaryEmbeddings) {
  std::vector<ModelData> models = shipped();
  expectRotary(findModel(models, "mistral-7b-v0.1").getRotary(/*isWindowed=*/true), "base 10000", 128);
  expectRotary(findModel(models, "starcoder-15b").getRotary(false), "none", 0);
  for (const char *name : {"gemma-3-4b", "gemma-3-12b", "gemma-3-27b"}) {
    const ModelData &gemma = findModel(models, name);
    expectRotary(gemma.getRotary(/*isWindowed=*/false), "base 1000000, linear by 8", gemma.headDim);
    expectRotary(gemma.getRotary(/*isWindowed=*/true), "base 10000", gemma.headDim);
  }
  expectRotary(findModel(models, "gemma-3-1b").getRotary(false), "base 1000000", 256);
  expectRotary(findModel(models, "gemma-3-1b").getRotary(true), "base 10000", 256);

  gqa_rotary llama = findModel(models, "llama-3.1-405b").getRotary(false);
  expectRotary(llama, "base 500000, llama3 by 8", 128);
  EXPECT_EQ(llama.original_context, 8192);
  EXPECT_EQ(llama.low_frequency_factor, 1);
  EXPECT_EQ(llama.high_frequency_factor, 4);
  expectRotary(findModel(models, "llama-3.2-3b").getRotary(false), "base 500000, llama3 by 32", 128);
  expectRotary(findModel(models, "llama-3-8b").getRotary(false), "base 500000", 128);

  for (bool isWindowed : {false, true}) { // gpt-oss has one embedding for all layers
    gqa_rotary oss = findModel(models, "gpt-oss-120b").getRotary(isWindowed);
    expectRotary(oss, "base 150000, yarn by 32", 64);
    EXPECT_EQ(oss.original_context, 4096);
    EXPECT_EQ(oss.beta_fast, 32);
    EXPECT_EQ(oss.beta_slow, 1);
    EXPECT_EQ(oss.no_ramp_rounding, 1);
  }
}

std::string printPattern(const ModelData &model, int64_t layers) {
  std::string pattern;
  for (int64_t layer = 0; layer < layers; ++layer)
    pattern += model.hasWindow(layer) ? 'w' : '-';
  return pattern;
}

TEST(ModelData, WhichLayersHaveTheWindow) {
  std::vector<ModelData> models = shipped();
  EXPECT_EQ(printPattern(findModel(models, "gemma-3-1b"), 26), "wwwww-wwwww-wwwww-wwwww-ww");
  EXPECT_EQ(printPattern(findModel(models, "gpt-oss-20b"), 6), "w-w-w-");
  EXPECT_EQ(printPattern(findModel(models, "gemma-2-9b"), 6), "w-w-w-");
  EXPECT_EQ(printPattern(findModel(models, "mistral-7b-v0.1"), 3), "www");
  EXPECT_EQ(printPattern(findModel(models, "llama-3-8b"), 3), "---");
}

// The file has all that a cache of the model needs: each layer with its storage and rotary embedding. Rings make the
// memory what the formula of gqa-run memory says, scaled down to a few tokens, and at most 2 % more.
TEST(ModelData, CachesOfAllModels) {
  struct Memory {
    int64_t bytes = 0;
  } memory;
  gqa_options options = {};
  options.state = &memory;
  options.allocate = [](void *state, int64_t bytes, int64_t alignment) -> void * {
    static_cast<Memory *>(state)->bytes += bytes;
    return std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
  };
  options.deallocate = [](void *, void *pointer) { std::free(pointer); };
  gqa_context *context = gqa_context_create(&options);
  for (const ModelData &model : shipped()) {
    constexpr int64_t tokens = 320, pageSize = 1;
    int64_t window = std::min<int64_t>(model.window, 64); // few bytes are enough
    std::vector<gqa_cache_layer> layers(static_cast<size_t>(model.layers));
    for (int64_t i = 0; i < model.layers; ++i) {
      gqa_cache_layer &layer = layers[static_cast<size_t>(i)];
      layer.num_kv_heads = model.kvHeads;
      layer.key_dim = layer.value_dim = model.headDim;
      layer.key_type = layer.value_type = GQA_CACHE_BF16;
      layer.storage = model.hasWindow(i) ? GQA_CACHE_RING : GQA_CACHE_PAGED;
      layer.window = model.hasWindow(i) ? window : 0;
      layer.rotary = model.getRotary(model.hasWindow(i));
    }
    gqa_cache_config config = {};
    config.num_layers = static_cast<int32_t>(model.layers);
    config.layers = layers.data();
    config.max_sequences = 1;
    config.max_tokens = tokens;
    config.page_size = pageSize;
    gqa_cache *cache = nullptr;
    memory.bytes = 0;
    ASSERT_EQ(gqa_cache_create(context, &config, &cache), GQA_OK) << model.name << ": " << gqa_context_message(context);
    KVCacheShape shape{model.layers, /*batch=*/1, model.kvHeads, tokens, model.headDim};
    shape.windowLayers = model.countWindowLayers();
    shape.window = window;
    double formula = kvCacheBytes(shape, 16);
    EXPECT_GE(static_cast<double>(memory.bytes), formula) << model.name;
    EXPECT_LE(static_cast<double>(memory.bytes), 1.02 * formula) << model.name;
    gqa_cache_destroy(cache);
  }
  gqa_context_destroy(context);
}

TEST(ModelData, UnknownModelNamesNearOnes) {
  std::vector<ModelData> models = shipped();
  EXPECT_THAT(messageOf([&] { findModel(models, "llama3-8b"); }),
              testing::StartsWith("unknown model 'llama3-8b'; near names: llama-3-8b, "));
  EXPECT_THAT(messageOf([&] { findModel(models, "gemma"); }),
              testing::StartsWith("unknown model 'gemma'; near names: gemma-2-9b, gemma-3-12b, "));
}

std::string parseError(const std::string &text) {
  return messageOf([&] { parseModels(text, "f.json"); });
}

TEST(ModelData, DamagedFilesAreDiagnosed) {
  EXPECT_EQ(parseError("{"), "f.json: not a JSON object with a list 'models'");
  EXPECT_EQ(parseError("[]"), "f.json: not a JSON object with a list 'models'");
  EXPECT_EQ(parseError(R"({"models": [3]})"), "f.json: every model needs a field 'name' with a string");
  EXPECT_EQ(parseError(R"({"models": [{"name": "x"}]})"), "f.json: model 'x': field 'layers' is missing");
  EXPECT_EQ(parseError(R"({"models": [{"name": "x", "layers": "2"}]})"),
            "f.json: model 'x': field 'layers' must be a positive integer, not \"2\"");
  std::string head = R"({"models": [{"name": "x", "layers": 1, "d_model": 8, "heads": 6, "head_dim": 4, "kv_heads": )";
  EXPECT_EQ(parseError(head + "4}]}"), "f.json: model 'x': query heads (6) must be a multiple of K/V heads (4)");
  EXPECT_EQ(parseError(head + R"(3, "sinks": 1}]})"), "f.json: model 'x': field 'sinks' must be true or false, not 1");
  EXPECT_EQ(parseError(head + R"(3, "biases": true}]})"),
            "f.json: model 'x': field 'biases' must be qkv or qkvo, not true");
  EXPECT_EQ(parseError(head + R"(3, "scale_dim": 0}]})"),
            "f.json: model 'x': field 'scale_dim' must be a positive integer, not 0");
  EXPECT_EQ(parseError(head + R"(3, "rope_base": 1}]})"),
            "f.json: model 'x': field 'rope_base' must be a number above 1, not 1");
  std::string scaling = head + R"(3, "rope_base": 100, "rope_scaling": )";
  EXPECT_EQ(parseError(scaling + "8}]}"),
            "f.json: model 'x': field 'rope_scaling' must be an object with a 'type', not 8");
  EXPECT_EQ(parseError(scaling + R"({"type": "ntk", "factor": 2}}]})"),
            "f.json: model 'x': field 'rope_scaling' must have type linear, llama3 or yarn, not 'ntk'");
  EXPECT_EQ(parseError(scaling + R"({"type": "yarn", "factor": 2}}]})"),
            "f.json: model 'x': field 'rope_scaling' needs a positive number 'original_context'");
  EXPECT_EQ(parseError(scaling + R"({"type": "linear", "factor": 2}}]})"), "");
  EXPECT_EQ(parseError(head + "3}]}"), "");
}

} // namespace
