#include "tools/Process.h"

#include <gtest/gtest.h>

#include <system_error>

using namespace gqa;

TEST(Process, PassesInputAndKeepsStreamsApart) {
  ProcessResult result = runProcess({"sh", "-c", "cat; echo bad >&2; exit 3"}, "some text");
  EXPECT_EQ(result.output, "some text");
  EXPECT_EQ(result.errors, "bad\n");
  EXPECT_EQ(result.exitCode, 3);
}

TEST(Process, InputAndOutputMayBeLarge) {
  std::string text(3 << 20, 'x');
  EXPECT_EQ(runProcess({"cat"}, text).output, text);
}

TEST(Process, SignalsAreExitCodes) { EXPECT_EQ(runProcess({"sh", "-c", "kill -9 $$"}).exitCode, 128 + 9); }

TEST(Process, MissingProgramIsAnError) {
  try {
    runProcess({"/nonexistent/program"});
    FAIL() << "started a program that does not exist";
  } catch (const std::system_error &error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_STREQ(error.what(), "cannot start '/nonexistent/program': No such file or directory");
  }
}
