#ifndef GQA_TEST_UNIT_RUNTIME_TESTARTIFACT_H
#define GQA_TEST_UNIT_RUNTIME_TESTARTIFACT_H

#include "TestTensor.h"

#include <gtest/gtest.h>

#include <string>

namespace gqa::test {

/// A context with these callbacks, the artifact of Inputs/attention.mlir, and tensors for one of its entries.
struct TestArtifact {
  explicit TestArtifact(const gqa_options &options = {}) : context(gqa_context_create(&options)) {
    EXPECT_NE(context, nullptr);
    EXPECT_EQ(gqa_artifact_load(context, GQA_TEST_ARTIFACT, &artifact), GQA_OK) << gqa_context_message(context);
  }
  ~TestArtifact() {
    gqa_artifact_destroy(artifact);
    gqa_context_destroy(context);
  }
  TestArtifact(const TestArtifact &) = delete;

  gqa_status call(const char *entry, const DLTensor *q, const DLTensor *k, const DLTensor *v, DLTensor *o) const {
    const DLTensor *inputs[] = {q, k, v};
    return gqa_call(context, artifact, entry, inputs, 3, &o, 1);
  }
  std::string getMessage() const { return gqa_context_message(context); }

  gqa_context *context;
  gqa_artifact *artifact = nullptr;
};

/// Queries, keys, values and outputs of @attention.
struct Tensors {
  Tensors(int64_t batch, int64_t queries, int64_t keys)
      : q({batch, 2, 2, queries, 8}), k({batch, 2, keys, 8}), v({batch, 2, keys, 8}), o({batch, 2, 2, queries, 8}) {
    q.fill(1);
    k.fill(2);
    v.fill(3);
  }

  gqa_status call(const TestArtifact &artifact, const char *entry = "attention") {
    return artifact.call(entry, &q.dl, &k.dl, &v.dl, &o.dl);
  }

  Tensor q, k, v, o;
};

} // namespace gqa::test

#endif // GQA_TEST_UNIT_RUNTIME_TESTARTIFACT_H
