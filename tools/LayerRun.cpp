#include "tools/CompilerProcess.h"
#include "tools/HeadVariants.h"
#include "tools/LayerBench.h"
#include "tools/LayerPlan.h"
#include "tools/Median.h"
#include "tools/OutputFile.h"
#include "tools/Progress.h"
#include "tools/TemporaryDirectory.h"
#include "tools/TextTable.h"

#include <algorithm>
#include <stdexcept>
#include <unistd.h>

namespace gqa {

layer::LayerConfig LayerPlan::config(int64_t kvHeads) const {
  layer::LayerConfig config;
  config.dModel = heads.dModel;
  config.numHeads = heads.heads;
  config.numKvHeads = kvHeads;
  config.headDim = heads.headDim;
  config.threads = threads;
  config.rotary = rotary;
  return config;
}

double LayerPlan::weightBytes() const {
  double elements = 0;
  for (int64_t kvHeads : heads.kvHeads)
    elements += attentionParameters(/*layers=*/1, heads.dModel, heads.heads, kvHeads, heads.headDim);
  return elements * (random.type == layer::WeightType::F32 ? 4 : 2);
}

layer::LayerWeights LayerPlan::makeWeights(const layer::LayerConfig &config) const {
  if (weightsPath.empty())
    return makeRandomWeights(config, random);
  layer::LayerWeights weights = loadLayerWeights(layer::Checkpoint(weightsPath), prefix);
  weights.check(config);
  for (std::vector<float> *norm : {&weights.queryNorm, &weights.keyNorm})
    for (float &scale : *norm)
      scale += normsAddOne ? 1 : 0;
  return weights;
}

static double largest(const std::vector<int64_t> &values) {
  return static_cast<double>(*std::max_element(values.begin(), values.end()));
}

double LayerPlan::dataBytes() const {
  double keyRow = largest(heads.kvHeads) * static_cast<double>(heads.headDim);
  double queryRow = static_cast<double>(heads.heads * heads.headDim);
  double prefillRow = 2.0 * static_cast<double>(heads.dModel) + 2 * queryRow + 4 * keyRow;
  return 4.0 * static_cast<double>(batch) *
         (largest(prefill) * prefillRow + 2.0 * largest(decode) * keyRow * static_cast<double>(heads.kvHeads.size()));
}

namespace {

constexpr int maxRounds = 200;
/// Multiply-adds that the reference may take: about a second on one core.
constexpr double referenceBudget = 2e9;

/// How many tokens of a sequence the reference can afford.
int64_t countTokensToCheck(const LayerPlan &plan, int64_t kvHeads) {
  double perToken = 2.0 * static_cast<double>(plan.heads.dModel * kvHeads * plan.heads.headDim);
  double longest = std::max(largest(plan.prefill), largest(plan.decode) + 1);
  return static_cast<int64_t>(std::clamp(referenceBudget / perToken, 8.0, std::max(8.0, longest)));
}

LayerEntries makeEntries(const LayerPlan &plan, int64_t kvHeads) {
  LayerEntries entries;
  entries.type = plan.type;
  entries.prefix = "kv" + std::to_string(kvHeads) + "_";
  entries.hasMasks = plan.cache.isRing(); // for the pass without a cache
  entries.scores = plan.scores;
  entries.cacheType = plan.cache.printType();
  entries.storage = plan.cache.printStorage();
  return entries;
}

/// The layers of a plan.
class Runner {
public:
  explicit Runner(const LayerPlan &plan) : plan(plan) {}

  LayerResult run() {
    LayerResult result;
    result.plan = plan;
    progress.show("compiling");
    artifact = compile();
    for (int64_t kvHeads : plan.heads.kvHeads)
      result.variants.push_back(makeVariant(kvHeads));
    progress.show("measuring the machine");
    result.limits = measureMachineLimits(plan.threads);
    for (Phase phase : {Phase::prefill, Phase::decode})
      for (int64_t tokens : phase == Phase::prefill ? plan.prefill : plan.decode)
        runLength(phase, tokens, result);
    return result;
  }

private:
  std::unique_ptr<LoadedArtifact> compile() const {
    std::string text;
    for (int64_t kvHeads : plan.heads.kvHeads)
      text += printLayerEntries(plan.config(kvHeads), makeEntries(plan, kvHeads));
    TemporaryDirectory directory;
    writeOutput(directory.file("layer.mlir"), text);
    compileArtifact(directory.file("layer.mlir"), directory.file("layer.so"), {});
    return std::make_unique<LoadedArtifact>(directory.file("layer.so"), plan.threads);
  }

  LayerVariant makeVariant(int64_t kvHeads) {
    std::string name = variantName(plan.heads.heads, kvHeads);
    layer::LayerConfig config = plan.config(kvHeads);
    config.check();
    progress.show(name + ": making weights");
    layer::LayerWeights weights = plan.makeWeights(config);
    LayerVariant variant;
    variant.kvHeads = kvHeads;
    variant.parameters = weights.countParameters();
    for (const layer::WeightMatrix *matrix : {&weights.query, &weights.key, &weights.value, &weights.output})
      variant.weightBytes += static_cast<double>(matrix->bytes.size());
    benches.push_back(std::make_unique<LayerBench>(config, weights, *artifact, makeEntries(plan, kvHeads), plan.cache,
                                                   plan.random.seed + 100));
    progress.show(name + ": checking against the float64 reference");
    variant.tokensChecked = countTokensToCheck(plan, kvHeads);
    variant.errors = benches.back()->check(weights, variant.tokensChecked);
    return variant;
  }

  layer::LayerTimes call(Phase phase, int64_t tokens, LayerBench &bench) {
    if (phase == Phase::prefill)
      return bench.prefill(tokens, plan.batch);
    reader.read(); // empties the caches, as the other layers of a model would
    return bench.decode();
  }

  /// All variants at one length, in turn, round by round.
  void runLength(Phase phase, int64_t tokens, LayerResult &result) {
    struct Samples {
      std::vector<double> projections, attention, other, total;
    };
    std::vector<Samples> samples(benches.size());
    double start = seconds();
    for (auto &bench : benches) {
      if (phase == Phase::decode)
        bench->fill(tokens, plan.batch);
      call(phase, tokens, *bench); // warms up
    }
    double roundTime = seconds() - start;
    int rounds = static_cast<int>(std::clamp<double>(plan.secondsPerLength / roundTime, 3, maxRounds));
    for (int round = 0; round < rounds; ++round) {
      progress.show("timing " + std::string(getName(phase)) + " of " + std::to_string(tokens) + " tokens: round " +
                    std::to_string(round + 1) + " of " + std::to_string(rounds));
      for (size_t i = 0; i < benches.size(); ++i) {
        layer::LayerTimes times = call(phase, tokens, *benches[i]);
        samples[i].projections.push_back(times.projections);
        samples[i].attention.push_back(times.attention);
        samples[i].other.push_back(times.total - times.projections - times.attention);
        samples[i].total.push_back(times.total);
      }
    }
    for (size_t i = 0; i < benches.size(); ++i)
      result.cases.push_back({phase, plan.heads.kvHeads[i], tokens, rounds, median(samples[i].projections),
                              median(samples[i].attention), median(samples[i].other), median(samples[i].total)});
  }

  static double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  const LayerPlan &plan;
  Progress progress;
  std::unique_ptr<LoadedArtifact> artifact;
  std::vector<std::unique_ptr<LayerBench>> benches;
  DramReader reader{resolveThreads(plan.threads)};
};

} // namespace

LayerResult runLayers(const LayerPlan &plan) {
  double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  // Weights are there twice while a layer is checked.
  if (double needed = 2 * plan.weightBytes() + plan.dataBytes(); needed > 0.8 * memory)
    throw std::runtime_error("layers of these sizes take " + formatNumber(needed * 1e-9, 1) + " GB; this machine has " +
                             formatNumber(memory * 1e-9, 1) + " GB");
  return Runner(plan).run();
}

} // namespace gqa
