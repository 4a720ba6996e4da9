#ifndef GQA_TOOLS_LAYERPLAN_H
#define GQA_TOOLS_LAYERPLAN_H

#include "tools/ComparePlan.h"
#include "tools/LayerCache.h"
#include "tools/LayerModule.h"
#include "tools/MachineLimits.h"

namespace gqa {

/// Whole attention layers to run and time, one per number of K/V heads.
struct LayerPlan {
  HeadOptions heads; // resolved
  ElementType type = ElementType::f32;
  std::vector<int64_t> prefill = {512};
  std::vector<int64_t> decode = {2048};
  int64_t batch = 1;
  gqa_rotary rotary = {}; // dim 0: none
  LayerCache cache;
  LayerScores scores;
  RandomWeights random;            // its seed is that of all data
  std::string weightsPath, prefix; // "": pseudo-random weights
  bool normsAddOne = false;        // scales of norms are 1 + what the file has
  int threads = 0;
  double secondsPerLength = 10;

  layer::LayerConfig config(int64_t kvHeads) const;

  /// The weights of a variant: those of the file, which must fit, or pseudo-random ones. Throws std::runtime_error or
  /// std::invalid_argument.
  layer::LayerWeights makeWeights(const layer::LayerConfig &config) const;

  /// Bytes of the weights of all variants, as they are in memory.
  double weightBytes() const;
  /// Bytes of hidden states, keys and values of the longest case.
  double dataBytes() const;
};

/// How exact a layer is, over the tokens that were checked.
struct LayerErrors {
  double onePass = 0, cached = 0; // greatest |output - float64 reference|
  double difference = 0; // greatest |cached - one pass|: what the cache's type costs, since one pass has no cache
  double relative = 0;   // root mean square of that difference, over that of the outputs

  double greatest() const { return onePass > cached ? onePass : cached; }
};

/// Seconds, medians over calls.
struct LayerCase {
  Phase phase = Phase::prefill;
  int64_t kvHeads = 0;
  int64_t tokens = 0; // prefill: of the prompt; decode: cached
  int calls = 0;
  double projections = 0, attention = 0;
  double other = 0; // of each call, what neither projects nor attends
  double total = 0;

  /// New tokens of one call with `batch` sequences.
  int64_t newTokens(int64_t batch) const { return batch * (phase == Phase::prefill ? tokens : 1); }
};

/// What one variant weighs and how exact it is.
struct LayerVariant {
  int64_t kvHeads = 0;
  int64_t parameters = 0;
  double weightBytes = 0;
  int64_t tokensChecked = 0;
  LayerErrors errors;
};

struct LayerResult {
  LayerPlan plan;
  MachineLimits limits;
  std::vector<LayerVariant> variants;
  std::vector<LayerCase> cases; // phase by phase, length by length, variants in the plan's order
};

/// Compiles the attention of all variants, checks the layers against a float64 reference and times them. Throws
/// std::runtime_error.
LayerResult runLayers(const LayerPlan &plan);

} // namespace gqa

#endif // GQA_TOOLS_LAYERPLAN_H
