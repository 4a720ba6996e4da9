#include "tools/CompareReport.h"

#include "tools/HeadVariants.h"
#include "tools/KVCacheSize.h"
#include "tools/LayerReport.h"
#include "tools/NumberText.h"
#include "tools/TextTable.h"

#include <algorithm>

namespace gqa {
namespace {

constexpr double megabyte = 1 << 20;

/// One case with everything that follows from its time.
struct Rates {
  AttentionWork work;
  double gflops, gbs;

  Rates(const CompareResult &result, const CaseResult &test, double seconds)
      : work(result.plan.work(test.phase, test.kvHeads, test.tokens)), gflops(work.flops() / seconds * 1e-9),
        gbs(work.bytes(getByteSize(result.plan.type)) / seconds * 1e-9) {}
};

double cacheBytes(const ComparePlan &plan, int64_t kvHeads, int64_t tokens) {
  return kvCacheBytes({plan.heads.layers, /*batch=*/1, kvHeads, tokens, plan.heads.headDim},
                      static_cast<int>(8 * getByteSize(plan.type)));
}

double parameters(const ComparePlan &plan, int64_t kvHeads) {
  const HeadOptions &heads = plan.heads;
  return attentionParameters(heads.layers, heads.dModel, heads.heads, kvHeads, heads.headDim);
}

std::string printSizes(const ComparePlan &plan) {
  TextTable table(/*headingRows=*/2);
  std::vector<std::string> first = {"variant", "K/V", "attention"}, second = {"", "heads", "parameters"};
  for (int64_t tokens : plan.decode) {
    first.push_back("KV cache,");
    second.push_back(std::to_string(tokens) + " tokens");
  }
  first.push_back("saved");
  table.addRow(first);
  table.addRow(second);
  for (int64_t kvHeads : plan.heads.kvHeads) {
    std::vector<std::string> row = {variantName(plan.heads.heads, kvHeads), std::to_string(kvHeads),
                                    print(parameters(plan, kvHeads) * 1e-6, 1) + " M"};
    for (int64_t tokens : plan.decode)
      row.push_back(formatNumber(cacheBytes(plan, kvHeads, tokens) / megabyte, 3) + " MB");
    row.push_back(formatNumber(100 * (1 - static_cast<double>(kvHeads) / plan.heads.heads), 1) + " %");
    table.addRow(row);
  }
  return table.str();
}

std::string printTimes(const CompareResult &result, Phase phase) {
  TextTable table(/*headingRows=*/2);
  table.addRow({"variant", "tokens", "fused", "unfused", "speed-up", "fused", "of", "fused", "of", "greatest"});
  table.addRow({"", "", "ms", "ms", "", "GFLOP/s", result.flopLimitName(), "GB/s", result.byteLimitName(), "error"});
  int64_t tokens = 0;
  for (const CaseResult &test : result.cases) {
    if (test.phase != phase)
      continue;
    if (tokens && test.tokens != tokens)
      table.addRule();
    tokens = test.tokens;
    Rates rates(result, test, test.fused.seconds);
    table.addRow({variantName(result.plan.heads.heads, test.kvHeads), std::to_string(test.tokens),
                  printMilliseconds(test.fused.seconds),
                  test.unfused    ? printMilliseconds(test.unfused->seconds)
                  : result.device ? "-"
                                  : "no memory",
                  test.unfused ? print(test.speedUp(), 2) + " x" : "-", print(rates.gflops, 1),
                  printPercent(rates.gflops, result.flopLimit()), print(rates.gbs, rates.gbs < 10 ? 2 : 1),
                  printPercent(rates.gbs, result.limits.dramReadGBs), printError(test.fused.error)});
  }
  return table.str();
}

std::string printCalls(const CompareResult &result) {
  auto [least, most] = std::minmax_element(result.cases.begin(), result.cases.end(),
                                           [](const auto &a, const auto &b) { return a.calls < b.calls; });
  return std::to_string(least->calls) + (most->calls > least->calls ? " to " + std::to_string(most->calls) : "");
}

/// What the limits are, and how times were taken.
std::string printMethod(const CompareResult &result) {
  std::string notes = "Limits, measured in this run with " + std::to_string(result.limits.threads) +
                      " threads: f32 FMA " + print(result.limits.fmaGflops, 0) + " GFLOP/s";
  if (result.limits.bf16Gflops > 0)
    notes += ", bf16 dot product " + print(result.limits.bf16Gflops, 0) + " GFLOP/s";
  notes += "\n(medians of " + std::to_string(result.arithmeticMeasurements) +
           " measurements, one before each round of calls), DRAM read " + print(result.limits.dramReadGBs, 1) +
           " GB/s\n(median of " + std::to_string(result.dramReads) + " reads of " + print(result.readerMiB, 0) +
           " MiB).\n";
  return notes + "Times are medians of " + printCalls(result) +
         " calls of one layer's attention; fused and unfused of all variants in turn. Before each\ndecode call the "
         "caches are emptied by reading other memory, as the other layers of a model would.\n";
}

/// The same on a device.
std::string printMethod(const CompareResult &result, const DeviceResult &device) {
  std::string notes = "Limits, measured in this run on the device: bf16 product of 8192 x 8192 matrices ";
  notes += device.limits.gemmTflops > 0
               ? print(device.limits.gemmTflops, 0) + " TFLOP/s (" + device.limits.gemmSource + ")"
               : "unknown (" + device.limits.gemmSource + ")";
  notes += ", copy within the\ndevice, read and written, " + print(device.limits.copyGBs, 0) + " GB/s.\n";
  notes += "Times are medians of " + printCalls(result) +
           " calls of one layer's attention, between events on the stream. Before each decode call\nthe L2 cache is "
           "emptied by writing other memory, as the other layers of a model would.\n";
  if (!device.noUnfused.empty())
    notes += "The unfused form was not compiled: " + device.noUnfused + "\n";
  return notes;
}

std::string printNotes(const CompareResult &result) {
  const ComparePlan &plan = result.plan;
  std::string notes = result.device ? printMethod(result, *result.device) : printMethod(result);
  notes += "GFLOP/s count the two products over the pairs of query and key that the causal mask leaves. GB/s count q, "
           "k, v\nand o once.\n"
           "Errors are the greatest |output - float64 reference| over a sample of " +
           std::to_string(result.rowsChecked) +
           " (head, token) rows per case; unfused\noutputs are checked in the same way.\n"
           "Data is pseudo-random, seed " +
           std::to_string(plan.seed) + ".\n";
  if (std::string leftOut = describeLeftOut(plan.heads); !leftOut.empty())
    notes += "Not measured, of what " + plan.heads.model->name + " has: " + leftOut +
             ". Attention here is over all tokens, and so are KV caches.\n";
  return notes;
}

/// Bars of one length, one group per variant.
Plot makeBars(const CompareResult &result, const std::string &title, const std::string &unit) {
  Plot plot;
  plot.title = title;
  plot.xLabel = "variant (K/V heads)";
  plot.yLabel = unit;
  for (int64_t kvHeads : result.plan.heads.kvHeads)
    plot.categories.push_back(variantName(result.plan.heads.heads, kvHeads) + " (" + std::to_string(kvHeads) + ")");
  return plot;
}

Plot makePrefillPlot(const CompareResult &result, int64_t tokens) {
  Plot plot = makeBars(result, "prefill, " + std::to_string(tokens) + " tokens, causal", "GFLOP/s of unmasked pairs");
  Plot::Series fused{"fused", {}}, unfused{"unfused", {}};
  for (const CaseResult &test : result.cases) {
    if (test.phase != Phase::prefill || test.tokens != tokens)
      continue;
    fused.values.push_back(Rates(result, test, test.fused.seconds).gflops);
    unfused.values.push_back(test.unfused ? Rates(result, test, test.unfused->seconds).gflops : 0);
  }
  plot.series = {fused, unfused};
  plot.limits = {{std::string(result.flopLimitName()) + " limit", result.flopLimit()}};
  return plot;
}

Plot makeDecodePlot(const CompareResult &result, int64_t tokens) {
  Plot plot = makeBars(result, "decode, " + std::to_string(tokens) + " cached tokens, one layer", "time (ms)");
  Plot::Series fused{"fused", {}}, unfused{"unfused", {}}, read{"read K, V once", {}};
  for (const CaseResult &test : result.cases) {
    if (test.phase != Phase::decode || test.tokens != tokens)
      continue;
    fused.values.push_back(1e3 * test.fused.seconds);
    unfused.values.push_back(test.unfused ? 1e3 * test.unfused->seconds : 0);
    double bytes = result.plan.work(test.phase, test.kvHeads, tokens).bytes(getByteSize(result.plan.type));
    read.values.push_back(bytes / result.limits.dramReadGBs * 1e-6);
  }
  plot.series = {fused, unfused, read};
  plot.logarithmic = true;
  return plot;
}

Plot makeCachePlot(const CompareResult &result) {
  Plot plot = makeBars(result, "KV cache, all layers, batch 1", "KV cache (MB)");
  for (int64_t tokens : result.plan.decode) {
    Plot::Series series{std::to_string(tokens) + " tokens", {}};
    for (int64_t kvHeads : result.plan.heads.kvHeads)
      series.values.push_back(cacheBytes(result.plan, kvHeads, tokens) / megabyte);
    plot.series.push_back(series);
  }
  return plot;
}

Plot makeSpeedUpPlot(const CompareResult &result) {
  Plot plot = makeBars(result, "speed-up of fused over unfused", "unfused time / fused time");
  for (const CaseResult &test : result.cases) {
    std::string label = std::string(getName(test.phase)) + " " + std::to_string(test.tokens);
    if (plot.series.empty() || plot.series.back().label != label)
      plot.series.push_back({label, {}});
    plot.series.back().values.push_back(test.unfused ? test.speedUp() : 0);
  }
  plot.limits = {{"1: as fast", 1}};
  return plot;
}

/// Null of an unknown whole.
nlohmann::ordered_json getPercent(double part, double whole) {
  return whole > 0 ? nlohmann::ordered_json(100 * part / whole) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json printForm(const CompareResult &result, const CaseResult &test, const FormResult &form) {
  Rates rates(result, test, form.seconds);
  return {{"seconds", form.seconds},
          {"gflops", rates.gflops},
          {"percent_of_fma", getPercent(rates.gflops, result.limits.fmaGflops)},
          {"percent_of_flop_limit", getPercent(rates.gflops, result.flopLimit())},
          {"gb_per_second", rates.gbs},
          {"percent_of_dram", getPercent(rates.gbs, result.limits.dramReadGBs)},
          {"max_abs_error", form.error}};
}

} // namespace

std::string printText(const CompareResult &result) {
  const ComparePlan &plan = result.plan;
  std::string text =
      plan.heads.title() + ": " + std::to_string(plan.heads.heads) + " query heads, head dim " +
      std::to_string(plan.heads.headDim) + ", " + std::to_string(plan.heads.layers) + " layers, hidden size " +
      std::to_string(plan.heads.dModel) + "; " + getName(plan.type) + ", batch 1, " +
      (result.device ? result.device->name : std::to_string(result.limits.threads) + " threads") + "\n\n";
  text += "Sizes, all layers (parameters of the q, k, v and o projections; MB = 2^20 bytes)\n\n" + printSizes(plan);
  text += "\nPrefill, causal, one layer\n\n" + printTimes(result, Phase::prefill);
  text += "\nDecode of one token, one layer\n\n" + printTimes(result, Phase::decode);
  if (result.layers)
    text += "\n" + printLayerTables(*result.layers);
  return text + "\n" + printNotes(result);
}

nlohmann::ordered_json printJson(const CompareResult &result) {
  const ComparePlan &plan = result.plan;
  using json = nlohmann::ordered_json;
  json variants = json::array();
  for (int64_t kvHeads : plan.heads.kvHeads) {
    json bytes = json::object();
    for (int64_t tokens : plan.decode)
      bytes[std::to_string(tokens)] = cacheBytes(plan, kvHeads, tokens);
    variants.push_back({{"name", variantName(plan.heads.heads, kvHeads)},
                        {"kv_heads", kvHeads},
                        {"attention_parameters", parameters(plan, kvHeads)},
                        {"kv_cache_bytes", bytes}});
  }
  json cases = json::array();
  for (const CaseResult &test : result.cases)
    cases.push_back({{"variant", variantName(plan.heads.heads, test.kvHeads)},
                     {"kv_heads", test.kvHeads},
                     {"phase", getName(test.phase)},
                     {"tokens", test.tokens},
                     {"calls", test.calls},
                     {"fused", printForm(result, test, test.fused)},
                     {"unfused", test.unfused ? printForm(result, test, *test.unfused) : json(nullptr)},
                     {"speed_up", test.unfused ? json(test.speedUp()) : json(nullptr)}});
  json report = {{"model", plan.heads.model ? json(plan.heads.model->name) : json(nullptr)},
                 {"layers", plan.heads.layers},
                 {"d_model", plan.heads.dModel},
                 {"heads", plan.heads.heads},
                 {"head_dim", plan.heads.headDim},
                 {"element_type", getName(plan.type)},
                 {"seed", plan.seed},
                 {"rows_checked", result.rowsChecked},
                 {"left_out", describeLeftOut(plan.heads)},
                 {"limits",
                  {{"threads", result.limits.threads},
                   {"fma_gflops", result.limits.fmaGflops},
                   {"bf16_dot_gflops", result.limits.bf16Gflops > 0 ? json(result.limits.bf16Gflops) : json(nullptr)},
                   {"dram_read_gb_per_second", result.limits.dramReadGBs}}},
                 {"variants", variants},
                 {"cases", cases}};
  if (const std::optional<DeviceResult> &device = result.device)
    report["device"] = {
        {"name", device->name},
        {"gemm_bf16_tflops", device->limits.gemmTflops > 0 ? json(device->limits.gemmTflops) : json(nullptr)},
        {"gemm_source", device->limits.gemmSource},
        {"copy_gb_per_second", device->limits.copyGBs}};
  if (result.layers)
    report["with_projections"] = printLayerJson(*result.layers);
  return report;
}

std::vector<Plot> makePlots(const CompareResult &result) {
  std::vector<Plot> plots;
  for (int64_t tokens : result.plan.prefill)
    plots.push_back(makePrefillPlot(result, tokens));
  for (int64_t tokens : result.plan.decode)
    plots.push_back(makeDecodePlot(result, tokens));
  plots.push_back(makeSpeedUpPlot(result));
  plots.push_back(makeCachePlot(result));
  return plots;
}

} // namespace gqa
