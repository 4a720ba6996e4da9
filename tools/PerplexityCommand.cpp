// gqa-run perplexity: what a model loses when K/V heads are merged, on tokens of a file.

#include "tools/Commands.h"
#include "tools/CompilerProcess.h"
#include "tools/HeadVariants.h"
#include "tools/KVCacheSize.h"
#include "tools/LayerModule.h"
#include "tools/LlamaModel.h"
#include "tools/Npy.h"
#include "tools/OutputFile.h"
#include "tools/Progress.h"
#include "tools/TemporaryDirectory.h"
#include "tools/TextTable.h"
#include "tools/Validators.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace gqa {
namespace {

struct PerplexityOptions {
  std::string directory, tokensPath, jsonPath;
  std::vector<int64_t> kvHeads; // none: the model's, and 8, 4, 1 where it has more
  int64_t context = 0;          // 0: the model's
  int threads = 0;
};

struct PerplexityRow {
  int64_t kvHeads = 0, parameters = 0;
  double cacheBytes = 0, perplexity = 0, tokensPerSecond = 0;
};

std::vector<int64_t> readTokens(const std::string &path, int64_t vocabulary) {
  HostTensor tensor = readNpy(path);
  if (tensor.getShape().size() != 1 || !isIntegerType(tensor.getType()) || tensor.getNumElements() < 2)
    throw std::runtime_error("'" + path + "' must have a list of two integers or more, got " + tensor.print());
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < tensor.getNumElements(); ++i) {
    tokens.push_back(static_cast<int64_t>(tensor.get(i)));
    if (tokens.back() < 0 || tokens.back() >= vocabulary)
      throw std::runtime_error("'" + path + "': token " + std::to_string(i) + " is " + std::to_string(tokens.back()) +
                               ", but the model knows 0 to " + std::to_string(vocabulary - 1));
  }
  return tokens;
}

void resolve(PerplexityOptions &options, const LlamaConfig &config) {
  int64_t own = config.attention.numKvHeads;
  if (options.kvHeads.empty()) {
    options.kvHeads = {own};
    for (int64_t heads : {8, 4, 1})
      if (heads < own && own % heads == 0)
        options.kvHeads.push_back(heads);
  }
  for (int64_t heads : options.kvHeads)
    if (own % heads != 0)
      throw std::runtime_error("the model's K/V heads (" + std::to_string(own) +
                               ") must be a multiple of --kv-heads (" + std::to_string(heads) + ")");
  if (options.context > config.context)
    throw std::runtime_error("--context (" + std::to_string(options.context) + ") must be at most the model's (" +
                             std::to_string(config.context) + ")");
  if (options.context == 0)
    options.context = config.context;
}

/// One model. Tokens are cut into pieces of `context`, whose first tokens are given.
PerplexityRow evaluate(const PerplexityOptions &options, const LlamaConfig &config, const layer::Checkpoint &checkpoint,
                       const std::vector<int64_t> &tokens, int64_t kvHeads) {
  LayerEntries entries;
  entries.hasCache = false;
  layer::LayerConfig attention = config.attention;
  attention.numKvHeads = kvHeads;
  TemporaryDirectory directory;
  writeOutput(directory.file("layer.mlir"), printLayerEntries(attention, entries));
  compileArtifact(directory.file("layer.mlir"), directory.file("layer.so"), {});
  LoadedArtifact artifact(directory.file("layer.so"), options.threads);
  LlamaModel model(checkpoint, config, kvHeads, artifact, entries.prefix);

  auto start = std::chrono::steady_clock::now();
  auto size = static_cast<int64_t>(tokens.size());
  double loss = 0;
  int64_t predicted = 0;
  for (int64_t begin = 0; begin + 1 < size; begin += options.context) {
    int64_t end = std::min(size, begin + options.context);
    loss += model.computeLoss({tokens.begin() + begin, tokens.begin() + end});
    predicted += end - begin - 1;
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  KVCacheShape cache{config.layers, 1, kvHeads, std::min(size, options.context), attention.getHeadDim()};
  return {kvHeads, model.countParameters(), kvCacheBytes(cache, 32), std::exp(loss / static_cast<double>(predicted)),
          static_cast<double>(size) / seconds};
}

std::string printText(const PerplexityOptions &options, const LlamaConfig &config, int64_t tokens,
                      const std::vector<PerplexityRow> &rows) {
  TextTable table(2);
  table.addRow({"variant", "K/V heads", "parameters", "KV cache", "perplexity", "tokens/s"});
  table.addRow({"", "", "", "kB", "", ""});
  for (const PerplexityRow &row : rows)
    table.addRow({variantName(config.attention.numHeads, row.kvHeads), std::to_string(row.kvHeads),
                  std::to_string(row.parameters), formatNumber(row.cacheBytes / 1024, 1),
                  formatNumber(row.perplexity, 4), formatNumber(row.tokensPerSecond, 0)});
  return "Perplexity of " + options.directory + " on " + std::to_string(tokens) + " tokens, " +
         std::to_string(std::min(tokens, options.context)) + " at a time; KV cache of as many, f32\n\n" + table.str() +
         "\nFewer K/V heads than the model's " + std::to_string(config.attention.numKvHeads) +
         " are means of neighbours (Ainslie et al. 2023, section 2.1), without the\ntraining that follows there: not "
         "what a model that was trained with so few would reach.\n";
}

std::string printJson(const PerplexityOptions &options, int64_t tokens, const std::vector<PerplexityRow> &rows) {
  nlohmann::ordered_json json = {{"checkpoint", options.directory},
                                 {"tokens", tokens},
                                 {"context", std::min(tokens, options.context)},
                                 {"variants", nlohmann::ordered_json::array()}};
  for (const PerplexityRow &row : rows)
    json["variants"].push_back({{"kv_heads", row.kvHeads},
                                {"parameters", row.parameters},
                                {"kv_cache_bytes", row.cacheBytes},
                                {"perplexity", row.perplexity},
                                {"tokens_per_second", row.tokensPerSecond}});
  return json.dump(2) + "\n";
}

void runPerplexity(PerplexityOptions options) {
  LlamaConfig config = readLlamaConfig(options.directory + "/config.json");
  config.attention.threads = options.threads;
  resolve(options, config);
  std::vector<int64_t> tokens = readTokens(options.tokensPath, config.vocabulary);
  if (!options.jsonPath.empty() && options.jsonPath != "-")
    checkWritable(options.jsonPath);
  layer::Checkpoint checkpoint(options.directory);
  std::vector<PerplexityRow> rows;
  {
    Progress progress;
    for (int64_t heads : options.kvHeads) {
      progress.show(variantName(config.attention.numHeads, heads));
      rows.push_back(evaluate(options, config, checkpoint, tokens, heads));
    }
  }
  auto count = static_cast<int64_t>(tokens.size());
  if (options.jsonPath != "-")
    writeOutput("-", printText(options, config, count, rows));
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, printJson(options, count, rows));
}

} // namespace

void addPerplexityCommand(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "perplexity", "perplexity of a Llama-style checkpoint, as it is and with its K/V heads merged to fewer");
  auto options = std::make_shared<PerplexityOptions>();
  command->add_option("checkpoint", options->directory, "directory with config.json and safetensors")->required();
  command->add_option("--tokens", options->tokensPath, "numbers of tokens, FILE.npy")->required();
  command
      ->add_option("--kv-heads", options->kvHeads,
                   "numbers of K/V heads, a list (the model's, and those of 8, 4, 1 that divide it)")
      ->delimiter(',')
      ->check(positiveInteger());
  command->add_option("--context", options->context, "tokens of one sequence (the model's positions)")
      ->check(positiveInteger());
  command->add_option("--threads", options->threads, "threads (as many as OpenMP gives)")->check(CLI::Range(1, 4096));
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without a table");
  command->callback([options] { runPerplexity(*options); });
}

} // namespace gqa
