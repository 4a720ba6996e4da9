#ifndef GQA_TOOLS_PROGRESS_H
#define GQA_TOOLS_PROGRESS_H

#include <cstdio>
#include <string>
#include <unistd.h>

namespace gqa {

/// One line on a terminal that says what is going on; silent where standard error is a pipe or a file.
class Progress {
public:
  ~Progress() { show(""); }

  void show(const std::string &text) const {
    if (isTerminal)
      std::fprintf(stderr, "\r\033[K%s", text.c_str());
  }

private:
  bool isTerminal = ::isatty(STDERR_FILENO);
};

} // namespace gqa

#endif // GQA_TOOLS_PROGRESS_H
