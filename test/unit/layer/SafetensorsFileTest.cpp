// Files of tensors: what is written is read, and what is damaged is refused with one line.

#include "runtime/layer/SafetensorsFile.h"

#include "ThrowsMessage.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace gqa::layer;

namespace {

class Safetensors : public ::testing::Test {
protected:
  void SetUp() override { path = ::testing::TempDir() + "gqa-safetensors-" + std::to_string(getpid()); }
  void TearDown() override { unlink(path.c_str()); }

  void writeBytes(const std::string &bytes) const { std::ofstream(path, std::ios::binary) << bytes; }

  std::string readBytes() const {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  /// A file with this header and `dataBytes` bytes of data.
  void writeHeader(const std::string &header, size_t dataBytes) const {
    std::string bytes(8, '\0');
    uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, sizeof length); // little endian machines
    writeBytes(bytes + header + std::string(dataBytes, 'x'));
  }

  std::string open() const {
    return messageOf([&] { SafetensorsFile file(path); });
  }

  void expectRefused(const std::string &header, size_t dataBytes, const std::string &problem) const {
    writeHeader(header, dataBytes);
    EXPECT_EQ(open(), "'" + path + "' " + problem);
  }

  std::string path;
};

TEST_F(Safetensors, WhatIsWrittenIsRead) {
  std::vector<float> singles = {1, 2, 3, 4, 5, 6};
  std::vector<uint16_t> halves = {7, 8, 9};
  writeSafetensors(path,
                   {{"b", {"F32", {2, 3}, singles.data()}},
                    {"a", {"BF16", {3}, halves.data()}},
                    {"scalar", {"F32", {}, singles.data()}},
                    {"empty", {"F32", {0, 5}, nullptr}}},
                   {{"format", "pt"}});
  SafetensorsFile file(path);
  EXPECT_EQ(file.getTensors().size(), 4u);
  EXPECT_EQ(file.getMetadata().at("format"), "pt");
  const StoredTensor *b = file.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type, "F32");
  EXPECT_EQ(b->shape, (std::vector<int64_t>{2, 3}));
  std::vector<char> bytes = file.read(*b);
  ASSERT_EQ(bytes.size(), 24u);
  EXPECT_EQ(std::memcmp(bytes.data(), singles.data(), 24), 0);
  bytes = file.read(*file.find("a"));
  ASSERT_EQ(bytes.size(), 6u);
  EXPECT_EQ(std::memcmp(bytes.data(), halves.data(), 6), 0);
  EXPECT_EQ(file.read(*file.find("empty")).size(), 0u);
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST_F(Safetensors, DamagedHeadersAreRefused) {
  expectRefused("[]", 0, "has a header that is no JSON object");
  expectRefused("{", 0, "has a header that is no JSON object");
  expectRefused("{}", 4, "is damaged: its tensors take 0 bytes, but it has 4");
  expectRefused(R"({"a":1})", 0, "is damaged: tensor 'a' needs dtype, shape and data_offsets");
  expectRefused(R"({"a":{"dtype":"F12","shape":[1],"data_offsets":[0,4]}})", 4,
                "is damaged: tensor 'a' has the unknown type \"F12\"");
  expectRefused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4,
                "is damaged: tensor 'a' has a shape that is no list of extents");
  expectRefused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4,
                "is damaged: tensor 'a' has a shape that is no list of extents");
  expectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4,
                "is damaged: tensor 'a' has data_offsets that are not two offsets");
  expectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
                "is damaged: tensor 'a' begins at 4 but ends at 0");
  expectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                "is damaged: tensor 'a' takes 8 bytes by its shape, but 4 by its offsets");
  expectRefused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "is damaged: tensor 'a' has a shape whose size overflows");
  expectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3,
                "is damaged: its tensors take 4 bytes, but it has 3");
  const std::string b = R"("b":{"dtype":"F32","shape":[1],"data_offsets":)";
  expectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)" + b + "[4,8]}}", 8,
                "is damaged: tensor 'b' begins at 4, but the one before ends at 8");
  expectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)" + b + "[12,16]}}", 16,
                "is damaged: tensor 'b' begins at 12, but the one before ends at 8");
  expectRefused("{" + b + "[0,4]}," + b + "[4,8]}}", 8, "has tensor 'b' twice");
  expectRefused(R"({"__metadata__":{"a":1}})", 0, "has metadata that are not texts");
}

TEST_F(Safetensors, FilesThatAreNoneAreRefused) {
  EXPECT_EQ(open(), "cannot open '" + path + "': No such file or directory");
  writeBytes("1234567");
  EXPECT_EQ(open(), "'" + path + "' has 7 bytes, too few for a safetensors file");
  writeBytes(std::string("\x10\0\0\0\0\0\0\0{}", 10));
  EXPECT_EQ(open(), "'" + path + "' says that its header has 16 bytes, but 2 follow");
  writeBytes(std::string(8, '\xff') + "{}");
  EXPECT_EQ(open(), "'" + path + "' says that its header has 18446744073709551615 bytes, but 2 follow");
  EXPECT_EQ(messageOf([] { SafetensorsFile file("/"); }), "'/' is no file");
}

// A file cut anywhere is refused; with any byte changed it is refused, or says something else that holds together.
TEST_F(Safetensors, NoDamageIsTrusted) {
  std::vector<float> elements = {1, 2, 3, 4};
  writeSafetensors(path, {{"a", {"F32", {2}, elements.data()}}, {"b", {"F32", {1, 2}, elements.data()}}});
  std::string good = readBytes();
  for (size_t size = 0; size < good.size(); ++size) {
    writeBytes(good.substr(0, size));
    EXPECT_NE(open(), "") << "cut to " << size << " bytes";
  }
  for (size_t i = 0; i < good.size() - 16; ++i)
    for (int change : {1, 2, 0x20, 0x80}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      writeBytes(bad);
      std::string message = messageOf([&] {
        SafetensorsFile file(path);
        int64_t bytes = 0;
        for (const auto &[name, tensor] : file.getTensors())
          bytes += static_cast<int64_t>(file.read(tensor).size());
        EXPECT_EQ(bytes, 16) << "byte " << i;
      });
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
}

} // namespace
