#ifndef GQA_TOOLS_COMMANDS_H
#define GQA_TOOLS_COMMANDS_H

#include <CLI/CLI.hpp>

/// The subcommands of gqa-run. Each function adds one whose callback does the work; it throws a std::exception with a
/// one-line message where that fails.
namespace gqa {

void addCacheCommand(CLI::App &app);
void addDecodeCommand(CLI::App &app);
void addLayerCommand(CLI::App &app);
void addMemoryCommand(CLI::App &app);
void addPerplexityCommand(CLI::App &app);
void addRunCommand(CLI::App &app);
void addCompareCommand(CLI::App &app);

} // namespace gqa

#endif // GQA_TOOLS_COMMANDS_H
