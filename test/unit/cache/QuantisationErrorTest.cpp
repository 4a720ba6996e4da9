// How far attention over a quantised cache is from attention over an f32 one; docs/kv-cache.md quotes what this prints.

#include "CacheModel.h"

#include <random>

namespace gqa::test {
namespace {

constexpr int64_t kKeys = 2048, kQueries = 32, kDim = 128;

struct Rows {
  std::vector<float> queries, keys, values;
};

/// Normal elements; a few channels of the keys `outlier` times as large, as in the keys of real models (Liu et al.
/// 2024, KIVI, arXiv:2402.02750).
Rows makeRows(float outlier) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Rows rows{std::vector<float>(kQueries * kDim), std::vector<float>(kKeys * kDim), std::vector<float>(kKeys * kDim)};
  for (std::vector<float> *part : {&rows.queries, &rows.keys, &rows.values})
    for (float &x : *part)
      x = normal(random);
  for (size_t i = 0; i < rows.keys.size(); ++i)
    if (i % kDim % 32 == 5) {
      rows.keys[i] *= outlier;
      if (i < rows.queries.size())
        rows.queries[i] /= outlier;
    }
  return rows;
}

/// Attention in double over what a cache gives back: [queries][dim].
std::vector<double> attend(const LayerConfig &layer, const Rows &rows) {
  cache::CacheConfig config;
  config.maxSequences = 1;
  config.maxTokens = kKeys;
  config.layers.push_back(layer);
  KVCache cache(config, cache::Allocator::getDefault());
  SequenceId id = cache.add();
  cache.append(0, &id, &kKeys, 1, describeRows(rows.keys, 1, kDim), describeRows(rows.values, 1, kDim));
  std::vector<float> keys(kKeys * kDim), values(kKeys * kDim);
  const cache::LayerStore &store = cache.getLayer(0);
  for (int64_t n = 0; n < kKeys; ++n) {
    cache::BlockArena::Row row = store.locate(cache.getState(id, 0), n, 0);
    store.getKeys().decode(row, &keys[static_cast<size_t>(n * kDim)]);
    store.getValues().decode(row, &values[static_cast<size_t>(n * kDim)]);
  }
  std::vector<double> output(kQueries * kDim, 0);
  for (int64_t m = 0; m < kQueries; ++m) {
    double sum = 0;
    double *row = &output[static_cast<size_t>(m * kDim)];
    for (int64_t n = 0; n < kKeys; ++n) {
      double score = 0;
      for (int64_t d = 0; d < kDim; ++d)
        score += static_cast<double>(rows.queries[static_cast<size_t>(m * kDim + d)]) *
                 keys[static_cast<size_t>(n * kDim + d)];
      double weight = std::exp(score / std::sqrt(static_cast<double>(kDim)));
      sum += weight;
      for (int64_t d = 0; d < kDim; ++d)
        row[d] += weight * values[static_cast<size_t>(n * kDim + d)];
    }
    for (int64_t d = 0; d < kDim; ++d)
      row[d] /= sum;
  }
  return output;
}

/// Root mean square of the difference over that of `exact`.
double getError(const std::vector<double> &output, const std::vector<double> &exact) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    difference += (output[i] - exact[i]) * (output[i] - exact[i]);
    size += exact[i] * exact[i];
  }
  return std::sqrt(difference / size);
}

LayerConfig makeUniform(ElementType type) { return makeLayer(StorageKind::Paged, type, type, 1, kDim, kDim); }

double measure(const LayerConfig &layer, float outlier, const char *name) {
  Rows rows = makeRows(outlier);
  double error = getError(attend(layer, rows), attend(makeUniform(ElementType::F32), rows));
  std::printf("%-24s outliers x%-3.0f relative error %.2g\n", name, outlier, error);
  return error;
}

TEST(QuantisationError, IsThatOfTheType) {
  // Attention averages values, so errors are those of scores and elements: a few times the type's step.
  const std::pair<ElementType, double> bounds[] = {{ElementType::F16, 0.001},
                                                   {ElementType::BF16, 0.005},
                                                   {ElementType::I8, 0.02},
                                                   {ElementType::F8E4M3, 0.05},
                                                   {ElementType::I4, 0.25}};
  for (auto [type, bound] : bounds) {
    double error = measure(makeUniform(type), 1, getName(type));
    EXPECT_LT(error, bound);
    EXPECT_GT(error, bound / 20) << "or the bound says nothing";
  }
}

TEST(QuantisationError, ChannelScalesHelpAgainstOutliers) {
  LayerConfig perToken = makeLayer(StorageKind::Paged, ElementType::I8, ElementType::F32, 1, kDim, kDim);
  LayerConfig perChannel = perToken;
  std::vector<float> largest(kDim, 0);
  Rows rows = makeRows(30);
  for (size_t i = 0; i < rows.keys.size(); ++i)
    largest[i % kDim] = std::max(largest[i % kDim], std::fabs(rows.keys[i]));
  for (float x : largest)
    perChannel.keyChannelScales.push_back(x / 127);
  double tokenError = measure(perToken, 30, "i8 keys");
  double channelError = measure(perChannel, 30, "i8 keys, channel scales");
  EXPECT_LT(channelError, tokenError / 4);
}

} // namespace
} // namespace gqa::test
