#include "tools/LayerModule.h"

#include "tools/AttentionModule.h"
#include "tools/CacheEntries.h"
#include "tools/SeededData.h"

#include <cmath>
#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace gqa {

static std::string printCached(const layer::LayerConfig &config, const LayerEntries &entries, const std::string &more) {
  const LayerScores &scores = entries.scores;
  std::string type = getName(entries.type), mlir, error;
  std::ostringstream spec;
  spec << std::setprecision(17) << "heads=" << config.numHeads << ",kv-heads=" << config.numKvHeads
       << ",head-dim=" << config.getHeadDim() << ",query-type=" << type
       << ",type=" << (entries.cacheType.empty() ? type : entries.cacheType) << "," << entries.storage;
  if (scores.scale > 0)
    spec << ",scale=" << scores.scale;
  if (scores.softcap > 0)
    spec << ",softcap=" << scores.softcap;
  if (scores.hasSinks)
    spec << ",head-sinks=1";
  spec << ",name=" << entries.prefix << more;
  if (!makeCacheEntries(spec.str(), mlir, error))
    throw std::invalid_argument(error);
  return mlir;
}

std::string printLayerEntries(const layer::LayerConfig &config, const LayerEntries &entries) {
  AttentionProblem problem;
  int64_t dim = config.getHeadDim();
  problem.extents = {1, config.numKvHeads, config.numHeads / config.numKvHeads, 1, 1, dim, dim};
  for (Operand *operand : {&problem.query, &problem.key, &problem.value, &problem.output})
    operand->type = entries.type;
  const LayerScores &scores = entries.scores;
  problem.scale = scores.scale > 0 ? static_cast<float>(scores.scale) : 1 / std::sqrt(static_cast<float>(dim));
  if (scores.softcap > 0)
    problem.softcap = static_cast<float>(scores.softcap);
  if (scores.hasSinks)
    problem.sink = Operand{{Dim::hkv, Dim::g}};
  problem.causal = true;
  problem.alignment = Alignment::bottomRight;
  std::string text = printAttentionFunction(problem, entries.prefix + "any", {Dim::b, Dim::m, Dim::n});
  if (entries.hasCache)
    text += printCached(config, entries, "cached");
  if (entries.hasMasks) {
    problem.mask = Operand{{Dim::b, Dim::m, Dim::n}, ElementType::i1};
    text += printAttentionFunction(problem, entries.prefix + "masked", {Dim::b, Dim::m, Dim::n});
  }
  if (entries.hasCachedMasks)
    text += printCached(config, entries, "cached_masked,mask=1");
  return text;
}

layer::AttentionEntries nameLayerEntries(const LayerEntries &entries) {
  layer::AttentionEntries names;
  names.any = entries.prefix + "any";
  if (entries.hasCache)
    names.cached = entries.prefix + "cached";
  if (entries.hasMasks)
    names.masked = entries.prefix + "masked";
  if (entries.hasCachedMasks)
    names.cachedMasked = entries.prefix + "cached_masked";
  return names;
}

namespace {

/// Tensors from one seed, each with numbers of its own.
class RandomTensors {
public:
  explicit RandomTensors(uint64_t seed) : seed(seed) {}

  layer::WeightMatrix makeMatrix(layer::WeightType type, int64_t outputs, int64_t inputs) {
    layer::WeightMatrix matrix{type, outputs, inputs, {}};
    bool isBFloat = type == layer::WeightType::BF16;
    // Variance of a uniform number is amplitude^2 / 3.
    ElementBuffer buffer = draw(isBFloat ? ElementType::bf16 : ElementType::f32, outputs * inputs,
                                std::sqrt(3 / static_cast<float>(inputs)));
    const char *bytes = static_cast<const char *>(buffer.data());
    matrix.bytes.assign(bytes, bytes + outputs * inputs * (isBFloat ? 2 : 4));
    return matrix;
  }

  std::vector<float> makeVector(bool isPresent, int64_t size, float mean) {
    if (!isPresent)
      return {};
    ElementBuffer buffer = draw(ElementType::f32, size, 0.5f);
    const float *elements = static_cast<const float *>(buffer.data());
    std::vector<float> vector(elements, elements + size);
    for (float &element : vector)
      element += mean;
    return vector;
  }

private:
  ElementBuffer draw(ElementType type, int64_t count, float amplitude) {
    ElementBuffer buffer(type, count);
    buffer.fillRandom(seed++, amplitude);
    return buffer;
  }

  uint64_t seed;
};

} // namespace

layer::LayerWeights makeRandomWeights(const layer::LayerConfig &config, const RandomWeights &options) {
  RandomTensors random(options.seed);
  layer::LayerWeights weights;
  int64_t queryRow = config.getQueryRow(), keyRow = config.getKeyRow();
  weights.query = random.makeMatrix(options.type, queryRow, config.dModel);
  weights.key = random.makeMatrix(options.type, keyRow, config.dModel);
  weights.value = random.makeMatrix(options.type, keyRow, config.dModel);
  weights.output = random.makeMatrix(options.type, config.dModel, queryRow);
  weights.queryBias = random.makeVector(options.hasBiases, queryRow, 0);
  weights.keyBias = random.makeVector(options.hasBiases, keyRow, 0);
  weights.valueBias = random.makeVector(options.hasBiases, keyRow, 0);
  weights.outputBias = random.makeVector(options.hasOutputBias, config.dModel, 0);
  weights.queryNorm = random.makeVector(options.hasNorms, config.getHeadDim(), 1);
  weights.keyNorm = random.makeVector(options.hasNorms, config.getHeadDim(), 1);
  weights.sinks = random.makeVector(options.hasSinks, config.numHeads, 1);
  return weights;
}

} // namespace gqa
