#ifndef GQA_TOOLS_HEADOPTIONS_H
#define GQA_TOOLS_HEADOPTIONS_H

#include "tools/ModelData.h"

#include <CLI/CLI.hpp>

#include <optional>

namespace gqa {

/// Which heads a report is about: a model of the data file, or numbers; Llama-7B's heads where nothing is said.
struct HeadOptions {
  std::string modelName;
  int64_t layers = 0;
  int64_t dModel = 0;
  int64_t heads = 0;
  int64_t headDim = 0;
  std::vector<int64_t> kvHeads;
  std::optional<ModelData> model; // set by resolveHeads

  /// The model's name, "Llama-7B-scale heads" for these, or "attention heads".
  std::string title() const;
};

/// Adds --model, and, instead of it, --layers, --heads, --head-dim and, if `withDModel`, --d-model; and --kv-heads.
void addHeadOptions(CLI::App &command, HeadOptions &options, bool withDModel);

/// Fills in what was not given: from the model, else Llama-7B's; K/V heads of a model are those of MHA and its own,
/// else of MHA, GQA-8, GQA-4 and MQA as far as they divide. Throws std::runtime_error for an unknown model and for K/V
/// heads that do not divide the query heads.
void resolveHeads(HeadOptions &options);

} // namespace gqa

#endif // GQA_TOOLS_HEADOPTIONS_H
