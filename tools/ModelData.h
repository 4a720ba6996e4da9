#ifndef GQA_TOOLS_MODELDATA_H
#define GQA_TOOLS_MODELDATA_H

#include "runtime/gqa_cache.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gqa {

/// Attention of one published model: an entry of tools/data/models.json, which documents the fields.
struct ModelData {
  std::string name;
  int64_t layers = 0;
  int64_t dModel = 0;
  int64_t heads = 0;
  int64_t kvHeads = 0;
  int64_t headDim = 0;
  gqa_rotary rotary = {};   // of layers that see all tokens; dim 0: none
  double localRopeBase = 0; // of layers with the window, which then are not scaled; 0: as in the others
  int64_t window = 0;       // tokens; 0: none
  int64_t windowEvery = 0;  // 0: not given
  int64_t globalEvery = 0;  // 0: not given
  int64_t scaleDim = 0;     // scores are scaled by 1 / sqrt of it; 0: headDim
  double softcap = 0;       // 0: off
  bool sinks = false;
  bool hasBiases = false, hasOutputBias = false; // of the q, k and v projections, and of the output's
  bool hasNorms = false;                         // of queries and keys
  bool normsAddOne = false;                      // their scales are 1 + weight

  /// Whether layer `layer`, from 0 on, has the window: with windowEvery the first of each so many layers has it, with
  /// globalEvery all but the last of so many, else all.
  bool hasWindow(int64_t layer) const {
    if (window == 0)
      return false;
    if (windowEvery)
      return layer % windowEvery == 0;
    return !globalEvery || layer % globalEvery != globalEvery - 1;
  }
  int64_t countWindowLayers() const;

  /// The rotary embedding of layers with the window, or of the others.
  gqa_rotary getRotary(bool isWindowed) const;
};

/// The models of the text of a models.json; `path` is for messages. Throws std::runtime_error naming model and field.
std::vector<ModelData> parseModels(const std::string &text, const std::string &path);

/// The models of the file that ships with the tools.
std::vector<ModelData> loadModels();

/// The model called `name`; if there is none, throws std::runtime_error with names that are near.
const ModelData &findModel(const std::vector<ModelData> &models, const std::string &name);

/// An unscaled rotary embedding of whole heads, half-split pairs.
gqa_rotary makePlainRotary(int64_t headDim, double base);

/// "base 10000", "base 500000, llama3 by 8", or "none".
std::string describeRotary(const gqa_rotary &rotary);

/// "window of 4096 tokens in every 2nd layer", or "" for a model without windows.
std::string describeWindow(const ModelData &model);

} // namespace gqa

#endif // GQA_TOOLS_MODELDATA_H
