#ifndef GQA_TOOLS_NUMBERTEXT_H
#define GQA_TOOLS_NUMBERTEXT_H

#include <string>

/// Numbers as reports print them.
namespace gqa {

/// `value` with `decimals` decimals.
std::string print(double value, int decimals);

/// "8.3e-07".
std::string printError(double error);

/// "85 %".
std::string printPercent(double part, double whole);

/// A time in milliseconds, with three significant digits.
std::string printMilliseconds(double seconds);

} // namespace gqa

#endif // GQA_TOOLS_NUMBERTEXT_H
