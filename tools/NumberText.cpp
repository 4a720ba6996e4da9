#include "tools/NumberText.h"

#include <cstdio>

namespace gqa {

std::string print(double value, int decimals) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, value);
  return buffer;
}

std::string printError(double error) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.1e", error);
  return buffer;
}

std::string printPercent(double part, double whole) { return whole > 0 ? print(100 * part / whole, 0) + " %" : "-"; }

std::string printMilliseconds(double seconds) {
  double milliseconds = 1e3 * seconds;
  return print(milliseconds, milliseconds < 10 ? 3 : milliseconds < 100 ? 2 : milliseconds < 1000 ? 1 : 0);
}

} // namespace gqa
