// gqa-run decode: what a decoding step costs in each layout of the KV cache.

#include "tools/Commands.h"
#include "tools/DecodeReport.h"
#include "tools/DeviceSession.h"
#include "tools/OutputFile.h"
#include "tools/Validators.h"

#include <memory>
#include <stdexcept>

namespace gqa {
namespace {

struct DecodeOptions {
  DecodePlan plan;
  std::string jsonPath;
};

void runDecode(DecodeOptions &options) {
  DecodePlan &plan = options.plan;
  if (!plan.device.empty() && parseDevice(plan.device).device_type == kDLCPU)
    plan.device.clear();
  if (plan.heads % plan.kvHeads != 0)
    throw std::runtime_error("--heads (" + std::to_string(plan.heads) + ") must be a multiple of --kv-heads (" +
                             std::to_string(plan.kvHeads) + ")");
  if (plan.headDim % 2 != 0)
    throw std::runtime_error("--head-dim must be even, since int4 is measured, got " + std::to_string(plan.headDim));
  if (plan.tokens % 512 != 0)
    throw std::runtime_error("--tokens must be a multiple of 512, so that half of them fill pages, got " +
                             std::to_string(plan.tokens));
  if (!options.jsonPath.empty() && options.jsonPath != "-")
    checkWritable(options.jsonPath);
  DecodeResult result = measureDecoding(plan);
  if (options.jsonPath != "-")
    writeOutput("-", printDecodeText(result));
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, printDecodeJson(result).dump(2) + "\n");
}

} // namespace

void addDecodeCommand(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "decode", "time decoding on a KV cache in each layout: pages, element types, rings, shared prefixes");
  auto options = std::make_shared<DecodeOptions>();
  DecodePlan &plan = options->plan;
  auto add = [&](const char *name, auto &value, const char *help) {
    command->add_option(name, value, help)->capture_default_str()->check(CLI::Range(1, 1 << 24));
  };
  add("--heads", plan.heads, "query heads");
  add("--kv-heads", plan.kvHeads, "K/V heads");
  add("--head-dim", plan.headDim, "elements of a head");
  add("--tokens", plan.tokens, "tokens of a sequence");
  add("--sequences", plan.sequences, "sequences, where there are several");
  add("--rounds", plan.rounds, "turns of each layout");
  command->add_option("--threads", plan.threads, "threads (as many as OpenMP gives)")->check(CLI::Range(1, 4096));
  command->add_option("--device", plan.device, "where the cache lies and attention runs: cpu (default) or cuda:N");
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without table");
  command->callback([options] { runDecode(*options); });
}

} // namespace gqa
