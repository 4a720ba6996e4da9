#include "runtime/cuda/Resources.h"
#include "runtime/Failure.h"
#include "test/unit/cuda/FakeCuda.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace gqa::cuda;

namespace {

/// Bytes go to the device, are copied and partly overwritten there, and come back.
std::vector<uint8_t> makeRoundTrip(const std::vector<uint8_t> &bytes) {
  std::shared_ptr<const Device> device = Device::open(0);
  Stream stream(device);
  Event start(device), end(device);
  Memory first(device, bytes.size()), second(device, bytes.size());
  start.record(stream);
  stream.upload(first.getPointer(), bytes.data(), bytes.size());
  stream.copy(second.getPointer(), first.getPointer(), bytes.size());
  stream.fill(second.getPointer(), 7, 3);
  end.record(stream);
  std::vector<uint8_t> back(bytes.size());
  stream.download(back.data(), second.getPointer(), bytes.size());
  stream.synchronize();
  EXPECT_GT(end.getSecondsSince(start), 0);
  return back;
}

TEST(Resources, CopiesAreOrderedOnTheStream) {
  fakecuda::reset();
  std::vector<uint8_t> bytes(1000);
  std::iota(bytes.begin(), bytes.end(), 0);
  std::vector<uint8_t> expected = bytes;
  std::fill_n(expected.begin(), 3, 7);
  EXPECT_EQ(makeRoundTrip(bytes), expected);
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

TEST(Resources, EveryFailureIsReportedAndLeavesNothingBehind) {
  int index = 0;
  for (bool failed = true; failed; ++index) {
    fakecuda::reset();
    fakecuda::failAt(index, /*CUDA_ERROR_OUT_OF_MEMORY*/ 2);
    failed = false;
    try {
      makeRoundTrip(std::vector<uint8_t>(100));
    } catch (const gqa::Failure &failure) {
      failed = true;
      EXPECT_NE(failure.message.find("CUDA_ERROR_OUT_OF_MEMORY"), std::string::npos) << failure.message;
    }
    // Destructors make calls of their own; one that fails there leaves its resource to the context.
    if (failed || !fakecuda::hasFailed())
      EXPECT_EQ(fakecuda::describeLeaks(), "") << "call " << index;
    failed = fakecuda::hasFailed();
    EXPECT_EQ(fakecuda::getContextDepth(), 0);
  }
  EXPECT_GE(index, 30);
}

TEST(Resources, MemoryRunsOutWithItsSizeInTheMessage) {
  fakecuda::Options options;
  options.memory = 1000;
  fakecuda::reset(options);
  try {
    Memory memory(Device::open(0), 1001);
    FAIL();
  } catch (const gqa::Failure &failure) {
    EXPECT_EQ(failure.status, GQA_OUT_OF_MEMORY);
    EXPECT_EQ(failure.message, "cuda: cuMemAlloc of 1001 bytes failed: CUDA_ERROR_OUT_OF_MEMORY");
  }
}

TEST(Resources, NothingIsAllocatedForZeroBytes) {
  fakecuda::reset();
  Memory memory(Device::open(0), 0);
  EXPECT_EQ(memory.get(), nullptr);
}

TEST(Resources, CopiesOutsideOfAnAllocationFail) {
  fakecuda::reset();
  std::shared_ptr<const Device> device = Device::open(0);
  Stream stream(device);
  Memory memory(device, 100);
  char bytes[101] = {};
  EXPECT_THROW(stream.upload(memory.getPointer(), bytes, 101), gqa::Failure);
}

TEST(Resources, GraphsAreLaunchedAgainAndAgain) {
  fakecuda::reset();
  {
    std::shared_ptr<const Device> device = Device::open(0);
    Stream stream(device);
    Memory memory(device, 4);
    stream.fill(memory.getPointer(), 1, 4);
    Graph graph(stream, [&] { stream.fill(memory.getPointer(), 7, 2); });
    uint8_t bytes[4];
    auto read = [&] {
      stream.download(bytes, memory.getPointer(), 4);
      stream.synchronize();
    };
    read();
    EXPECT_EQ(bytes[0], 1); // captured, not done
    for (int time = 0; time < 2; ++time) {
      stream.fill(memory.getPointer(), 1, 4);
      graph.launch(stream);
      read();
      EXPECT_EQ(bytes[1], 7);
      EXPECT_EQ(bytes[2], 1);
    }
    EXPECT_THROW(Graph(stream, [] { throw std::runtime_error("no"); }), std::runtime_error);
    EXPECT_THROW(Graph(stream, [&] { Memory other(device, 8); }), gqa::Failure); // may not be captured
    read();
  }
  EXPECT_EQ(fakecuda::describeLeaks(), "");
}

// The test of tests: what the fake is trusted with.
TEST(FakeCuda, DeviceMemoryIsOutOfReachOfTheHost) {
  fakecuda::reset();
  Memory memory(Device::open(0), 100);
  EXPECT_DEATH(*static_cast<volatile char *>(memory.get()) = 1, "");
}

} // namespace
