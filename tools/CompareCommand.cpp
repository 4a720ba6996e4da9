// gqa-run compare: MHA, GQA and MQA, fused and unfused, on this machine.

#include "tools/Commands.h"
#include "tools/CompareReport.h"
#include "tools/CompareRun.h"
#include "tools/DeviceSession.h"
#include "tools/OutputFile.h"
#include "tools/Validators.h"

#include <algorithm>
#include <memory>

namespace gqa {
namespace {

struct CompareOptions {
  ComparePlan plan;
  std::string device, jsonPath;
  bool hasType = false;
  std::string reportPath;
};

void sortUnique(std::vector<int64_t> &lengths) {
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
}

/// Everything that can be refused is refused before the long work.
void checkOutputs(const CompareOptions &options) {
  if (!options.jsonPath.empty())
    checkWritable(options.jsonPath);
  if (options.reportPath.empty())
    return;
  checkPlotPath("--report", options.reportPath);
  checkWritable(options.reportPath);
  checkGnuplot();
}

/// Devices calculate in half types: bf16 unless the user names one.
void resolveDevice(CompareOptions &options) {
  if (options.device.empty() || parseDevice(options.device).device_type == kDLCPU)
    return;
  if (options.plan.withProjections)
    throw std::runtime_error("--with-projections compares layers on the CPU, not on '" + options.device + "'");
  options.plan.device = options.device;
  if (!options.hasType)
    options.plan.type = ElementType::bf16;
}

void runCompareCommand(CompareOptions &options) {
  resolveDevice(options);
  resolveHeads(options.plan.heads);
  sortUnique(options.plan.prefill);
  sortUnique(options.plan.decode);
  checkOutputs(options);
  CompareResult result = runCompare(options.plan);
  std::string text = printText(result);
  std::string report;
  if (!options.reportPath.empty()) {
    report = renderSvg(makePlots(result));
    if (isHtmlPath(options.reportPath))
      report = makeHtmlPage("Attention of " + result.plan.heads.title() + " on this machine", text, report);
  }
  if (options.jsonPath != "-")
    writeOutput("-", text);
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, printJson(result).dump(2) + "\n");
  if (!options.reportPath.empty())
    writeOutput(options.reportPath, report);
}

} // namespace

void addCompareCommand(CLI::App &app) {
  CLI::App *command = app.add_subcommand("compare", "compare MHA, GQA and MQA, fused and unfused, on this machine");
  auto options = std::make_shared<CompareOptions>();
  ComparePlan &plan = options->plan;
  addHeadOptions(*command, plan.heads, /*withDModel=*/true);
  std::map<std::string, ElementType> types = {
      {"f32", ElementType::f32}, {"f16", ElementType::f16}, {"bf16", ElementType::bf16}};
  CLI::Option *type =
      command->add_option("--dtype", plan.type, "element type: f32, f16 or bf16; default: f32, on devices bf16");
  type->transform(oneOf(types));
  command->add_option("--prefill", plan.prefill, "tokens of prompts, a list")
      ->delimiter(',')
      ->capture_default_str()
      ->check(positiveInteger());
  command->add_option("--decode", plan.decode, "cached tokens that one new token attends to, a list")
      ->delimiter(',')
      ->capture_default_str()
      ->check(positiveInteger());
  command->add_option("--device", options->device, "where to run: cpu (default) or cuda:N");
  command->add_option("--threads", plan.threads, "threads (as many as OpenMP gives)")->check(CLI::Range(1, 4096));
  command->add_option("--seed", plan.seed, "seed of the data")->capture_default_str();
  command->add_option("--seconds", plan.secondsPerLength, "time to spend on each length")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  command->add_flag("--with-projections", plan.withProjections,
                    "whole layers, too: q, k, v and o projections, rotary embedding, KV cache");
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without tables");
  command->add_option("--report", options->reportPath, "write tables and plots, FILE.html, or plots, FILE.svg");
  command->callback([options, type] {
    options->hasType = type->count() > 0;
    runCompareCommand(*options);
  });
}

} // namespace gqa
