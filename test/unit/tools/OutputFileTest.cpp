#include "tools/OutputFile.h"
#include "ThrowsMessage.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace fs = std::filesystem;
using namespace gqa;

namespace {

struct OutputFile : testing::Test {
  std::string directory;

  void SetUp() override {
    directory = testing::TempDir() + "gqa-output-file-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(directory); }

  static std::string read(const std::string &path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
};

TEST_F(OutputFile, WritesAndReplacesAndLeavesNothingElse) {
  writeOutput(directory + "/a", "one");
  writeOutput(directory + "/a", "two");
  EXPECT_EQ(read(directory + "/a"), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), fs::directory_iterator()), 1);
}

TEST_F(OutputFile, DevicesAreNotReplaced) {
  writeOutput("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(OutputFile, ErrorsNamePathAndCause) {
  std::string missing = directory + "/none/a";
  EXPECT_EQ(messageOf([&] { checkWritable(missing); }), "cannot write '" + missing + "': No such file or directory");
  EXPECT_EQ(messageOf([&] { writeOutput(missing, "x"); }), "cannot write '" + missing + "': No such file or directory");
  EXPECT_EQ(messageOf([&] { checkWritable(directory); }), "cannot write '" + directory + "': Is a directory");
  EXPECT_EQ(messageOf([&] { writeOutput("/dev/full", "x"); }), "cannot write '/dev/full': No space left on device");
}

} // namespace
