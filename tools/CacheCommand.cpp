// gqa-run cache: what storing keys and values in narrower types saves and costs.

#include "tools/CacheErrors.h"
#include "tools/Commands.h"
#include "tools/OutputFile.h"
#include "tools/Validators.h"

#include <memory>

namespace gqa {
namespace {

struct CacheOptions {
  CacheErrorPlan plan;
  std::string jsonPath;
};

void runCache(const CacheOptions &options) {
  if (!options.jsonPath.empty() && options.jsonPath != "-")
    checkWritable(options.jsonPath);
  CacheErrorReport report = measureCacheErrors(options.plan);
  if (options.jsonPath != "-")
    writeOutput("-", report.text());
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, report.json().dump(2) + "\n");
}

} // namespace

void addCacheCommand(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("cache", "print what each element type of the KV cache saves, and its error in attention");
  auto options = std::make_shared<CacheOptions>();
  auto addCount = [&](const char *name, int64_t &value, const char *help) {
    command->add_option(name, value, help)->capture_default_str()->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  };
  addCount("--kv-heads", options->plan.kvHeads, "K/V heads");
  addCount("--head-dim", options->plan.headDim, "elements of a head");
  addCount("--tokens", options->plan.tokens, "tokens of the sequence");
  addCount("--queries", options->plan.queries, "queries per K/V head");
  command
      ->add_option("--outliers", options->plan.outliers,
                   "every 32nd channel of the keys is so many times as large, as in real models")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 1e6));
  command->add_option("--seed", options->plan.seed, "seed of the data")->capture_default_str();
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without table");
  command->callback([options] { runCache(*options); });
}

} // namespace gqa
