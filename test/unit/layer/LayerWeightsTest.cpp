// Weights of a layer by the names of Llama checkpoints, and which of them fit which heads.

#include "runtime/layer/LayerWeights.h"

#include "ThrowsMessage.h"
#include "tools/LayerModule.h"

#include <gtest/gtest.h>

#include <unistd.h>

using namespace gqa;
using namespace gqa::layer;

namespace {

LayerConfig makeConfig(int64_t dModel, int64_t heads, int64_t kvHeads) {
  LayerConfig config;
  config.dModel = dModel;
  config.numHeads = heads;
  config.numKvHeads = kvHeads;
  return config;
}

class Weights : public ::testing::Test {
protected:
  void SetUp() override { path = ::testing::TempDir() + "gqa-weights-" + std::to_string(getpid()); }
  void TearDown() override { unlink(path.c_str()); }

  std::string path;
};

TEST(LayerConfig, HeadsThatDoNotDivideAreNamed) {
  auto check = [](const LayerConfig &config) { return messageOf([&] { config.check(); }); };
  EXPECT_EQ(check(makeConfig(64, 8, 2)), "");
  EXPECT_EQ(check(makeConfig(60, 12, 5)), "query heads (12) must be a multiple of K/V heads (5)");
  EXPECT_EQ(check(makeConfig(64, 6, 2)),
            "d_model (64) must be a multiple of query heads (6) where no head dim is given");
  LayerConfig config = makeConfig(64, 6, 2);
  config.headDim = 16;
  EXPECT_EQ(check(config), "");
  config.rotary.dim = 20;
  EXPECT_EQ(check(config), "rotary dim must be even and at most the key dim (16), got 20");
  EXPECT_EQ(check(makeConfig(0, 6, 2)), "d_model must be from 1 to 1048576, got 0");
  EXPECT_EQ(check(makeConfig(64, 8, 0)), "K/V heads must be from 1 to 1048576, got 0");
}

TEST_F(Weights, AreStoredUnderTheNamesOfLlamaCheckpoints) {
  LayerConfig config = makeConfig(12, 6, 3);
  RandomWeights random;
  random.type = WeightType::BF16;
  random.hasBiases = random.hasOutputBias = random.hasNorms = random.hasSinks = true;
  LayerWeights weights = makeRandomWeights(config, random);
  EXPECT_EQ(weights.countParameters(), 2 * 12 * 12 + 2 * 12 * 6 + 12 + 6 + 6 + 12 + 2 + 2 + 6);
  saveLayerWeights(path, "model.layers.7.self_attn.", weights);
  Checkpoint file(path);
  const StoredTensor *key = file.find("model.layers.7.self_attn.k_proj.weight");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->type, "BF16");
  EXPECT_EQ(key->shape, (std::vector<int64_t>{6, 12}));
  for (const char *name : {"q_proj.weight", "v_proj.weight", "o_proj.weight", "q_proj.bias", "k_proj.bias",
                           "v_proj.bias", "o_proj.bias", "q_norm.weight", "k_norm.weight", "sinks"})
    EXPECT_NE(file.find(std::string("model.layers.7.self_attn.") + name), nullptr) << name;
  LayerWeights loaded = loadLayerWeights(file, "model.layers.7.self_attn.");
  EXPECT_EQ(loaded.output.bytes, weights.output.bytes);
  EXPECT_EQ(loaded.valueBias, weights.valueBias);
  EXPECT_EQ(loaded.keyNorm, weights.keyNorm);
  EXPECT_EQ(loaded.sinks, weights.sinks);
  EXPECT_EQ(loaded.countParameters(), weights.countParameters());
}

TEST_F(Weights, HalfMatricesAreWidened) {
  std::vector<uint16_t> halves = {0x3c00, 0xc000, 0x0001, 0x7bff}; // 1, -2, 2^-24, 65504
  TensorToStore matrix{"F16", {2, 2}, halves.data()};
  writeSafetensors(
      path,
      {{"q_proj.weight", matrix}, {"k_proj.weight", matrix}, {"v_proj.weight", matrix}, {"o_proj.weight", matrix}});
  LayerWeights weights = loadLayerWeights(Checkpoint(path), "");
  EXPECT_EQ(weights.query.type, WeightType::F32);
  EXPECT_EQ(weights.query.get(0), 1);
  EXPECT_EQ(weights.query.get(1), -2);
  EXPECT_EQ(weights.query.get(2), 0x1p-24f);
  EXPECT_EQ(weights.query.get(3), 65504);
}

TEST_F(Weights, WhatDoesNotFitIsNamed) {
  std::vector<double> doubles(4);
  TensorToStore good{"F32", {2, 2}, doubles.data()};
  auto load = [&](const std::map<std::string, TensorToStore> &tensors) {
    writeSafetensors(path, tensors);
    return messageOf([&] { loadLayerWeights(Checkpoint(path), "x."); });
  };
  EXPECT_EQ(load({{"x.q_proj.weight", good}}), "'" + path + "' has no tensor 'x.k_proj.weight'");
  EXPECT_EQ(load({{"x.q_proj.weight", {"F64", {2, 2}, doubles.data()}}}),
            "'" + path + "': tensor 'x.q_proj.weight' must be F32, BF16 or F16, got F64");
  EXPECT_EQ(load({{"x.q_proj.weight", {"F32", {4}, doubles.data()}}}),
            "'" + path + "': tensor 'x.q_proj.weight' must have rank 2, got [4]");
  LayerWeights weights = makeRandomWeights(makeConfig(12, 6, 3), {});
  EXPECT_EQ(messageOf([&] { weights.check(makeConfig(12, 6, 3)); }), "");
  EXPECT_EQ(messageOf([&] { weights.check(makeConfig(12, 6, 2)); }),
            "k_proj.weight must have shape [4, 12] for these heads, got [6, 12]");
  weights.outputBias.resize(5);
  EXPECT_EQ(messageOf([&] { weights.check(makeConfig(12, 6, 3)); }),
            "o_proj.bias must have shape [12] for these heads, got [5]");
  weights.outputBias.clear();
  weights.sinks.resize(3);
  EXPECT_EQ(messageOf([&] { weights.check(makeConfig(12, 6, 3)); }),
            "sinks must have shape [6] for these heads, got [3]");
}

} // namespace
