#ifndef GQA_TOOLS_VALIDATORS_H
#define GQA_TOOLS_VALIDATORS_H

#include <CLI/CLI.hpp>

#include <cstdint>

namespace gqa {

/// Accepts the integers from 1 to 2^40, which leaves room for products of two in 64 bits.
inline CLI::Validator positiveInteger() {
  auto check = [](const std::string &text) {
    int64_t value = 0;
    bool good = CLI::detail::lexical_cast(text, value) && value >= 1 && value <= (int64_t(1) << 40);
    return good ? std::string() : "'" + text + "' is not a positive integer";
  };
  return CLI::Validator(check, "");
}

} // namespace gqa

#endif // GQA_TOOLS_VALIDATORS_H
