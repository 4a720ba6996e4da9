#include "tools/Plot.h"

#include "tools/Process.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace gqa {
namespace {

constexpr int panelWidth = 620;
constexpr int panelHeight = 440;

/// A gnuplot string: nothing in single quotes is special but the quote.
std::string quote(const std::string &text) {
  std::string quoted = "'";
  for (char c : text)
    quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

/// One line per x or category: its value or name, then a column per series.
void writeData(std::ostream &script, const Plot &plot, size_t index) {
  script << "$data" << index << " << END_OF_DATA\n";
  size_t rows = plot.categories.empty() ? plot.x.size() : plot.categories.size();
  for (size_t row = 0; row < rows; ++row) {
    if (plot.categories.empty())
      script << plot.x[row];
    else
      script << '"' << plot.categories[row] << '"';
    for (const Plot::Series &series : plot.series)
      script << ' ' << series.values[row];
    script << '\n';
  }
  script << "END_OF_DATA\n";
}

void writeAxes(std::ostream &script, const Plot &plot) {
  script << "set title " << quote(plot.title) << " noenhanced\nset xlabel " << quote(plot.xLabel)
         << " noenhanced\nset ylabel " << quote(plot.yLabel) << " noenhanced\n";
  script << "unset logscale\nset xtics auto norotate scale 1\nset ytics auto\nset autoscale\n";
  if (!plot.categories.empty()) {
    script << "set style data histograms\nset style histogram clustered gap 1\nset style fill solid 0.9 noborder\n";
    script << "set xtics scale 0\nset xrange [-0.6:" << plot.categories.size() - 0.4 << "]\n";
    script << (plot.logarithmic ? "set logscale y 10\n" : "set yrange [0:*]\n");
    return;
  }
  script << "set style data linespoints\n";
  if (!plot.logarithmic) {
    script << "set yrange [0:*]\n";
    return;
  }
  // Room beside the first and the last point, so that their tic labels are drawn.
  auto [least, most] = std::minmax_element(plot.x.begin(), plot.x.end());
  script << "set logscale x 2\nset logscale y 2\nset xrange [" << *least / 1.15 << ":" << *most * 1.15
         << "]\nset xtics (";
  for (size_t i = 0; i < plot.x.size(); ++i)
    script << (i ? ", " : "") << plot.x[i];
  script << ")\n";
}

void writePlot(std::ostream &script, const Plot &plot, size_t index) {
  script << "plot ";
  for (size_t i = 0; i < plot.series.size(); ++i) {
    script << (i ? ", " : "") << "$data" << index << " using ";
    script << (plot.categories.empty() ? "1:" + std::to_string(i + 2) : std::to_string(i + 2) + ":xtic(1)");
    script << " title " << quote(plot.series[i].label) << " noenhanced";
    script << " linestyle " << i + 1;
  }
  for (size_t i = 0; i < plot.limits.size(); ++i)
    script << ", " << plot.limits[i].value << " with lines linewidth 1.5 dashtype 2 linecolor rgb '#444444' title "
           << quote(plot.limits[i].label) << " noenhanced";
  script << "\n";
}

std::string makeScript(const std::vector<Plot> &plots) {
  size_t columns = std::min<size_t>(plots.size(), 2);
  size_t rows = (plots.size() + columns - 1) / columns;
  std::ostringstream script;
  script.precision(12);
  script << "set terminal svg size " << columns * panelWidth << "," << rows * panelHeight
         << " dynamic background '#ffffff' font 'DejaVu Sans,Helvetica,sans-serif,13'\n"
         << "set encoding utf8\n"
         << "set key outside bottom center horizontal noenhanced samplen 2 height 0.5\n"
         << "set grid ytics linecolor rgb '#dddddd' linetype 1\nset border 3\nset tics nomirror\n";
  // Okabe and Ito's colours, which colour-blind readers can tell apart.
  const char *colours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"};
  for (int i = 0; i < 6; ++i)
    script << "set style line " << i + 1 << " linecolor rgb '" << colours[i]
           << "' linewidth 2.5 pointtype 7 pointsize 0.6\n";
  for (size_t i = 0; i < plots.size(); ++i)
    writeData(script, plots[i], i);
  script << "set multiplot layout " << rows << "," << columns << "\n";
  for (size_t i = 0; i < plots.size(); ++i) {
    writeAxes(script, plots[i]);
    writePlot(script, plots[i], i);
  }
  script << "unset multiplot\n";
  return script.str();
}

ProcessResult runGnuplot(const std::string &script) {
  try {
    return runProcess({"gnuplot", "-"}, script);
  } catch (const std::system_error &error) {
    throw std::runtime_error("gnuplot, which draws the plots, cannot be started (Debian: gnuplot-nox): " +
                             error.code().message());
  }
}

bool endsWith(const std::string &text, const std::string &ending) {
  return text.size() > ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

std::string escapeHtml(const std::string &text) {
  std::string escaped;
  for (char c : text)
    escaped += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return escaped;
}

} // namespace

std::string renderSvg(const std::vector<Plot> &plots) {
  ProcessResult result = runGnuplot(makeScript(plots));
  if (result.exitCode != 0 || result.output.find("</svg>") == std::string::npos)
    throw std::runtime_error("gnuplot failed: " + result.errors.substr(0, result.errors.find('\n')));
  return result.output;
}

bool isHtmlPath(const std::string &path) { return endsWith(path, ".html"); }

void checkPlotPath(const std::string &option, const std::string &path) {
  if (!endsWith(path, ".svg") && !isHtmlPath(path))
    throw std::runtime_error(option + ": '" + path + "' must end in .svg or .html");
}

void checkGnuplot() { runGnuplot(""); }

std::string makeHtmlPage(const std::string &title, const std::string &text, const std::string &svg) {
  // The XML declaration and DOCTYPE of a stand-alone SVG have no place inside HTML.
  std::string image = svg.substr(std::min(svg.find("<svg"), svg.size()));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + escapeHtml(title) +
         "</title>\n<style>\nbody { font-family: sans-serif; margin: 2em auto; max-width: 80em; }\n"
         "pre { font-size: 0.9em; overflow-x: auto; }\nsvg { max-width: 100%; height: auto; }\n</style>\n</head>\n"
         "<body>\n<h1>" +
         escapeHtml(title) + "</h1>\n<pre>" + escapeHtml(text) + "</pre>\n" + image + "</body>\n</html>\n";
}

} // namespace gqa
