#ifndef GQA_TOOLS_LLAMACONFIG_H
#define GQA_TOOLS_LLAMACONFIG_H

#include "runtime/layer/LayerConfig.h"

#include <string>

namespace gqa {

/// The shape of a Llama-style model: decoder layers of attention and a gated MLP, each behind an RMS norm.
struct LlamaConfig {
  layer::LayerConfig attention;
  int64_t layers = 0;
  int64_t hidden = 0; ///< of the MLP
  int64_t vocabulary = 0;
  int64_t context = 0; ///< positions that the model was trained for
  float normEpsilon = 0;
  bool hasTiedEmbeddings = false; ///< logits are products with the embeddings
};

/// Reads config.json as Hugging Face's libraries write it, of model_type llama, mistral, qwen2 or qwen3. Throws
/// std::runtime_error with one line that names the file and what is missing, wrong, or not known here: sliding windows,
/// other activations, scalings of the rotary embedding but linear, llama3 and yarn, quantised weights.
LlamaConfig readLlamaConfig(const std::string &path);

} // namespace gqa

#endif // GQA_TOOLS_LLAMACONFIG_H
