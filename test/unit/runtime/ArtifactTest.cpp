// Artifacts: what they say of themselves, and files that are none.

#include "TestArtifact.h"

#include <fstream>
#include <sstream>
#include <unistd.h>

namespace gqa::test {
namespace {

TEST(Artifact, SaysWhatItHasAndNeeds) {
  TestArtifact test;
  ASSERT_EQ(gqa_artifact_num_entries(test.artifact), 2);
  EXPECT_STREQ(gqa_artifact_entry_name(test.artifact, 0), "attention");
  EXPECT_STREQ(gqa_artifact_entry_name(test.artifact, 1), "decode");
  EXPECT_EQ(gqa_artifact_entry_name(test.artifact, 2), nullptr);
  EXPECT_EQ(gqa_artifact_entry_name(test.artifact, -1), nullptr);
  EXPECT_EQ(gqa_artifact_can_run(test.context, test.artifact), GQA_OK);
  EXPECT_STREQ(gqa_context_message(test.context), "");
  std::string description = gqa_artifact_description(test.artifact);
  for (const char *part : {"\"features\"", "\"triple\"", "\"arguments\"", "\"name\":\"decode\""})
    EXPECT_NE(description.find(part), std::string::npos) << part;
}

TEST(Artifact, DamagedFilesAreRefused) {
  std::ostringstream contents;
  contents << std::ifstream(GQA_TEST_ARTIFACT, std::ios::binary).rdbuf();
  const std::string good = contents.str();
  std::string path = ::testing::TempDir() + "gqa-artifact-" + std::to_string(getpid());
  gqa_context *context = gqa_context_create(nullptr);
  auto load = [&](const std::string &bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    gqa_artifact *artifact = nullptr;
    gqa_status status = gqa_artifact_load(context, path.c_str(), &artifact);
    EXPECT_EQ(artifact != nullptr, status == GQA_OK);
    gqa_artifact_destroy(artifact);
    return status;
  };
  EXPECT_EQ(load(good), GQA_OK);
  for (size_t i = 0; i < 48; ++i) { // every byte of the trailer, and some before
    std::string bad = good;
    bad[good.size() - 1 - i] ^= 1;
    EXPECT_EQ(load(bad), GQA_BAD_ARTIFACT) << i;
  }
  for (size_t i = 0; i < good.size(); i += good.size() / 50) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_EQ(load(bad), GQA_BAD_ARTIFACT) << i;
    EXPECT_EQ(load(good.substr(0, i)), GQA_BAD_ARTIFACT) << i;
  }
  EXPECT_EQ(load(good + "x"), GQA_BAD_ARTIFACT);
  unlink(path.c_str());
  gqa_artifact *artifact = nullptr;
  EXPECT_EQ(gqa_artifact_load(context, path.c_str(), &artifact), GQA_NOT_FOUND);
  EXPECT_NE(gqa_artifact_load(context, "/", &artifact), GQA_OK);
  gqa_context_destroy(context);
}

TEST(Artifact, VersionsAreThoseOfTheHeader) {
  EXPECT_EQ(gqa_version(), GQA_API_VERSION_MAJOR * 1000 + GQA_API_VERSION_MINOR);
  for (int status = 0; status <= GQA_DEVICE_ERROR; ++status)
    EXPECT_STRNE(gqa_status_name(static_cast<gqa_status>(status)), "unknown status");
  EXPECT_STREQ(gqa_status_name(static_cast<gqa_status>(99)), "unknown status");
}

} // namespace
} // namespace gqa::test
