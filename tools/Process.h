#ifndef GQA_TOOLS_PROCESS_H
#define GQA_TOOLS_PROCESS_H

#include <string>
#include <vector>

namespace gqa {

struct ProcessResult {
  int exitCode = 0; // 128 + signal for a killed process
  std::string output;
  std::string errors;
};

/// Runs `command` (program, arguments), found through PATH unless it has a slash, feeds it `input` and waits. Throws
/// std::system_error if it cannot be started; its code is no_such_file_or_directory where the program is missing.
ProcessResult runProcess(const std::vector<std::string> &command, const std::string &input = "");

} // namespace gqa

#endif // GQA_TOOLS_PROCESS_H
