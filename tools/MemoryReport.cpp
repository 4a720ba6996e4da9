#include "tools/MemoryReport.h"

#include "tools/CacheElementTypes.h"
#include "tools/HeadVariants.h"
#include "tools/KVCacheSize.h"
#include "tools/TextTable.h"

namespace gqa {
namespace {

constexpr double megabyte = 1 << 20;

bool hasWindow(const MemoryReport &report) { return report.heads.model && report.heads.model->window > 0; }

/// What a reader must know who compares these sizes with those of a cache that keeps every token; else "".
std::string windowNote(const MemoryReport &report) {
  if (!hasWindow(report))
    return "";
  const ModelData &model = *report.heads.model;
  return model.name + " has a " + describeWindow(model) + ": " + std::to_string(model.countWindowLayers()) + " of " +
         std::to_string(report.heads.layers) + " layers keep at most " + std::to_string(model.window) +
         " tokens, in rings.";
}

} // namespace

double MemoryReport::bytes(int64_t kvHeads, int64_t tokenCount) const {
  KVCacheShape shape{heads.layers, batch, kvHeads, tokenCount, heads.headDim};
  if (heads.model) {
    shape.windowLayers = heads.model->countWindowLayers();
    shape.window = heads.model->window;
  }
  return kvCacheBytes(shape, cacheElementBits().at(elementType));
}

double MemoryReport::savedPercent(int64_t kvHeads) const {
  return 100 * (1 - static_cast<double>(kvHeads) / heads.heads);
}

std::string MemoryReport::text() const {
  double elementBytes = cacheElementBits().at(elementType) / 8.0;
  std::string text = "KV cache of " + heads.title() + ": " + std::to_string(heads.layers) + " layers, " +
                     std::to_string(heads.heads) + " query heads, head dim " + std::to_string(heads.headDim) +
                     ", batch " + std::to_string(batch) + ", " + elementType + " (" + formatNumber(elementBytes, 1) +
                     (elementBytes == 1 ? " byte)\n" : " bytes)\n");
  text +=
      std::string("size = ") + (hasWindow(*this) ? windowedKVCacheFormula : kvCacheFormula) + "; MB = 2^20 bytes\n\n";

  TextTable table(/*headingRows=*/2);
  std::vector<std::string> names = {"tokens"}, counts = {""};
  for (int64_t kvHeads : heads.kvHeads) {
    names.push_back(variantName(heads.heads, kvHeads));
    counts.push_back(std::to_string(kvHeads) + " K/V");
  }
  table.addRow(names);
  table.addRow(counts);
  for (int64_t tokenCount : tokens) {
    std::vector<std::string> row = {std::to_string(tokenCount)};
    for (int64_t kvHeads : heads.kvHeads)
      row.push_back(formatNumber(bytes(kvHeads, tokenCount) / megabyte, 3) + " MB");
    table.addRow(row);
  }
  table.addRule();
  std::vector<std::string> saved = {"saved"};
  for (int64_t kvHeads : heads.kvHeads)
    saved.push_back(formatNumber(savedPercent(kvHeads), 1) + " %");
  table.addRow(saved);
  text += table.str();
  if (std::string note = windowNote(*this); !note.empty())
    text += "\n" + note + "\n";
  return text;
}

nlohmann::ordered_json MemoryReport::json() const {
  nlohmann::ordered_json variants = nlohmann::ordered_json::array();
  for (int64_t kvHeads : heads.kvHeads) {
    std::vector<double> sizes;
    for (int64_t tokenCount : tokens)
      sizes.push_back(bytes(kvHeads, tokenCount));
    variants.push_back({{"name", variantName(heads.heads, kvHeads)},
                        {"kv_heads", kvHeads},
                        {"bytes", sizes},
                        {"saved_percent", savedPercent(kvHeads)}});
  }
  nlohmann::ordered_json report = {{"formula", hasWindow(*this) ? windowedKVCacheFormula : kvCacheFormula},
                                   {"model", heads.model ? nlohmann::ordered_json(heads.model->name) : nullptr},
                                   {"layers", heads.layers},
                                   {"heads", heads.heads},
                                   {"head_dim", heads.headDim},
                                   {"batch", batch},
                                   {"element_type", elementType},
                                   {"element_bits", cacheElementBits().at(elementType)},
                                   {"tokens", tokens},
                                   {"variants", variants}};
  if (hasWindow(*this)) {
    report["window"] = heads.model->window;
    report["window_layers"] = heads.model->countWindowLayers();
    report["note"] = windowNote(*this);
  }
  return report;
}

Plot MemoryReport::plot() const {
  Plot plot;
  plot.title = "KV cache of " + heads.title() + ", " + elementType + ", batch " + std::to_string(batch);
  plot.xLabel = "sequence length (tokens)";
  plot.yLabel = "KV cache (MB)";
  plot.logarithmic = true;
  plot.x.assign(tokens.begin(), tokens.end());
  for (int64_t kvHeads : heads.kvHeads) {
    Plot::Series series{variantName(heads.heads, kvHeads), {}};
    for (int64_t tokenCount : tokens)
      series.values.push_back(bytes(kvHeads, tokenCount) / megabyte);
    plot.series.push_back(series);
  }
  return plot;
}

} // namespace gqa
