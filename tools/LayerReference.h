#ifndef GQA_TOOLS_LAYERREFERENCE_H
#define GQA_TOOLS_LAYERREFERENCE_H

#include "runtime/layer/LayerWeights.h"
#include "tools/AttentionProblem.h"
#include "tools/LayerScores.h"

namespace gqa {

/// One sequence in a causal attention layer.
struct LayerInput {
  const layer::LayerConfig &config;
  const layer::LayerWeights &weights;
  const float *x; ///< [tokens, d_model]
  int64_t tokens;
  const uint8_t *mask = nullptr; ///< null, or [tokens, tokens], 1: attend
  LayerScores scores = {};       ///< sinks are there if the weights have them
};

/// Rows of the layer's output: [rows][d_model].
using LayerRows = std::vector<std::vector<double>>;

/// The layer by plain loops in double precision: what the real one is judged by. It shares no code with it.
LayerRows computeLayerReference(const LayerInput &input, const std::vector<int64_t> &rows);

/// The same as a simple low-precision program goes: sums in f32 in the order of the elements; queries, keys, values,
/// probabilities and attention's output rounded to `type`; inputs of bf16 projections rounded to bf16. Its distance
/// from the reference is what precision costs where nothing is wrong. `cacheType`, of cacheElementBits(), is what keys
/// and values are rounded to ("": `type`): integers and fp8 with a scale per token and head.
LayerRows computeNaiveLayer(const LayerInput &input, const std::vector<int64_t> &rows, ElementType type,
                            const std::string &cacheType = "");

/// The error rule of attention (ErrorRule) for whole layers: max |actual - reference| <= 2 max |naive - reference| +
/// floor, where the floor is one rounding to `type` of the largest output. Throws std::runtime_error that begins with
/// `what` if it does not hold; returns the greatest error.
double checkLayerRows(const std::string &what, const LayerRows &actual, const LayerRows &reference,
                      const LayerRows &naive, ElementType type);

} // namespace gqa

#endif // GQA_TOOLS_LAYERREFERENCE_H
