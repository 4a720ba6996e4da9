#ifndef GQA_TOOLS_VALIDATORS_H
#define GQA_TOOLS_VALIDATORS_H

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>

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

/// Accepts finite numbers that are not negative.
inline CLI::Validator nonNegativeNumber() {
  auto check = [](const std::string &text) {
    double value = 0;
    bool good = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && value >= 0;
    return good ? std::string() : "'" + text + "' is not a number from 0 on";
  };
  return CLI::Validator(check, "");
}

/// Accepts integers from 0 to `last`.
inline CLI::Validator integerUpTo(uint64_t last) {
  auto check = [last](const std::string &text) {
    uint64_t value = 0;
    bool good = text.find('-') == std::string::npos && CLI::detail::lexical_cast(text, value) && value <= last;
    return good ? std::string() : "'" + text + "' is not an integer from 0 to " + std::to_string(last);
  };
  return CLI::Validator(check, "");
}

/// Accepts the keys of `names` and puts their values in their place.
template <typename Value> CLI::Validator oneOf(const std::map<std::string, Value> &names) {
  auto replace = [names](std::string &text) {
    auto it = names.find(text);
    if (it == names.end()) {
      std::string known;
      for (const auto &[name, value] : names)
        known += (known.empty() ? "" : ", ") + name;
      return "'" + text + "' is none of " + known;
    }
    text = std::to_string(static_cast<int>(it->second));
    return std::string();
  };
  return CLI::Validator(replace, "");
}

} // namespace gqa

#endif // GQA_TOOLS_VALIDATORS_H
