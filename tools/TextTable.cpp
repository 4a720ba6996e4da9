#include "tools/TextTable.h"

#include <algorithm>
#include <cstdio>

namespace gqa {

static const std::string gap = "   ";

std::string TextTable::str() const {
  std::vector<size_t> widths;
  for (const std::vector<std::string> &row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], row[column].size());
  }
  size_t total = widths.empty() ? 0 : gap.size() * (widths.size() - 1);
  for (size_t width : widths)
    total += width;

  std::string text;
  for (size_t index = 0; index < rows.size(); ++index) {
    if (index == headingRows || std::count(rules.begin(), rules.end(), index))
      text += std::string(total, '-') + "\n";
    std::string line;
    for (size_t column = 0; column < rows[index].size(); ++column) {
      const std::string &cell = rows[index][column];
      std::string padding(widths[column] - cell.size(), ' ');
      line += (column ? gap : "") + (column ? padding + cell : cell + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string formatNumber(double value, int decimals) {
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, value);
  std::string text = buffer;
  if (text.find('.') == std::string::npos)
    return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.')
    text.pop_back();
  return text;
}

} // namespace gqa
