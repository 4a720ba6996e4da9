#include "tools/Plot.h"
#include "ThrowsMessage.h"

#include <gmock/gmock.h>

#include <cstdlib>

using namespace gqa;
using testing::HasSubstr;

namespace {

Plot makeLines() {
  Plot plot;
  plot.title = "it's a title";
  plot.xLabel = "tokens";
  plot.yLabel = "MB";
  plot.x = {1, 2, 4};
  plot.series = {{"one_series", {1, 2, 4}}};
  plot.logarithmic = true;
  return plot;
}

Plot makeBars() {
  Plot plot;
  plot.title = "bars";
  plot.yLabel = "GFLOP/s";
  plot.categories = {"MHA", "MQA"};
  plot.series = {{"fused", {3, 4}}, {"unfused", {1, 2}}};
  plot.limits = {{"the limit", 5}};
  return plot;
}

TEST(Plot, ImageHoldsEveryLabel) {
  if (std::system("gnuplot --version > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "gnuplot is not installed";
  std::string svg = renderSvg({makeLines(), makeBars()});
  for (const char *text : {"it's a title", "tokens", "MB", "one_series", "bars", "GFLOP/s", "MHA", "MQA", "fused",
                           "unfused", "the limit", "</svg>"})
    EXPECT_THAT(svg, HasSubstr(text));
}

TEST(Plot, MissingGnuplotIsNamed) {
  std::string path = std::getenv("PATH");
  setenv("PATH", "/nonexistent", /*overwrite=*/1);
  std::string message = messageOf([] { checkGnuplot(); });
  setenv("PATH", path.c_str(), /*overwrite=*/1);
  EXPECT_EQ(message, "gnuplot, which draws the plots, cannot be started (Debian: gnuplot-nox): "
                     "No such file or directory");
}

TEST(Plot, PathsEndInSvgOrHtml) {
  EXPECT_EQ(messageOf([] { checkPlotPath("--plot", "a.png"); }), "--plot: 'a.png' must end in .svg or .html");
  EXPECT_EQ(messageOf([] { checkPlotPath("--plot", "a.svg"); }), "");
  EXPECT_TRUE(isHtmlPath("a.html"));
  EXPECT_FALSE(isHtmlPath("a.svg"));
}

TEST(Plot, HtmlIsSelfContained) {
  std::string page = makeHtmlPage("a < b", "1 & 2", "<?xml version='1.0'?>\n<svg id='x'></svg>");
  EXPECT_THAT(page, HasSubstr("<h1>a &lt; b</h1>"));
  EXPECT_THAT(page, HasSubstr("<pre>1 &amp; 2</pre>"));
  EXPECT_THAT(page, HasSubstr("<svg id='x'></svg>"));
  EXPECT_THAT(page, testing::Not(HasSubstr("<?xml")));
}

} // namespace
