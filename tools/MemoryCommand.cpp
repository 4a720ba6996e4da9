// gqa-run memory: sizes of KV caches, by arithmetic alone.

#include "tools/CacheElementTypes.h"
#include "tools/Commands.h"
#include "tools/MemoryReport.h"
#include "tools/OutputFile.h"
#include "tools/Validators.h"

#include <algorithm>
#include <memory>

namespace gqa {
namespace {

struct MemoryOptions {
  MemoryReport report;
  std::string jsonPath;
  std::string plotPath;
};

void runMemory(MemoryOptions &options) {
  MemoryReport &report = options.report;
  resolveHeads(report.heads);
  std::sort(report.tokens.begin(), report.tokens.end());
  report.tokens.erase(std::unique(report.tokens.begin(), report.tokens.end()), report.tokens.end());
  std::string image;
  if (!options.jsonPath.empty())
    checkWritable(options.jsonPath);
  if (!options.plotPath.empty()) {
    checkPlotPath("--plot", options.plotPath);
    checkWritable(options.plotPath);
    image = renderSvg({report.plot()});
    if (isHtmlPath(options.plotPath))
      image = makeHtmlPage("KV cache of " + report.heads.title(), report.text(), image);
  }
  if (options.jsonPath != "-")
    writeOutput("-", report.text());
  if (!options.jsonPath.empty())
    writeOutput(options.jsonPath, report.json().dump(2) + "\n");
  if (!options.plotPath.empty())
    writeOutput(options.plotPath, image);
}

} // namespace

void addMemoryCommand(CLI::App &app) {
  CLI::App *command = app.add_subcommand("memory", "print KV-cache sizes of MHA, GQA and MQA, or of a model");
  auto options = std::make_shared<MemoryOptions>();
  options->report.tokens = {512, 1024, 2048, 4096};
  addHeadOptions(*command, options->report.heads, /*withDModel=*/false);
  command->add_option("--tokens", options->report.tokens, "sequence lengths, a list")
      ->delimiter(',')
      ->capture_default_str()
      ->check(positiveInteger());
  command->add_option("--batch", options->report.batch, "sequences")->capture_default_str()->check(positiveInteger());
  std::vector<std::string> types;
  for (const auto &entry : cacheElementBits())
    types.push_back(entry.first);
  command->add_option("--dtype", options->report.elementType, "element type")
      ->capture_default_str()
      ->check(CLI::IsMember(types));
  command->add_option("--json", options->jsonPath, "write the numbers as JSON; -: to standard output, without table");
  command->add_option("--plot", options->plotPath, "write a plot, FILE.svg or FILE.html");
  command->callback([options] { runMemory(*options); });
}

} // namespace gqa
