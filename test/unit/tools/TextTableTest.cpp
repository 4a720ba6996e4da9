#include "tools/TextTable.h"

#include <gtest/gtest.h>

using namespace gqa;

TEST(TextTable, AlignsColumns) {
  TextTable table;
  table.addRow({"name", "MB"});
  table.addRow({"a", "1024"});
  table.addRule();
  table.addRow({"b"});
  EXPECT_EQ(table.str(), "name     MB\n"
                         "-----------\n"
                         "a      1024\n"
                         "-----------\n"
                         "b\n");
}

TEST(TextTable, NumbersLoseZerosAtTheEnd) {
  EXPECT_EQ(formatNumber(87.5, 1), "87.5");
  EXPECT_EQ(formatNumber(75, 1), "75");
  EXPECT_EQ(formatNumber(96.875, 1), "96.9");
  EXPECT_EQ(formatNumber(100, 0), "100");
  EXPECT_EQ(formatNumber(0, 3), "0");
}
