#include "tools/ModelData.h"
#include "ThrowsMessage.h"

#include <gmock/gmock.h>

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
  EXPECT_EQ(parseError(head + "3}]}"), "");
}

} // namespace
