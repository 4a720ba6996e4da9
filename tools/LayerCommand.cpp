// gqa-run layer: whole attention layers, with projections and KV cache, on this machine.

#include "tools/CacheElementTypes.h"
#include "tools/Commands.h"
#include "tools/LayerReport.h"
#include "tools/OutputFile.h"
#include "tools/Validators.h"

#include <cmath>
#include <memory>
#include <stdexcept>

namespace gqa {
namespace {

struct LayerOptions {
  LayerPlan plan;
  double ropeBase = -1; // -1: the model's, or none
  std::string jsonPath, savePath;
};

void resolveCache(LayerPlan &plan) {
  LayerCache &cache = plan.cache;
  if (cache.type.empty())
    cache.type = getName(plan.type);
  if (cache.isRing() && cache.window == 0 && plan.heads.model)
    cache.window = plan.heads.model->window;
  cache.check(plan.heads.headDim);
}

void addCacheOptions(CLI::App &command, LayerCache &cache) {
  std::map<std::string, gqa_cache_storage> storages = {
      {"contiguous", GQA_CACHE_CONTIGUOUS}, {"paged", GQA_CACHE_PAGED}, {"ring", GQA_CACHE_RING}};
  command.add_option("--cache", cache.storage, "how keys and values are stored: contiguous (default), paged or ring")
      ->transform(oneOf(storages));
  std::vector<std::string> types;
  for (const auto &entry : cacheElementBits())
    types.push_back(entry.first);
  command.add_option("--cache-dtype", cache.type, "element type of keys and values in the cache (that of --dtype)")
      ->check(CLI::IsMember(types));
  command.add_option("--page-size", cache.pageSize, "tokens of a page, a power of two")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command.add_option("--window", cache.window, "ring: the last tokens, which are seen (the model's)")
      ->check(positiveInteger());
  command.add_option("--sinks", cache.sinks, "ring: the first tokens, which are always seen")
      ->check(CLI::Range(0, 1 << 20));
  command.add_option("--slack", cache.slack, "ring: tokens kept beside the window; prompts go in chunks of one more")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
}

/// What the model has beside its heads: scores, and biases and norms where weights are pseudo-random.
void resolveModel(LayerPlan &plan) {
  if (plan.heads.model) {
    const ModelData &model = *plan.heads.model;
    if (plan.scores.scale == 0 && model.scaleDim > 0)
      plan.scores.scale = 1 / std::sqrt(static_cast<double>(model.scaleDim));
    if (plan.scores.softcap == 0)
      plan.scores.softcap = model.softcap;
    plan.random.hasSinks |= model.sinks;
    plan.random.hasBiases |= model.hasBiases;
    plan.random.hasOutputBias |= model.hasOutputBias;
    plan.random.hasNorms |= model.hasNorms;
    plan.normsAddOne = model.normsAddOne;
  }
  plan.scores.hasSinks = plan.weightsPath.empty()
                             ? plan.random.hasSinks
                             : layer::Checkpoint(plan.weightsPath).find(plan.prefix + "sinks") != nullptr;
}

/// Fills in what depends on other options. Everything that can be refused is refused before the long work.
void resolve(LayerOptions &options) {
  LayerPlan &plan = options.plan;
  bool isGiven = !plan.heads.kvHeads.empty();
  resolveHeads(plan.heads);
  if (!isGiven && plan.heads.model)
    plan.heads.kvHeads = {plan.heads.model->kvHeads};
  resolveCache(plan);
  if (options.ropeBase > 0)
    plan.rotary = makePlainRotary(plan.heads.headDim, options.ropeBase);
  else if (options.ropeBase < 0 && plan.heads.model)
    plan.rotary = plan.heads.model->getRotary(/*isWindowed=*/plan.cache.isRing());
  resolveModel(plan);
  bool readsOrWrites = !plan.weightsPath.empty() || !options.savePath.empty();
  if (readsOrWrites && plan.heads.kvHeads.size() != 1)
    throw std::runtime_error("a file of weights is for one layer: give --kv-heads one number");
  for (int64_t kvHeads : plan.heads.kvHeads)
    plan.config(kvHeads).check();
  for (const std::string &path : {options.jsonPath, options.savePath})
    if (!path.empty() && path != "-")
      checkWritable(path);
}

void saveWeights(const LayerOptions &options) {
  const LayerPlan &plan = options.plan;
  layer::saveLayerWeights(options.savePath, plan.prefix, plan.makeWeights(plan.config(plan.heads.kvHeads[0])));
}

void runLayer(LayerOptions &options) {
  resolve(options);
  if (!options.savePath.empty())
    saveWeights(options);
  LayerResult result = runLayers(options.plan);
  if (options.jsonPath != "-")
    writeOutput("-", printLayerText(result));
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, printLayerJson(result).dump(2) + "\n");
}

} // namespace

void addLayerCommand(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("layer", "run, check and time attention layers: projections, rotary embedding, KV cache");
  auto options = std::make_shared<LayerOptions>();
  LayerPlan &plan = options->plan;
  RandomWeights &random = plan.random;
  addHeadOptions(*command, plan.heads, /*withDModel=*/true);
  auto addLengths = [&](const char *name, std::vector<int64_t> &lengths, const char *help) {
    command->add_option(name, lengths, help)->delimiter(',')->capture_default_str()->check(positiveInteger());
  };
  addLengths("--tokens", plan.prefill, "tokens of prompts, a list");
  addLengths("--decode", plan.decode, "cached tokens that one new token attends to, a list");
  std::map<std::string, ElementType> types = {
      {"f32", ElementType::f32}, {"f16", ElementType::f16}, {"bf16", ElementType::bf16}};
  command->add_option("--dtype", plan.type, "element type of attention: f32 (default), f16 or bf16")
      ->transform(oneOf(types));
  std::map<std::string, layer::WeightType> weightTypes = {{"f32", layer::WeightType::F32},
                                                          {"bf16", layer::WeightType::BF16}};
  command->add_option("--batch", plan.batch, "sequences")->capture_default_str()->check(positiveInteger());
  CLI::Option *weights =
      command->add_option("--weights", plan.weightsPath,
                          "weights: FILE.safetensors, or a checkpoint's directory; without it they are "
                          "pseudo-random");
  command->add_option("--prefix", plan.prefix,
                      "what stands before q_proj.weight in the file, such as model.layers.0.self_attn.");
  command->add_option("--save-weights", options->savePath, "write the pseudo-random weights to FILE.safetensors")
      ->excludes(weights);
  command->add_option("--weight-dtype", random.type, "element type of pseudo-random weights: f32 (default) or bf16")
      ->transform(oneOf(weightTypes))
      ->excludes(weights);
  command
      ->add_flag_callback(
          "--biases", [&random] { random.hasBiases = random.hasOutputBias = true; },
          "pseudo-random biases, too (the model's)")
      ->excludes(weights);
  command
      ->add_flag("--norms", random.hasNorms,
                 "RMS norms of queries and keys with pseudo-random scales, too (if the model has them)")
      ->excludes(weights);
  command
      ->add_flag("--head-sinks", random.hasSinks,
                 "a pseudo-random logit per query head in each softmax's denominator (if the model has them)")
      ->excludes(weights);
  command->add_option("--scale", plan.scores.scale, "factor of scores (the model's, or 1 / sqrt(head dim))")
      ->check(CLI::PositiveNumber);
  command->add_option("--softcap", plan.scores.softcap, "scores become softcap * tanh(score / softcap) (the model's)")
      ->check(CLI::PositiveNumber);
  addCacheOptions(*command, plan.cache);
  command->add_option("--rope-base", options->ropeBase,
                      "base of an unscaled rotary embedding, half-split pairs; 0: none (the model's, with --cache "
                      "ring that of its layers with a window; or none)");
  command->add_option("--threads", plan.threads, "threads (as many as OpenMP gives)")->check(CLI::Range(1, 4096));
  command->add_option("--seed", random.seed, "seed of the data")->capture_default_str();
  command->add_option("--seconds", plan.secondsPerLength, "time to spend on each length")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without tables");
  command->callback([options] { runLayer(*options); });
}

} // namespace gqa
