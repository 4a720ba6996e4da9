#ifndef GQA_TOOLS_LAYERREPORT_H
#define GQA_TOOLS_LAYERREPORT_H

#include "tools/LayerPlan.h"

#include <nlohmann/json.hpp>

/// What gqa-run layer found, for readers and for programs.
namespace gqa {

/// "Whole layers": a table of sizes, and one of times for each phase, with notes.
std::string printLayerTables(const LayerResult &result);

/// The same below a line that says what was run.
std::string printLayerText(const LayerResult &result);

nlohmann::ordered_json printLayerJson(const LayerResult &result);

} // namespace gqa

#endif // GQA_TOOLS_LAYERREPORT_H
