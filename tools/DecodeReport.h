#ifndef GQA_TOOLS_DECODEREPORT_H
#define GQA_TOOLS_DECODEREPORT_H

#include "tools/DecodePlan.h"

#include <nlohmann/json.hpp>

namespace gqa {

std::string printDecodeText(const DecodeResult &result);
nlohmann::ordered_json printDecodeJson(const DecodeResult &result);

} // namespace gqa

#endif // GQA_TOOLS_DECODEREPORT_H
