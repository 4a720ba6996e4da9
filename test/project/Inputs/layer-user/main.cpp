// Another project, in C++, that runs a whole attention layer. Keys are 0, so each token gets the mean of the values up
// to it; every weight of the value projection is 0.5, of the output projection 0.25.
#include "runtime/layer/GroupedQueryAttention.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>

using namespace gqa::layer;

static WeightMatrix makeMatrix(int64_t outputs, int64_t inputs, float weight) {
  std::vector<float> elements(outputs * inputs, weight);
  WeightMatrix matrix{WeightType::F32, outputs, inputs, std::vector<char>(elements.size() * sizeof(float))};
  std::memcpy(matrix.bytes.data(), elements.data(), matrix.bytes.size());
  return matrix;
}

int main(int, char **argv) {
  gqa_context *context = gqa_context_create(nullptr);
  gqa_artifact *artifact = nullptr;
  if (gqa_artifact_load(context, argv[1], &artifact) != GQA_OK) {
    std::puts(gqa_context_message(context));
    return 1;
  }
  LayerConfig config;
  config.dModel = 4, config.numHeads = 2, config.numKvHeads = 1, config.headDim = 4;
  LayerWeights weights;
  weights.query = makeMatrix(8, 4, 0), weights.key = makeMatrix(4, 4, 0);
  weights.value = makeMatrix(4, 4, 0.5f), weights.output = makeMatrix(4, 8, 0.25f);
  AttentionEntries entries;
  entries.context = context, entries.artifact = artifact;
  {
    GroupedQueryAttention layer(config, weights, entries);
    std::printf("%d parameters\n", static_cast<int>(layer.countParameters()));
    // Hidden states 1 and 2: values 2 and 4, their mean 3, eight times a quarter of it.
    const float x[] = {1, 1, 1, 1, 2, 2, 2, 2};
    float y[8];
    layer.forward({x, {2}}, y);
    std::printf("output: %g %g %g %g\n", y[4], y[5], y[6], y[7]);
  }
  gqa_artifact_destroy(artifact);
  gqa_context_destroy(context);
  try {
    config.numKvHeads = 3;
    config.check();
  } catch (const std::invalid_argument &error) {
    std::puts(error.what());
  }
}
