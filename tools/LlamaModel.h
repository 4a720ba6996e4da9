#ifndef GQA_TOOLS_LLAMAMODEL_H
#define GQA_TOOLS_LLAMAMODEL_H

#include "runtime/layer/GroupedQueryAttention.h"
#include "tools/LlamaConfig.h"
#include "tools/LoadedArtifact.h"

namespace gqa {

/// A Llama-style model, evaluated sequence by sequence: for hidden states x, from embeddings on,
///
///     x = x + attention(norm(x))      x = x + down(silu(gate(norm(x))) * up(norm(x)))      in each layer
///     logits = head(norm(x))                                                norm: RMS norm with a scale per element
///
/// Attention is compiled code in the existing layer, matrices are oneDNN's, all else is f32.
class LlamaModel {
public:
  /// Reads the weights of `checkpoint`, with K/V heads pooled to `kvHeads` (poolHeads()). `artifact` has the entries
  /// that printLayerEntries() prints under `prefix` for attention(kvHeads). Throws std::runtime_error that names the
  /// tensor that is missing, unknown, or of another shape.
  LlamaModel(const layer::Checkpoint &checkpoint, const LlamaConfig &config, int64_t kvHeads,
             const LoadedArtifact &artifact, const std::string &prefix);

  int64_t countParameters() const { return parameters; }

  /// The sum over i >= 1 of -log p(tokens[i] | tokens before it).
  double computeLoss(const std::vector<int64_t> &tokens);

private:
  struct Layer {
    layer::GroupedQueryAttention attention;
    std::vector<float> attentionNorm, mlpNorm;
    layer::Projection gate, up, down;
  };

  std::vector<Layer> layers;
  layer::WeightMatrix embeddings;
  std::vector<float> norm;
  std::unique_ptr<layer::Projection> head;
  LlamaConfig config;
  int64_t parameters = 0;
};

} // namespace gqa

#endif // GQA_TOOLS_LLAMAMODEL_H
