#include "tools/CompilerProcess.h"

#include "tools/DataFile.h"
#include "tools/Process.h"

namespace gqa {

void compileArtifact(const std::string &module, const std::string &artifact, const std::vector<std::string> &options) {
  std::vector<std::string> command = {executableDirectory() + "/gqa-compile", module, "-o", artifact};
  command.insert(command.end(), options.begin(), options.end());
  ProcessResult result = runProcess(command);
  if (result.exitCode == 0)
    return;
  std::string message = result.errors.substr(0, result.errors.find('\n'));
  if (result.exitCode != 1 || message.empty())
    throw CompilerCrash("gqa-compile failed with exit code " + std::to_string(result.exitCode) +
                        (message.empty() ? "" : ": " + message));
  throw std::runtime_error(message);
}

} // namespace gqa
