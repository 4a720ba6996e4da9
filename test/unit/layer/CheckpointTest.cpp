// A model in one file or in several with an index.

#include "runtime/layer/LayerWeights.h"

#include "ThrowsMessage.h"
#include "tools/LayerModule.h"
#include "tools/TemporaryDirectory.h"

#include <gtest/gtest.h>

#include <fstream>

using namespace gqa;
using namespace gqa::layer;

namespace {

class Shards : public ::testing::Test {
protected:
  std::string path(const char *name) const { return directory.file(name); }
  std::string index() const { return path("model.safetensors.index.json"); }
  std::string root() const { return index().substr(0, index().rfind('/')); }
  void writeIndex(const std::string &text) const { std::ofstream(index()) << text; }
  void expectRefused(const std::string &text, const std::string &problem) const {
    writeIndex(text);
    EXPECT_EQ(messageOf([&] { Checkpoint checkpoint(root()); }), "'" + index() + "' " + problem);
  }

  TemporaryDirectory directory;
};

TEST_F(Shards, AreOneCheckpoint) {
  LayerConfig config;
  config.dModel = 12, config.numHeads = 6, config.numKvHeads = 3;
  RandomWeights random;
  random.hasBiases = random.hasNorms = true; // as Qwen has them
  LayerWeights first = makeRandomWeights(config, random);
  random.seed = 100;
  LayerWeights second = makeRandomWeights(config, random);
  // A layer's tensors may be in two shards.
  saveLayerWeights(path("a.safetensors"), "0.", first);
  std::vector<float> query(144, 7);
  writeSafetensors(path("b.safetensors"), {{"1.q_proj.weight", {"F32", {12, 12}, query.data()}}});
  saveLayerWeights(path("c.safetensors"), "1.", second);
  std::string map;
  for (const char *name : {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "q_proj.bias",
                           "k_proj.bias", "v_proj.bias", "q_norm.weight", "k_norm.weight"})
    map += std::string("\"0.") + name + "\": \"a.safetensors\", \"1." + name + "\": \"" +
           (std::string(name) == "q_proj.weight" ? "b" : "c") + ".safetensors\", ";
  writeIndex("{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map.substr(0, map.size() - 2) + "}}");
  for (const std::string &given : {root(), index()}) {
    Checkpoint checkpoint(given);
    EXPECT_EQ(checkpoint.getPath(), index());
    LayerWeights zero = loadLayerWeights(checkpoint, "0."), one = loadLayerWeights(checkpoint, "1.");
    EXPECT_EQ(zero.query.bytes, first.query.bytes);
    EXPECT_EQ(zero.keyNorm, first.keyNorm);
    EXPECT_EQ(one.query.get(5), 7);
    EXPECT_EQ(one.output.bytes, second.output.bytes);
    EXPECT_EQ(one.valueBias, second.valueBias);
    EXPECT_EQ(checkpoint.find("2.q_proj.weight"), nullptr);
    EXPECT_EQ(messageOf([&] { loadLayerWeights(checkpoint, "2."); }),
              "'" + index() + "' has no tensor '2.q_proj.weight'");
  }
}

TEST_F(Shards, DamagedOnesAreRefused) {
  EXPECT_EQ(messageOf([&] { Checkpoint checkpoint(root()); }),
            "'" + root() + "' has neither model.safetensors.index.json nor model.safetensors");
  float element = 1;
  writeSafetensors(path("a.safetensors"), {{"x", {"F32", {1}, &element}}});
  for (const char *text : {"", "{", "[]", "{}", "{\"weight_map\": []}"})
    expectRefused(text, "is no JSON object with a weight_map");
  expectRefused("{\"weight_map\": {\"x\": 3}}", "has no name of a file for tensor 'x'");
  for (const std::string &name : {"", ".", "..", "../a.safetensors", "/a.safetensors"})
    expectRefused("{\"weight_map\": {\"x\": \"" + name + "\"}}",
                  "has tensor 'x' in '" + name + "', which is no file beside it");
  expectRefused("{\"weight_map\": {\"y\": \"a.safetensors\"}}",
                "has tensor 'y' in 'a.safetensors', which does not have it");
  writeIndex("{\"weight_map\": {\"x\": \"missing.safetensors\"}}");
  EXPECT_EQ(messageOf([&] { Checkpoint checkpoint(root()); }),
            "cannot open '" + path("missing.safetensors") + "': No such file or directory");
  std::ofstream(path("a.safetensors")) << "short";
  writeIndex("{\"weight_map\": {\"x\": \"a.safetensors\"}}");
  EXPECT_EQ(messageOf([&] { Checkpoint checkpoint(root()); }),
            "'" + path("a.safetensors") + "' has 5 bytes, too few for a safetensors file");
}

} // namespace
