#include "tools/HeadOptions.h"

#include "tools/HeadVariants.h"
#include "tools/Validators.h"

#include <algorithm>

namespace gqa {
namespace {

/// K/V heads to compare if none are given, most first.
std::vector<int64_t> defaultKVHeads(const HeadOptions &options) {
  std::vector<int64_t> counts = {options.heads};
  if (options.model)
    counts.push_back(options.model->kvHeads);
  else
    counts.insert(counts.end(), {8, 4, 1});
  std::vector<int64_t> kept;
  for (int64_t count : counts)
    if (count <= options.heads && options.heads % count == 0 && !std::count(kept.begin(), kept.end(), count))
      kept.push_back(count);
  return kept;
}

void setIfMissing(int64_t &field, int64_t value) {
  if (field == 0)
    field = value;
}

} // namespace

std::string HeadOptions::title() const {
  if (model)
    return model->name;
  return layers == 32 && heads == 32 && headDim == 128 ? "Llama-7B-scale heads" : "attention heads";
}

void addHeadOptions(CLI::App &command, HeadOptions &options, bool withDModel) {
  CLI::Option *model =
      command.add_option("--model", options.modelName, "a model of the data file, for example llama-3-8b");
  command.add_option("--layers", options.layers, "layers (32)")->excludes(model)->check(positiveInteger());
  command.add_option("--heads", options.heads, "query heads (32)")->excludes(model)->check(positiveInteger());
  command.add_option("--kv-heads", options.kvHeads, "K/V heads, a list (32,8,4,1)")
      ->delimiter(',')
      ->check(positiveInteger());
  command.add_option("--head-dim", options.headDim, "elements of a head (128)")
      ->excludes(model)
      ->check(positiveInteger());
  if (withDModel)
    command.add_option("--d-model", options.dModel, "elements of a hidden state (heads x head dim)")
        ->excludes(model)
        ->check(positiveInteger());
}

void resolveHeads(HeadOptions &options) {
  ModelData source;
  source.layers = 32;
  source.heads = 32;
  source.headDim = 128;
  if (!options.modelName.empty()) {
    options.model = findModel(loadModels(), options.modelName);
    source = *options.model;
  }
  setIfMissing(options.layers, source.layers);
  setIfMissing(options.heads, source.heads);
  setIfMissing(options.headDim, source.headDim);
  setIfMissing(options.dModel, source.dModel ? source.dModel : options.heads * options.headDim);
  if (options.kvHeads.empty())
    options.kvHeads = defaultKVHeads(options);
  for (int64_t kvHeads : options.kvHeads)
    checkHeads(options.heads, kvHeads);
}

} // namespace gqa
