#ifndef GQA_TOOLS_COMPAREREPORT_H
#define GQA_TOOLS_COMPAREREPORT_H

#include "tools/CompareResult.h"
#include "tools/Plot.h"

#include <nlohmann/json.hpp>

/// What gqa-run compare found, for readers and for programs.
namespace gqa {

std::string printText(const CompareResult &result);
nlohmann::ordered_json printJson(const CompareResult &result);
std::vector<Plot> makePlots(const CompareResult &result);

} // namespace gqa

#endif // GQA_TOOLS_COMPAREREPORT_H
