#include "tools/LayerReport.h"

#include "tools/CacheElementTypes.h"
#include "tools/HeadVariants.h"
#include "tools/KVCacheSize.h"
#include "tools/NumberText.h"
#include "tools/TextTable.h"

#include <algorithm>

namespace gqa {
namespace {

constexpr double megabyte = 1 << 20;

std::string nameOf(const LayerResult &result, int64_t kvHeads) { return variantName(result.plan.heads.heads, kvHeads); }

const LayerVariant &findVariant(const LayerResult &result, int64_t kvHeads) {
  return *std::find_if(result.variants.begin(), result.variants.end(),
                       [&](const LayerVariant &variant) { return variant.kvHeads == kvHeads; });
}

/// Floating-point operations of the projections of one call.
double projectionFlops(const LayerResult &result, const LayerCase &test) {
  const HeadOptions &heads = result.plan.heads;
  return 2 * attentionParameters(/*layers=*/1, heads.dModel, heads.heads, test.kvHeads, heads.headDim) *
         static_cast<double>(test.newTokens(result.plan.batch));
}

double tokensPerSecond(const LayerResult &result, const LayerCase &test) {
  return static_cast<double>(test.newTokens(result.plan.batch)) / test.total;
}

double cacheBytes(const LayerPlan &plan, int64_t kvHeads, int64_t tokens) {
  return kvCacheBytes({/*layers=*/1, plan.batch, kvHeads, plan.cache.countKept(tokens), plan.heads.headDim},
                      cacheElementBits().at(plan.cache.type));
}

std::string printWeights(const LayerPlan &plan) {
  if (!plan.weightsPath.empty())
    return "of '" + plan.weightsPath + "'";
  return std::string(layer::getName(plan.random.type)) + ", pseudo-random, seed " + std::to_string(plan.random.seed);
}

std::string printScores(const LayerPlan &plan) {
  const LayerScores &scores = plan.scores;
  return "scale " + (scores.scale > 0 ? print(scores.scale, 5) : std::string("1 / sqrt(head dim)")) +
         (scores.softcap > 0 ? ", softcap " + formatNumber(scores.softcap, 3) : "") +
         (scores.hasSinks ? ", a sink logit per query head" : "");
}

std::string printSizes(const LayerResult &result) {
  TextTable table(/*headingRows=*/2);
  std::vector<std::string> first = {"variant", "K/V", "parameters", "weights"}, second = {"", "heads", "", ""};
  for (int64_t tokens : result.plan.decode) {
    first.push_back("KV cache,");
    second.push_back(std::to_string(tokens) + " tokens");
  }
  first.insert(first.end(), {"tokens", "error,", "error,", "difference,", "difference,"});
  second.insert(second.end(), {"checked", "one pass", "cached", "greatest", "rms, relative"});
  table.addRow(first);
  table.addRow(second);
  for (const LayerVariant &variant : result.variants) {
    std::vector<std::string> row = {nameOf(result, variant.kvHeads), std::to_string(variant.kvHeads),
                                    print(static_cast<double>(variant.parameters) * 1e-6, 2) + " M",
                                    formatNumber(variant.weightBytes / megabyte, 1) + " MB"};
    for (int64_t tokens : result.plan.decode)
      row.push_back(formatNumber(cacheBytes(result.plan, variant.kvHeads, tokens) / megabyte, 3) + " MB");
    row.push_back(std::to_string(variant.tokensChecked));
    row.push_back(printError(variant.errors.onePass));
    row.push_back(printError(variant.errors.cached));
    row.push_back(printError(variant.errors.difference));
    row.push_back(printError(variant.errors.relative));
    table.addRow(row);
  }
  return table.str();
}

std::string printTimes(const LayerResult &result, Phase phase) {
  TextTable table(/*headingRows=*/2);
  table.addRow({"variant", "tokens", "whole", "projections", "attention", "other", "projections", "weights", "tokens"});
  table.addRow({"", "", "ms", "ms", "ms", "ms", "GFLOP/s", "GB/s", "per second"});
  int64_t tokens = 0;
  for (const LayerCase &test : result.cases) {
    if (test.phase != phase)
      continue;
    if (tokens && test.tokens != tokens)
      table.addRule();
    tokens = test.tokens;
    double weightRate = findVariant(result, test.kvHeads).weightBytes / test.projections * 1e-9;
    table.addRow({nameOf(result, test.kvHeads), std::to_string(test.tokens), printMilliseconds(test.total),
                  printMilliseconds(test.projections), printMilliseconds(test.attention), printMilliseconds(test.other),
                  print(projectionFlops(result, test) / test.projections * 1e-9, 1),
                  print(weightRate, weightRate < 10 ? 2 : 1), print(tokensPerSecond(result, test), 0)});
  }
  return table.str();
}

/// What the model has that was not run, or "".
std::string describeLeftOut(const LayerPlan &plan) {
  return plan.heads.model && plan.heads.model->window > 0 && !plan.cache.isRing() ? "windows" : "";
}

std::string printNotes(const LayerResult &result) {
  const LayerPlan &plan = result.plan;
  auto [least, most] = std::minmax_element(result.cases.begin(), result.cases.end(),
                                           [](const auto &a, const auto &b) { return a.calls < b.calls; });
  std::string notes =
      "Whole layers: times are medians of " + std::to_string(least->calls) +
      (most->calls > least->calls ? " to " + std::to_string(most->calls) : "") +
      " calls, all variants in turn; before each decode call the caches are emptied.\n\"other\": " +
      (plan.random.hasNorms ? "norms, " : "") + (plan.rotary.dim > 0 ? "rotary embedding, " : "") +
      "appending to the KV cache, conversions. \"weights GB/s\" counts each weight once a call.\n"
      "Weights: " +
      printWeights(plan) + ". Limits with " + std::to_string(result.limits.threads) + " threads: f32 FMA " +
      print(result.limits.fmaGflops, 0) + " GFLOP/s, DRAM read " + print(result.limits.dramReadGBs, 1) +
      " GB/s.\nRotary embedding: " + describeRotary(plan.rotary) + ". Scores: " + printScores(plan) +
      ".\nError: greatest |output - float64 reference| of sampled tokens, in one pass, and with\nprefill and decoding "
      "through the cache. Difference: of the two, which is what the cache's type costs, since one pass has no cache.\n";
  if (std::string leftOut = describeLeftOut(plan); !leftOut.empty())
    notes += "Left out, though the model has them: " + leftOut + ".\n";
  return notes;
}

} // namespace

std::string printLayerTables(const LayerResult &result) {
  return "Whole layers: sizes of one layer (parameters of the q, k, v and o projections; MB = 2^20 bytes)\n\n" +
         printSizes(result) + "\nWhole layers: prefill, causal\n\n" + printTimes(result, Phase::prefill) +
         "\nWhole layers: decode of one token" + (result.plan.batch > 1 ? " per sequence" : "") + "\n\n" +
         printTimes(result, Phase::decode) + "\n" + printNotes(result);
}

std::string printLayerText(const LayerResult &result) {
  const LayerPlan &plan = result.plan;
  return "Attention layer of " + plan.heads.title() + ": d_model " + std::to_string(plan.heads.dModel) + ", " +
         std::to_string(plan.heads.heads) + " query heads, head dim " + std::to_string(plan.heads.headDim) +
         "; attention " + getName(plan.type) + ", KV cache " + plan.cache.type + ", " + plan.cache.describe() +
         ", batch " + std::to_string(plan.batch) + ", " + std::to_string(result.limits.threads) + " threads\n\n" +
         printLayerTables(result);
}

nlohmann::ordered_json printLayerJson(const LayerResult &result) {
  using json = nlohmann::ordered_json;
  const LayerPlan &plan = result.plan;
  json variants = json::array(), cases = json::array();
  for (const LayerVariant &variant : result.variants)
    variants.push_back({{"name", nameOf(result, variant.kvHeads)},
                        {"kv_heads", variant.kvHeads},
                        {"parameters", variant.parameters},
                        {"weight_bytes", variant.weightBytes},
                        {"tokens_checked", variant.tokensChecked},
                        {"max_abs_error", variant.errors.greatest()},
                        {"one_pass_error", variant.errors.onePass},
                        {"cached_error", variant.errors.cached},
                        {"cached_difference", variant.errors.difference},
                        {"cached_relative_difference", variant.errors.relative}});
  for (const LayerCase &test : result.cases)
    cases.push_back({{"variant", nameOf(result, test.kvHeads)},
                     {"kv_heads", test.kvHeads},
                     {"phase", getName(test.phase)},
                     {"tokens", test.tokens},
                     {"calls", test.calls},
                     {"seconds", test.total},
                     {"projection_seconds", test.projections},
                     {"attention_seconds", test.attention},
                     {"other_seconds", test.other},
                     {"projection_gflops", projectionFlops(result, test) / test.projections * 1e-9},
                     {"tokens_per_second", tokensPerSecond(result, test)},
                     {"kv_cache_bytes", cacheBytes(plan, test.kvHeads, test.tokens)}});
  return {{"model", plan.heads.model ? json(plan.heads.model->name) : json(nullptr)},
          {"d_model", plan.heads.dModel},
          {"heads", plan.heads.heads},
          {"head_dim", plan.heads.headDim},
          {"rope_base", plan.rotary.dim > 0 ? plan.rotary.theta : 0},
          {"rotary", describeRotary(plan.rotary)},
          {"element_type", getName(plan.type)},
          {"cache", plan.cache.describe()},
          {"cache_element_type", plan.cache.type},
          {"weights", printWeights(plan)},
          {"scores", printScores(plan)},
          {"left_out", describeLeftOut(plan)},
          {"batch", plan.batch},
          {"seed", plan.random.seed},
          {"limits",
           {{"threads", result.limits.threads},
            {"fma_gflops", result.limits.fmaGflops},
            {"dram_read_gb_per_second", result.limits.dramReadGBs}}},
          {"variants", variants},
          {"cases", cases}};
}

} // namespace gqa
