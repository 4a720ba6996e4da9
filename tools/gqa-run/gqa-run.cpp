// gqa-run: runs, checks, measures and compares attention.

#include "tools/Commands.h"

#include <algorithm>
#include <cstdio>
#include <new>

int main(int argc, char **argv) {
  CLI::App app("runs, checks, measures and compares grouped-query attention", "gqa-run");
  gqa::addCompareCommand(app);
  gqa::addCacheCommand(app);
  gqa::addDecodeCommand(app);
  gqa::addLayerCommand(app);
  gqa::addMemoryCommand(app);
  gqa::addPerplexityCommand(app);
  gqa::addRunCommand(app);
  app.require_subcommand(1);
  app.failure_message(
      [](const CLI::App *, const CLI::Error &error) { return std::string("gqa-run: error: ") + error.what() + "\n"; });
  try {
    // `gqa-run MODULE ...` is short for `gqa-run run MODULE ...`.
    std::vector<std::string> arguments(argv + 1, argv + argc);
    auto isCommand = [&](const CLI::App *command) { return command->get_name() == arguments[0]; };
    std::vector<CLI::App *> commands = app.get_subcommands(/*filter=*/nullptr);
    bool isOption = arguments.empty() || arguments[0].empty() || arguments[0][0] == '-';
    if (!isOption && std::none_of(commands.begin(), commands.end(), isCommand))
      arguments.insert(arguments.begin(), "run");
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 1; // asking for help is no error
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "gqa-run: error: out of memory\n");
    return 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gqa-run: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
