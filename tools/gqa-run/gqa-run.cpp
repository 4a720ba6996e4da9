// gqa-run: runs, checks, measures and compares attention.

#include "tools/Commands.h"

#include <cstdio>

int main(int argc, char **argv) {
  CLI::App app("runs, checks, measures and compares grouped-query attention", "gqa-run");
  gqa::addCompareCommand(app);
  gqa::addMemoryCommand(app);
  app.require_subcommand(1);
  app.failure_message(
      [](const CLI::App *, const CLI::Error &error) { return std::string("gqa-run: error: ") + error.what() + "\n"; });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 1; // asking for help is no error
  } catch (const std::exception &error) {
    std::fprintf(stderr, "gqa-run: error: %s\n", error.what());
    return 1;
  }
  return 0;
}
