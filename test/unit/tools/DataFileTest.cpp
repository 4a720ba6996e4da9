#include "tools/DataFile.h"

#include <gtest/gtest.h>

#include <filesystem>

TEST(DataFile, LiesBesideTheExecutablesDirectory) {
  std::filesystem::path bin = gqa::executableDirectory();
  EXPECT_TRUE(std::filesystem::exists(bin / "tools-test"));
  EXPECT_EQ(gqa::dataFilePath("models.json"), (bin.parent_path() / "share/gqa/models.json").string());
}
