#include "test/fuzz/GuardedTensor.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace gqa;

namespace {

AttentionProblem makeProblem() {
  AttentionProblem problem;
  problem.extents = {2, 3, 1, 1, 5, 4, 4};
  return problem;
}

TEST(GuardedTensorTest, elementsStartAsNaNAndGapsStay) {
  AttentionProblem problem = makeProblem();
  GuardedTensor tensor(problem, problem.key, {2, 4, 7, 6});
  EXPECT_EQ(tensor.view().strides, (PerDim{4 * 7 * 6, 7 * 6, 0, 0, 6, 1, 0}));
  tensor.forEach([&](const PerDim &index) { EXPECT_TRUE(std::isnan(tensor.get(index))); });
  tensor.forEach([&](const PerDim &index) { tensor.set(index, 1.5); });
  tensor.forEach([&](const PerDim &index) { EXPECT_EQ(tensor.get(index), 1.5); });
  EXPECT_TRUE(tensor.isPaddingIntact());
  static_cast<float *>(tensor.getDLTensor().data)[4] = 0; // between two rows
  EXPECT_FALSE(tensor.isPaddingIntact());
}

TEST(GuardedTensorTest, readsAndWritesEveryType) {
  AttentionProblem problem = makeProblem();
  for (ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::i1, ElementType::i8,
                           ElementType::i32, ElementType::i64}) {
    GuardedTensor tensor(problem, Operand{{Dim::n}, type}, {5});
    tensor.set({0, 0, 0, 0, 4, 0, 0}, 1);
    EXPECT_EQ(tensor.get({0, 0, 0, 0, 4, 0, 0}), 1) << getName(type);
    EXPECT_EQ(tensor.getDLTensor().dtype.bits, 8 * getByteSize(type));
  }
}

TEST(GuardedTensorTest, batchEntryIsABatchOfOne) {
  AttentionProblem problem = makeProblem();
  GuardedTensor tensor(problem, problem.key, {2, 3, 5, 4});
  DLTensor entry = tensor.getBatchEntry(1);
  EXPECT_EQ(entry.shape[0], 1);
  EXPECT_EQ(entry.byte_offset, 4u * 3 * 5 * 4);
  EXPECT_EQ(tensor.getDLTensor().shape[0], 2);
}

TEST(GuardedTensorDeathTest, touchingBehindTheLastElementFaults) {
  AttentionProblem problem = makeProblem();
  GuardedTensor tensor(problem, problem.key, {2, 3, 5, 4});
  auto *data = static_cast<volatile char *>(tensor.getDLTensor().data);
  EXPECT_DEATH(data[2 * 3 * 5 * 4 * 4] = 0, "");
}

} // namespace
