#ifndef GQA_TOOLS_TEXTTABLE_H
#define GQA_TOOLS_TEXTTABLE_H

#include <string>
#include <vector>

namespace gqa {

/// A table for terminals: columns as wide as their widest cell, three spaces apart, the first to the left and the
/// others to the right; a line below the heading rows. ASCII only.
class TextTable {
public:
  /// The first `headingRows` rows added are headings.
  explicit TextTable(size_t headingRows = 1) : headingRows(headingRows) {}

  void addRow(std::vector<std::string> cells) { rows.push_back(std::move(cells)); }

  /// A line between the rows before and the rows after.
  void addRule() { rules.push_back(rows.size()); }

  std::string str() const;

private:
  size_t headingRows;
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> rules;
};

/// `value` with `decimals` decimals, zeros at the end left out: 87.5, 75.
std::string formatNumber(double value, int decimals);

} // namespace gqa

#endif // GQA_TOOLS_TEXTTABLE_H
