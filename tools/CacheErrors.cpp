#include "tools/CacheErrors.h"

#include "runtime/gqa.h"
#include "tools/CacheElementTypes.h"
#include "tools/NumberText.h"
#include "tools/SeededData.h"
#include "tools/TextTable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <stdexcept>

namespace gqa {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Normal numbers of unit variance (Box & Muller 1958).
std::vector<float> makeNormal(uint64_t seed, int64_t count) {
  ElementBuffer uniform(ElementType::f32, 2 * count);
  uniform.fillRandom(seed, 1);
  const float *pairs = static_cast<const float *>(uniform.data());
  std::vector<float> numbers(static_cast<size_t>(count));
  for (size_t i = 0; i < numbers.size(); ++i) {
    double radius = std::sqrt(-2 * std::log(1 - (pairs[2 * i] + 1) / 2)), angle = pi * pairs[2 * i + 1];
    numbers[i] = static_cast<float>(radius * std::cos(angle));
  }
  return numbers;
}

/// [tokens, heads, dim] each.
struct Rows {
  std::vector<float> queries, keys, values;
};

Rows makeRows(const CacheErrorPlan &plan) {
  int64_t row = plan.kvHeads * plan.headDim;
  Rows rows{makeNormal(plan.seed, plan.queries * row), makeNormal(plan.seed + 1, plan.tokens * row),
            makeNormal(plan.seed + 2, plan.tokens * row)};
  for (size_t i = 0; i < rows.keys.size(); ++i)
    if (static_cast<int64_t>(i) % plan.headDim % 32 == 5)
      rows.keys[i] *= static_cast<float>(plan.outliers);
  // So that scores are as large as without.
  for (size_t i = 0; i < rows.queries.size(); ++i)
    if (static_cast<int64_t>(i) % plan.headDim % 32 == 5)
      rows.queries[i] /= static_cast<float>(plan.outliers);
  return rows;
}

/// A cache with one layer and one sequence of all tokens.
class OneTypeCache {
public:
  OneTypeCache(const CacheErrorPlan &plan, gqa_cache_type type, const float *channelScales)
      : plan(plan), context(gqa_context_create(nullptr), &gqa_context_destroy), cache(nullptr, &gqa_cache_destroy) {
    gqa_cache_layer layer = {};
    layer.num_kv_heads = plan.kvHeads;
    layer.key_dim = layer.value_dim = plan.headDim;
    layer.key_type = layer.value_type = type;
    layer.storage = GQA_CACHE_PAGED;
    layer.key_channel_scales = channelScales;
    gqa_cache_config config = {1, &layer, 1, plan.tokens, 16};
    gqa_cache *created = nullptr;
    check(gqa_cache_create(context.get(), &config, &created));
    cache.reset(created);
    check(gqa_cache_add(context.get(), created, &sequence));
  }

  /// Seconds.
  double append(Rows &rows) {
    check(gqa_cache_truncate(context.get(), cache.get(), sequence, 0));
    Tensor keys(plan, rows.keys), values(plan, rows.values);
    auto start = std::chrono::steady_clock::now();
    check(gqa_cache_append(context.get(), cache.get(), 0, &sequence, &plan.tokens, 1, &keys.tensor, &values.tensor));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  void read(std::vector<float> &keys, std::vector<float> &values) const {
    Tensor keyTensor(plan, keys), valueTensor(plan, values);
    check(gqa_cache_read(context.get(), cache.get(), sequence, 0, 0, &keyTensor.tensor, &valueTensor.tensor));
  }

  double getBytes() const { return static_cast<double>(gqa_cache_bytes(cache.get())); }

private:
  struct Tensor {
    Tensor(const CacheErrorPlan &plan, std::vector<float> &elements) : shape{plan.tokens, plan.kvHeads, plan.headDim} {
      tensor.data = elements.data();
      tensor.device = {kDLCPU, 0};
      tensor.ndim = 3;
      tensor.dtype = {kDLFloat, 32, 1};
      tensor.shape = shape;
    }
    int64_t shape[3];
    DLTensor tensor = {};
  };

  void check(gqa_status status) const {
    if (status != GQA_OK)
      throw std::runtime_error(gqa_context_message(context.get()));
  }

  const CacheErrorPlan &plan;
  std::unique_ptr<gqa_context, void (*)(gqa_context *)> context;
  std::unique_ptr<gqa_cache, void (*)(gqa_cache *)> cache;
  gqa_sequence sequence = 0;
};

/// Attention of all queries to all keys in double: [queries, heads, dim].
std::vector<double> attend(const CacheErrorPlan &plan, const std::vector<float> &queries,
                           const std::vector<float> &keys, const std::vector<float> &values) {
  int64_t dim = plan.headDim, row = plan.kvHeads * dim;
  std::vector<double> output(queries.size(), 0);
#pragma omp parallel for
  for (int64_t start = 0; start < plan.queries * row; start += dim) {
    int64_t head = start % row;
    double sum = 0;
    for (int64_t n = 0; n < plan.tokens; ++n) {
      const float *key = &keys[static_cast<size_t>(n * row + head)];
      const float *value = &values[static_cast<size_t>(n * row + head)];
      double score = 0;
      for (int64_t d = 0; d < dim; ++d)
        score += static_cast<double>(queries[static_cast<size_t>(start + d)]) * key[d];
      double weight = std::exp(score / std::sqrt(static_cast<double>(dim)));
      sum += weight;
      for (int64_t d = 0; d < dim; ++d)
        output[static_cast<size_t>(start + d)] += weight * value[d];
    }
    for (int64_t d = 0; d < dim; ++d)
      output[static_cast<size_t>(start + d)] /= sum;
  }
  return output;
}

CacheErrorRow measure(const CacheErrorPlan &plan, Rows &rows, const std::vector<double> &exact, const char *name,
                      gqa_cache_type type, const float *channelScales = nullptr) {
  CacheErrorRow result;
  result.type = name;
  OneTypeCache cache(plan, type, channelScales);
  result.appendSeconds = cache.append(rows);
  for (int run = 0; run < 4; ++run)
    result.appendSeconds = std::min(result.appendSeconds, cache.append(rows));
  // Whole pages, of which the tokens fill nearly all.
  result.bytesPerToken = cache.getBytes() / (std::ceil(static_cast<double>(plan.tokens) / 16) * 16);
  std::vector<float> keys(rows.keys.size()), values(rows.values.size());
  cache.read(keys, values);
  std::vector<double> output = attend(plan, rows.queries, keys, values);
  double squares = 0, exactSquares = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    double difference = output[i] - exact[i];
    squares += difference * difference;
    exactSquares += exact[i] * exact[i];
    result.greatestError = std::max(result.greatestError, std::fabs(difference));
  }
  result.relativeError = std::sqrt(squares / exactSquares);
  return result;
}

/// The largest magnitude of each channel of each head, as the largest of int8: what calibration would find.
std::vector<float> calibrate(const CacheErrorPlan &plan, const std::vector<float> &keys) {
  std::vector<float> scales(static_cast<size_t>(plan.kvHeads * plan.headDim), 1e-30f);
  for (size_t i = 0; i < keys.size(); ++i) {
    float &scale = scales[i % scales.size()];
    scale = std::max(scale, std::fabs(keys[i]) / 127);
  }
  return scales;
}

} // namespace

CacheErrorReport measureCacheErrors(const CacheErrorPlan &plan) {
  CacheErrorReport report;
  report.plan = plan;
  Rows rows = makeRows(plan);
  std::vector<double> exact = attend(plan, rows.queries, rows.keys, rows.values);
  const std::pair<const char *, gqa_cache_type> types[] = {{"f32", GQA_CACHE_F32},    {"f16", GQA_CACHE_F16},
                                                           {"bf16", GQA_CACHE_BF16},  {"int8", GQA_CACHE_I8},
                                                           {"fp8", GQA_CACHE_F8E4M3}, {"int4", GQA_CACHE_I4}};
  for (auto [name, type] : types) {
    if (type == GQA_CACHE_I4 && plan.headDim % 2 != 0)
      continue;
    report.rows.push_back(measure(plan, rows, exact, name, type));
    if (type == GQA_CACHE_I8)
      report.rows.push_back(measure(plan, rows, exact, "int8 by channel", type, calibrate(plan, rows.keys).data()));
  }
  return report;
}

std::string CacheErrorReport::text() const {
  std::string text = "KV cache by element type: " + std::to_string(plan.kvHeads) + " K/V heads, head dim " +
                     std::to_string(plan.headDim) + ", " + std::to_string(plan.tokens) + " tokens, one layer\n\n";
  TextTable table(/*headingRows=*/2);
  table.addRow({"keys and values", "bytes", "of f32", "relative", "greatest", "append"});
  table.addRow({"", "per token", "", "error", "error", "million tokens/s"});
  for (const CacheErrorRow &row : rows)
    table.addRow({row.type, formatNumber(row.bytesPerToken, 1), printPercent(row.bytesPerToken, rows[0].bytesPerToken),
                  printError(row.relativeError), printError(row.greatestError),
                  print(static_cast<double>(plan.tokens) / row.appendSeconds * 1e-6, 2)});
  text += table.str();
  return text +
         "\nErrors are those of attention's output (computed in float64 from what the cache gives back) against "
         "unrounded keys\nand values: root mean square over that of the output, and the greatest. " +
         std::to_string(plan.queries) + " queries per head; normal pseudo-random numbers, seed " +
         std::to_string(plan.seed) +
         (plan.outliers != 1 ? ";\nevery 32nd channel of the keys " + formatNumber(plan.outliers, 2) + " times as large"
                             : "") +
         ". Quantised rows carry an f32 scale per token and head;\n\"by channel\": keys have fixed scales per channel "
         "instead.\n";
}

nlohmann::ordered_json CacheErrorReport::json() const {
  nlohmann::ordered_json types = nlohmann::ordered_json::array();
  for (const CacheErrorRow &row : rows)
    types.push_back({{"type", row.type},
                     {"bytes_per_token", row.bytesPerToken},
                     {"relative_error", row.relativeError},
                     {"max_abs_error", row.greatestError},
                     {"append_tokens_per_second", static_cast<double>(plan.tokens) / row.appendSeconds}});
  return {{"kv_heads", plan.kvHeads},  {"head_dim", plan.headDim}, {"tokens", plan.tokens}, {"queries", plan.queries},
          {"outliers", plan.outliers}, {"seed", plan.seed},        {"types", types}};
}

} // namespace gqa
