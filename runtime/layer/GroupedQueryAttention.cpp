#include "runtime/layer/GroupedQueryAttention.h"

#include "runtime/cache/NarrowFloat.h"
#include "runtime/cache/RotaryArgument.h"
#include "runtime/layer/RmsNorm.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <omp.h>
#include <stdexcept>

namespace gqa::layer {

namespace {

/// Adds the time of its life to a sum.
class Stopwatch {
public:
  explicit Stopwatch(double &seconds) : seconds(seconds), start(Clock::now()) {}
  ~Stopwatch() { seconds += std::chrono::duration<double>(Clock::now() - start).count(); }

private:
  using Clock = std::chrono::steady_clock;
  double &seconds;
  Clock::time_point start;
};

/// OpenMP's number of threads, as oneDNN and the loops here use it, for the time of its life.
class ThreadCount {
public:
  explicit ThreadCount(int threads) : before(omp_get_max_threads()) {
    if (threads > 0)
      omp_set_num_threads(threads);
  }
  ~ThreadCount() { omp_set_num_threads(before); }

private:
  int before;
};

const LayerConfig &checked(const LayerConfig &config, const LayerWeights &weights) {
  config.check();
  weights.check(config);
  return config;
}

int64_t sum(const std::vector<int64_t> &counts) { return std::accumulate(counts.begin(), counts.end(), int64_t(0)); }

[[noreturn]] void refuse(const std::string &message) { throw std::invalid_argument(message); }

} // namespace

GroupedQueryAttention::GroupedQueryAttention(const LayerConfig &config, LayerWeights weights,
                                             const AttentionEntries &entries)
    : config(checked(config, weights)), numParameters(weights.countParameters()), queryNorm(weights.queryNorm),
      keyNorm(weights.keyNorm), attention(entries, config, weights.sinks), context(entries.context),
      rotary(cache::makeRotaryConfig(config.rotary)),
      queryProjection(std::move(weights.query), std::move(weights.queryBias)),
      keyProjection(std::move(weights.key), std::move(weights.keyBias)),
      valueProjection(std::move(weights.value), std::move(weights.valueBias)),
      outputProjection(std::move(weights.output), std::move(weights.outputBias)) {}

void GroupedQueryAttention::forward(const Batch &batch, float *y, const PastKeyValues *past,
                                    const std::vector<const uint8_t *> &masks) {
  checkArguments(batch, y, past, masks);
  std::vector<int64_t> lengths = getLengths(batch, past);
  std::vector<CacheStep> steps;
  if (past)
    steps = planSteps(batch, *past, masks);
  int64_t tokens = sum(batch.counts);
  if (tokens == 0)
    return;
  Stopwatch watch(times.total);
  ThreadCount threads(config.threads);
  project(batch, tokens);
  std::vector<float> turns = computeTurns(batch, lengths);
  rotate(queries, tokens, config.numHeads, turns);
  outputs.resize(queries.size());
  if (past) {
    queryData = narrow(queries, narrowQueries);
    for (const CacheStep &step : steps) {
      int64_t offset = step.firstToken * config.getKeyRow();
      attention.append(step.queries, keys.data() + offset, values.data() + offset);
      attendToCache(step, masks);
    }
    widenOutputs();
  } else {
    rotate(keys, tokens, config.numKvHeads, turns);
    attend(batch, masks);
  }
  Stopwatch projection(times.projections);
  outputProjection.apply(outputs.data(), tokens, y);
}

void GroupedQueryAttention::checkArguments(const Batch &batch, const float *y, const PastKeyValues *past,
                                           const std::vector<const uint8_t *> &masks) const {
  for (int64_t count : batch.counts)
    if (count < 0)
      refuse("counts of tokens must not be negative, got " + std::to_string(count));
  auto expectSize = [&](const char *what, size_t size) {
    if (size != batch.counts.size())
      refuse(std::string(what) + " (" + std::to_string(size) + ") must be as many as counts of tokens (" +
             std::to_string(batch.counts.size()) + ")");
  };
  if (sum(batch.counts) > 0 && (!batch.x || !y))
    refuse("hidden states and outputs must not be null");
  if (past && !past->cache)
    refuse("the cache must not be null");
  if (past)
    expectSize("sequences", past->sequences.size());
  if (masks.empty())
    return;
  expectSize("masks", masks.size());
  if (!past && !attention.hasMask(/*usesCache=*/false))
    refuse("the layer has no entry that takes a mask");
}

std::vector<int64_t> GroupedQueryAttention::getLengths(const Batch &batch, const PastKeyValues *past) const {
  std::vector<int64_t> lengths(batch.counts.size(), 0);
  if (past)
    for (size_t i = 0; i < lengths.size(); ++i)
      checkStatus(context, gqa_cache_length(context, past->cache, past->sequences[i], past->layer, &lengths[i]));
  return lengths;
}

std::vector<CacheStep> GroupedQueryAttention::planSteps(const Batch &batch, const PastKeyValues &past,
                                                        const std::vector<const uint8_t *> &masks) const {
  gqa_cache_view view;
  checkStatus(context, gqa_cache_get_view(context, past.cache, past.layer, &view));
  auto expect = [&](const char *what, int64_t actual, int64_t wanted) {
    if (actual != wanted)
      refuse(std::string("the cache's layer has ") + what + " " + std::to_string(actual) + ", but this layer has " +
             std::to_string(wanted));
  };
  expect("K/V heads", view.num_kv_heads, config.numKvHeads);
  expect("key dim", view.keys.dim, config.getHeadDim());
  expect("value dim", view.values.dim, config.getHeadDim());
  attention.checkCache(past.cache, past.layer, !masks.empty());
  std::vector<CacheStep> steps = splitIntoSteps({past.cache, past.layer, past.sequences, batch.counts}, view);
  if (steps.size() > 1 && !masks.empty())
    refuse("with a mask a sequence has at most " + std::to_string(view.slack + 1) +
           " new tokens: the slack of the cache's ring and one");
  return steps;
}

void GroupedQueryAttention::project(const Batch &batch, int64_t tokens) {
  queries.resize(static_cast<size_t>(tokens * config.getQueryRow()));
  keys.resize(static_cast<size_t>(tokens * config.getKeyRow()));
  values.resize(keys.size());
  {
    Stopwatch watch(times.projections);
    queryProjection.apply(batch.x, tokens, queries.data());
    keyProjection.apply(batch.x, tokens, keys.data());
    valueProjection.apply(batch.x, tokens, values.data());
  }
  normaliseRows(queries, queryNorm, config.normEpsilon);
  normaliseRows(keys, keyNorm, config.normEpsilon);
}

std::vector<float> GroupedQueryAttention::computeTurns(const Batch &batch, const std::vector<int64_t> &lengths) const {
  if (!rotary.isActive())
    return {};
  std::vector<int64_t> positions;
  for (size_t i = 0; i < lengths.size(); ++i)
    for (int64_t token = 0; token < batch.counts[i]; ++token)
      positions.push_back(lengths[i] + token);
  auto dim = static_cast<size_t>(config.rotary.dim);
  std::vector<float> turns(positions.size() * dim);
#pragma omp parallel for if (positions.size() > 16)
  for (size_t token = 0; token < positions.size(); ++token)
    rotary.computeTurns(positions[token], &turns[token * dim]);
  return turns;
}

void GroupedQueryAttention::rotate(std::vector<float> &rows, int64_t tokens, int64_t heads,
                                   const std::vector<float> &turns) const {
  if (turns.empty())
    return;
#pragma omp parallel for if (tokens > 16)
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t head = 0; head < heads; ++head)
      rotary.apply(&turns[static_cast<size_t>(token * config.rotary.dim)],
                   &rows[static_cast<size_t>((token * heads + head) * config.getHeadDim())]);
}

/// Rows in attention's type: `rows` itself if that is f32, else a copy in `storage`.
void *GroupedQueryAttention::narrow(std::vector<float> &rows, std::vector<uint16_t> &storage) const {
  if (attention.getElementBytes() == sizeof(float))
    return rows.data();
  storage.resize(rows.size());
  bool isBFloat = attention.getType().code == kDLBfloat;
#pragma omp parallel for if (rows.size() > 65536)
  for (size_t i = 0; i < rows.size(); ++i)
    storage[i] = isBFloat ? cache::toBFloat(rows[i]) : cache::toHalf(rows[i]);
  return storage.data();
}

/// Where attention writes: `outputs`, or what widenOutputs() copies there.
void *GroupedQueryAttention::getOutputData() {
  if (attention.getElementBytes() == sizeof(float))
    return outputs.data();
  narrowOutputs.resize(outputs.size());
  return narrowOutputs.data();
}

void GroupedQueryAttention::widenOutputs() {
  if (attention.getElementBytes() == sizeof(float))
    return;
  bool isBFloat = attention.getType().code == kDLBfloat;
#pragma omp parallel for if (outputs.size() > 65536)
  for (size_t i = 0; i < outputs.size(); ++i)
    outputs[i] = isBFloat ? cache::fromBFloat(narrowOutputs[i]) : cache::fromHalf(narrowOutputs[i]);
}

/// Queries or outputs [tokens, heads, head_dim] of `sequences` sequences as [b, hkv, g, m, head_dim].
HeadsView GroupedQueryAttention::viewQueries(void *data, int64_t firstToken, int64_t sequences, int64_t tokens) const {
  int64_t row = config.getQueryRow(), dim = config.getHeadDim(), group = config.numHeads / config.numKvHeads;
  return {static_cast<char *>(data) + firstToken * row * attention.getElementBytes(),
          {sequences, config.numKvHeads, group, tokens, dim},
          {tokens * row, group * dim, dim, row, 1}};
}

void GroupedQueryAttention::attend(const Batch &batch, const std::vector<const uint8_t *> &masks) {
  void *q = narrow(queries, narrowQueries), *k = narrow(keys, narrowKeys), *v = narrow(values, narrowValues);
  void *o = getOutputData();
  int64_t row = config.getKeyRow(), dim = config.getHeadDim();
  auto viewKeys = [&](void *data, int64_t firstToken, int64_t sequences, int64_t tokens) -> HeadsView {
    return {static_cast<char *>(data) + firstToken * row * attention.getElementBytes(),
            {sequences, config.numKvHeads, tokens, dim},
            {tokens * row, dim, row, 1}};
  };
  {
    Stopwatch watch(times.attention);
    int64_t first = 0;
    for (size_t i = 0; i < batch.counts.size();) {
      // Neighbours of equal length are one batch for the entry.
      int64_t count = batch.counts[i], run = 1;
      if (masks.empty())
        while (i + static_cast<size_t>(run) < batch.counts.size() &&
               batch.counts[i + static_cast<size_t>(run)] == count)
          ++run;
      HeadsView query = viewQueries(q, first, run, count), output = viewQueries(o, first, run, count);
      if (count > 0)
        attention.run(query, viewKeys(k, first, run, count), viewKeys(v, first, run, count),
                      masks.empty() ? nullptr : masks[i], output);
      first += run * count;
      i += static_cast<size_t>(run);
    }
  }
  widenOutputs();
}

void GroupedQueryAttention::attendToCache(const CacheStep &step, const std::vector<const uint8_t *> &masks) {
  const CacheQueries &asked = step.queries;
  std::vector<uint8_t> mask;
  int64_t maskKeys = 0;
  if (!masks.empty()) {
    std::vector<int32_t> stored(asked.counts.size());
    checkStatus(context,
                gqa_cache_get_table(context, asked.cache, asked.layer, asked.sequences.data(),
                                    static_cast<int32_t>(stored.size()), nullptr, 0, stored.data(), nullptr, nullptr));
    mask = joinMasks(masks, asked.counts, stored);
    maskKeys = *std::max_element(stored.begin(), stored.end());
  }
  Stopwatch watch(times.attention);
  int64_t offset = step.firstToken * config.getQueryRow() * attention.getElementBytes();
  auto move = [&](void *rows) { return static_cast<char *>(rows) + offset; };
  attention.runCached(asked, move(queryData), masks.empty() ? nullptr : mask.data(), maskKeys, move(getOutputData()));
}

} // namespace gqa::layer
