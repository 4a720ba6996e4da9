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

TEST(Artifact, SaysWhatItNeedsAndWhatItsEntriesTake) {
  TestArtifact test;
  EXPECT_EQ(gqa_artifact_can_run(test.context, test.artifact), GQA_OK);
  EXPECT_STRNE(gqa_artifact_target(test.artifact), "");
  int32_t numFeatures = gqa_artifact_num_cpu_features(test.artifact);
  for (int32_t i = 0; i < numFeatures; ++i)
    EXPECT_NE(std::string(gqa_artifact_description(test.artifact)).find(gqa_artifact_cpu_feature(test.artifact, i)),
              std::string::npos);
  EXPECT_EQ(gqa_artifact_cpu_feature(test.artifact, numFeatures), nullptr);
  EXPECT_EQ(gqa_artifact_cpu_feature(test.artifact, -1), nullptr);

  int32_t numArguments = 0, numResults = 0;
  ASSERT_EQ(gqa_entry_size(test.context, test.artifact, "attention", &numArguments, &numResults), GQA_OK);
  EXPECT_EQ(numArguments, 3);
  EXPECT_EQ(numResults, 1);
  EXPECT_EQ(gqa_entry_size(test.context, test.artifact, "none", nullptr, nullptr), GQA_NOT_FOUND);
  auto getArgument = [&](const char *entry, int32_t index) {
    gqa_tensor_type type = {};
    EXPECT_EQ(gqa_entry_argument(test.context, test.artifact, entry, index, &type), GQA_OK) << test.getMessage();
    return type;
  };
  // query [b, 2, 2, m, 8] and key [b, 2, n, 8]: the batches are one symbol, the lengths two.
  gqa_tensor_type query = getArgument("attention", 0), key = getArgument("attention", 1), result = {};
  EXPECT_STREQ(query.name, "query");
  EXPECT_STREQ(key.name, "key");
  EXPECT_STREQ(key.type, "f32");
  EXPECT_EQ(key.dtype.code, kDLFloat);
  EXPECT_EQ(key.dtype.bits, 32);
  EXPECT_EQ(key.dtype.lanes, 1);
  ASSERT_EQ(query.rank, 5);
  ASSERT_EQ(key.rank, 4);
  EXPECT_EQ((std::vector<int64_t>{query.shape, query.shape + 5}), (std::vector<int64_t>{-1, 2, 2, -1, 8}));
  EXPECT_EQ((std::vector<int64_t>{key.shape, key.shape + 4}), (std::vector<int64_t>{-1, 2, -1, 8}));
  EXPECT_STREQ(query.symbols[0], key.symbols[0]);
  EXPECT_STRNE(query.symbols[3], key.symbols[2]);
  EXPECT_STREQ(key.symbols[1], "");
  ASSERT_EQ(gqa_entry_result(test.context, test.artifact, "attention", 0, &result), GQA_OK);
  EXPECT_STREQ(result.name, "output");
  EXPECT_STREQ(result.symbols[3], query.symbols[3]);
  EXPECT_EQ(getArgument("decode", 1).shape[0], 1);

  EXPECT_EQ(gqa_entry_argument(test.context, test.artifact, "attention", 3, &query), GQA_NOT_FOUND);
  EXPECT_EQ(test.getMessage(), "entry 'attention' has 3 arguments, so no number 3");
  EXPECT_EQ(gqa_entry_result(test.context, test.artifact, "attention", -1, &query), GQA_NOT_FOUND);
}

TEST(Artifact, VersionsAreThoseOfTheHeader) {
  EXPECT_EQ(gqa_version(), GQA_API_VERSION_MAJOR * 1000 + GQA_API_VERSION_MINOR);
  for (int status = 0; status <= GQA_DEVICE_ERROR; ++status)
    EXPECT_STRNE(gqa_status_name(static_cast<gqa_status>(status)), "unknown status");
  EXPECT_STREQ(gqa_status_name(static_cast<gqa_status>(99)), "unknown status");
}

} // namespace
} // namespace gqa::test
