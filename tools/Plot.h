#ifndef GQA_TOOLS_PLOT_H
#define GQA_TOOLS_PLOT_H

#include <string>
#include <vector>

namespace gqa {

/// One chart: lines over the numbers `x`, or, where `categories` are given instead, groups of bars.
struct Plot {
  struct Series {
    std::string label;
    std::vector<double> values; // as many as x or categories
  };
  struct Limit {
    std::string label;
    double value; // drawn as a horizontal line
  };
  std::string title;
  std::string xLabel; // with unit
  std::string yLabel; // with unit
  std::vector<double> x;
  std::vector<std::string> categories;
  std::vector<Series> series;
  std::vector<Limit> limits;
  bool logarithmic = false; // both axes of lines, base 2; the y axis of bars, base 10
};

/// The plots as one SVG image, two in a row, drawn by gnuplot. Throws std::runtime_error if gnuplot is missing.
std::string renderSvg(const std::vector<Plot> &plots);

/// True for a path that ends in .html.
bool isHtmlPath(const std::string &path);

/// `path` must end in .svg or .html, else throws std::runtime_error naming `option`.
void checkPlotPath(const std::string &option, const std::string &path);

/// Throws std::runtime_error if gnuplot cannot be started. For use before long work.
void checkGnuplot();

/// A self-contained HTML page: heading, text as it stands (fixed width), and the image inline.
std::string makeHtmlPage(const std::string &title, const std::string &text, const std::string &svg);

} // namespace gqa

#endif // GQA_TOOLS_PLOT_H
