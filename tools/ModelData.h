#ifndef GQA_TOOLS_MODELDATA_H
#define GQA_TOOLS_MODELDATA_H

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
  double ropeBase = 0;     // 0: no rotary embedding
  int64_t window = 0;      // tokens; 0: none
  int64_t windowEvery = 0; // 0: not given
  int64_t globalEvery = 0; // 0: not given
  double softcap = 0;      // 0: off
  bool sinks = false;

  /// Those of the layers that have the window: with windowEvery the first of each so many layers, with globalEvery all
  /// but the last of so many, else all.
  int64_t countWindowLayers() const {
    if (window == 0)
      return 0;
    if (windowEvery)
      return (layers + windowEvery - 1) / windowEvery;
    return globalEvery ? layers - layers / globalEvery : layers;
  }
};

/// The models of the text of a models.json; `path` is for messages. Throws std::runtime_error naming model and field.
std::vector<ModelData> parseModels(const std::string &text, const std::string &path);

/// The models of the file that ships with the tools.
std::vector<ModelData> loadModels();

/// The model called `name`; if there is none, throws std::runtime_error with names that are near.
const ModelData &findModel(const std::vector<ModelData> &models, const std::string &name);

/// "window of 4096 tokens in every 2nd layer", or "" for a model without windows.
std::string describeWindow(const ModelData &model);

} // namespace gqa

#endif // GQA_TOOLS_MODELDATA_H
