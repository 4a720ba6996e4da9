// Caches on a device hold the same bits as caches on the CPU: the same calls are made to both, on the fake driver,
// which runs the device's kernels as functions of the host.

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"
#include "test/unit/cuda/FakeCuda.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <random>

using namespace gqa::cuda;

namespace {

using Context = std::unique_ptr<gqa_context, void (*)(gqa_context *)>;
using Cache = std::unique_ptr<gqa_cache, void (*)(gqa_cache *)>;

constexpr int64_t kHeads = 3, kKeyDim = 40, kValueDim = 24;

struct LayerCase {
  const char *name;
  int32_t keyType, valueType, storage;
  int64_t rotaryDim;
  int32_t pairs;
  bool hasChannelScales;
  uint8_t bits; ///< of what is appended
};

std::vector<float> makeChannelScales() {
  std::vector<float> scales(kHeads * kKeyDim);
  for (size_t i = 0; i < scales.size(); ++i)
    scales[i] = 0.01f + 0.001f * static_cast<float>(i % 7);
  return scales;
}

/// The same cache on the CPU and on a device, and the same tensors.
class Twins {
public:
  explicit Twins(const LayerCase &test, int64_t maxTokens = 512) : test(test), scales(makeChannelScales()) {
    gqa_cache_layer layer = {};
    layer.num_kv_heads = kHeads;
    layer.key_dim = kKeyDim;
    layer.value_dim = kValueDim;
    layer.key_type = test.keyType;
    layer.value_type = test.valueType;
    layer.storage = test.storage;
    layer.capacity = 200;
    layer.window = 20;
    layer.sinks = 2;
    layer.slack = 5;
    layer.key_channel_scales = test.hasChannelScales ? scales.data() : nullptr;
    layer.rotary.dim = test.rotaryDim;
    layer.rotary.pairs = test.pairs;
    layer.rotary.theta = 10000;
    gqa_cache_config config = {1, &layer, /*max_sequences=*/4, maxTokens, /*page_size=*/8};
    gqa_cache *made = nullptr;
    EXPECT_EQ(gqa_cache_create(context.get(), &config, &made), GQA_OK) << gqa_context_message(context.get());
    host.reset(made);
    EXPECT_EQ(gqa_cache_create_on(context.get(), &config, {kDLCUDA, 0}, &made), GQA_OK)
        << gqa_context_message(context.get());
    device.reset(made);
    gqa_context_set_stream(context.get(), stream.get());
  }

  gqa_sequence add() {
    gqa_sequence onHost = 0, onDevice = 0;
    EXPECT_EQ(gqa_cache_add(context.get(), host.get(), &onHost), GQA_OK);
    EXPECT_EQ(gqa_cache_add(context.get(), device.get(), &onDevice), GQA_OK);
    EXPECT_EQ(onHost, onDevice);
    return onHost;
  }

  gqa_sequence fork(gqa_sequence source, int64_t length) {
    gqa_sequence onHost = 0, onDevice = 0;
    EXPECT_EQ(gqa_cache_fork(context.get(), host.get(), source, length, &onHost), GQA_OK);
    EXPECT_EQ(gqa_cache_fork(context.get(), device.get(), source, length, &onDevice), GQA_OK);
    return onDevice;
  }

  /// Appends random tokens to both; returns what the device said.
  gqa_status append(std::vector<gqa_sequence> sequences, std::vector<int64_t> counts) {
    int64_t tokens = 0;
    for (int64_t count : counts)
      tokens += count;
    Rows keys(*this, tokens, kKeyDim), values(*this, tokens, kValueDim);
    auto size = static_cast<int32_t>(sequences.size());
    EXPECT_EQ(gqa_cache_append(context.get(), host.get(), 0, sequences.data(), counts.data(), size, &keys.onHost,
                               &values.onHost),
              GQA_OK)
        << gqa_context_message(context.get());
    gqa_status status = gqa_cache_append(context.get(), device.get(), 0, sequences.data(), counts.data(), size,
                                         &keys.onDevice, &values.onDevice);
    stream.synchronize(); // the tensors go
    return status;
  }

  /// Whether both caches hold the same of a sequence, in storage and when it is read.
  void expectSame(gqa_sequence sequence) {
    gqa_cache_view onHost, onDevice;
    ASSERT_EQ(gqa_cache_get_view(context.get(), host.get(), 0, &onHost), GQA_OK);
    ASSERT_EQ(gqa_cache_get_view(context.get(), device.get(), 0, &onDevice), GQA_OK);
    EXPECT_EQ(onDevice.keys.page_stride, onHost.keys.page_stride);
    int64_t length = 0;
    ASSERT_EQ(gqa_cache_length(context.get(), device.get(), sequence, 0, &length), GQA_OK);
    // A ring has lost what lies before the window.
    int64_t begin = test.storage == GQA_CACHE_RING ? std::max<int64_t>(0, length - 20) : 0;
    std::vector<float> keys[2], values[2];
    for (int i = 0; i < 2; ++i) {
      keys[i].resize(static_cast<size_t>((length - begin) * kHeads * kKeyDim));
      values[i].resize(static_cast<size_t>((length - begin) * kHeads * kValueDim));
      int64_t keyShape[] = {length - begin, kHeads, kKeyDim}, valueShape[] = {length - begin, kHeads, kValueDim};
      DLTensor keyView = {}, valueView = {};
      keyView.data = keys[i].data();
      valueView.data = values[i].data();
      keyView.shape = keyShape;
      valueView.shape = valueShape;
      for (DLTensor *view : {&keyView, &valueView}) {
        view->device = {kDLCPU, 0};
        view->ndim = 3;
        view->dtype = {kDLFloat, 32, 1};
      }
      ASSERT_EQ(gqa_cache_read(context.get(), i ? device.get() : host.get(), sequence, 0, begin, &keyView, &valueView),
                GQA_OK)
          << gqa_context_message(context.get());
    }
    EXPECT_EQ(std::memcmp(keys[0].data(), keys[1].data(), keys[0].size() * sizeof(float)), 0);
    EXPECT_EQ(std::memcmp(values[0].data(), values[1].data(), values[0].size() * sizeof(float)), 0);
  }

  LayerCase test;
  std::vector<float> scales;
  std::shared_ptr<const Device> gpu = Device::open(0);
  Stream stream{gpu};
  Context context{gqa_context_create(nullptr), gqa_context_destroy};
  Cache host{nullptr, gqa_cache_destroy}, device{nullptr, gqa_cache_destroy};
  std::mt19937 random{1};

  /// Random rows [tokens, kHeads, dim] in both places, with a gap behind each token.
  struct Rows {
    Rows(Twins &twins, int64_t tokens, int64_t dim)
        : shape{tokens, kHeads, dim}, strides{kHeads * dim + 8, dim, 1},
          bytes(static_cast<size_t>(tokens * strides[0]) * twins.test.bits / 8),
          memory(twins.gpu, std::max<size_t>(bytes.size(), 1)) {
      std::normal_distribution<float> normal;
      for (int64_t i = 0; i < tokens * strides[0]; ++i) {
        float value = normal(twins.random);
        if (i % 97 == 0)
          value = i % 2 ? 0 : 1e-6f; // subnormal as f16
        if (twins.test.bits == 16)
          reinterpret_cast<_Float16 *>(bytes.data())[i] = static_cast<_Float16>(value);
        else
          reinterpret_cast<float *>(bytes.data())[i] = value;
      }
      if (tokens > 1) // a row that cannot be quantised
        std::memset(bytes.data() + strides[0] * twins.test.bits / 8, 0xff, 4);
      twins.stream.upload(memory.getPointer(), bytes.data(), bytes.size());
      onHost.data = bytes.data();
      onHost.device = {kDLCPU, 0};
      onHost.ndim = 3;
      onHost.dtype = {kDLFloat, twins.test.bits, 1};
      onHost.shape = shape;
      onHost.strides = strides;
      onDevice = onHost;
      onDevice.data = memory.get();
      onDevice.device = {kDLCUDA, 0};
    }
    Rows(const Rows &) = delete;

    int64_t shape[3], strides[3];
    std::vector<uint8_t> bytes;
    Memory memory;
    DLTensor onHost = {}, onDevice = {};
  };
};

fakecuda::Options withKernels() {
  fakecuda::Options options;
  options.kernels = GQA_CACHE_KERNELS;
  return options;
}

class DeviceCache : public testing::TestWithParam<LayerCase> {
  void SetUp() override { fakecuda::reset(withKernels()); }
};

TEST_P(DeviceCache, HoldsTheBitsOfTheHosts) {
  {
    Twins twins(GetParam());
    gqa_sequence first = twins.add(), second = twins.add();
    ASSERT_EQ(twins.append({first, second}, {19, 1}), GQA_OK) << gqa_context_message(twins.context.get());
    ASSERT_EQ(twins.append({second, first}, {3, 5}), GQA_OK);
    for (int step = 0; step < 30; ++step)
      ASSERT_EQ(twins.append({first, second}, {1, 1}), GQA_OK);
    // Forks share pages until one of them writes.
    gqa_sequence third = twins.fork(first, 50);
    ASSERT_EQ(twins.append({third, first}, {2, 4}), GQA_OK);
    for (gqa_sequence sequence : {first, second, third})
      twins.expectSame(sequence);
    // Saved and loaded.
    std::string path = testing::TempDir() + "device-cache-" + std::to_string(getpid());
    gqa_sequence loaded = 0;
    ASSERT_EQ(gqa_cache_save(twins.context.get(), twins.device.get(), third, path.c_str()), GQA_OK);
    ASSERT_EQ(gqa_cache_load(twins.context.get(), twins.host.get(), path.c_str(), &loaded), GQA_OK)
        << gqa_context_message(twins.context.get());
    ASSERT_EQ(gqa_cache_load(twins.context.get(), twins.device.get(), path.c_str(), &loaded), GQA_OK)
        << gqa_context_message(twins.context.get());
    twins.expectSame(loaded);
    unlink(path.c_str());
  }
  EXPECT_EQ(fakecuda::describeLeaks(), "");
  EXPECT_EQ(fakecuda::getContextDepth(), 0);
}

const LayerCase kCases[] = {
    {"f16Paged", GQA_CACHE_F16, GQA_CACHE_F16, GQA_CACHE_PAGED, 0, 0, false, 16},
    {"f32FromHalf", GQA_CACHE_F32, GQA_CACHE_BF16, GQA_CACHE_PAGED, 0, 0, false, 16},
    {"bf16Contiguous", GQA_CACHE_BF16, GQA_CACHE_F16, GQA_CACHE_CONTIGUOUS, 0, 0, false, 32},
    {"f16RingRotated", GQA_CACHE_F16, GQA_CACHE_F16, GQA_CACHE_RING, kKeyDim, GQA_ROTARY_HALF_SPLIT, false, 16},
    {"f32RotatedPartly", GQA_CACHE_F32, GQA_CACHE_F32, GQA_CACHE_PAGED, 16, GQA_ROTARY_INTERLEAVED, false, 32},
    {"i8Rotated", GQA_CACHE_I8, GQA_CACHE_I8, GQA_CACHE_PAGED, kKeyDim, GQA_ROTARY_INTERLEAVED, false, 16},
    {"f8Ring", GQA_CACHE_F8E4M3, GQA_CACHE_F8E4M3, GQA_CACHE_RING, 0, 0, false, 32},
    {"i4Channels", GQA_CACHE_I4, GQA_CACHE_I4, GQA_CACHE_PAGED, kKeyDim, GQA_ROTARY_HALF_SPLIT, true, 16},
    {"i8Channels", GQA_CACHE_I8, GQA_CACHE_I4, GQA_CACHE_CONTIGUOUS, 0, 0, true, 32},
};
INSTANTIATE_TEST_SUITE_P(Layers, DeviceCache, testing::ValuesIn(kCases),
                         [](const auto &info) { return info.param.name; });

struct DeviceCacheCalls : testing::Test {
  void SetUp() override { fakecuda::reset(withKernels()); }
};

TEST_F(DeviceCacheCalls, AppendStartsTwoKernelsAndNothingElse) {
  Twins twins(kCases[5]);
  gqa_sequence sequence = twins.add();
  Twins::Rows keys(twins, 12, kKeyDim), values(twins, 12, kValueDim);
  int64_t count = 12;
  fakecuda::finish();
  fakecuda::clearCalls();
  fakecuda::beginCapture(twins.stream.get());
  ASSERT_EQ(gqa_cache_append(twins.context.get(), twins.device.get(), 0, &sequence, &count, 1, &keys.onDevice,
                             &values.onDevice),
            GQA_OK)
      << gqa_context_message(twins.context.get());
  EXPECT_EQ(fakecuda::endCapture(twins.stream.get()), 2);
  EXPECT_EQ(fakecuda::getCalls(),
            (std::vector<std::string>{"cuCtxPushCurrent", "cuLaunchKernel", "cuLaunchKernel", "cuCtxPopCurrent"}));
  fakecuda::launchGraph();
  fakecuda::finish();
  ASSERT_EQ(fakecuda::getLaunches().size(), 2u);
  EXPECT_EQ(fakecuda::getLaunches()[0].kernel, "gqa_cache_append");
  EXPECT_EQ(fakecuda::getLaunches()[0].grid[0], 12u);
  EXPECT_EQ(fakecuda::getLaunches()[0].grid[1], unsigned(kHeads));
  EXPECT_EQ(fakecuda::getLaunches()[0].sharedBytes, 4 * kKeyDim);
}

// More pages than one launch takes.
TEST_F(DeviceCacheCalls, LongPromptsAreAppendedInSeveralLaunches) {
  Twins twins(kCases[0], /*maxTokens=*/4096);
  gqa_sequence sequence = twins.add();
  ASSERT_EQ(twins.append({sequence}, {2500}), GQA_OK) << gqa_context_message(twins.context.get());
  EXPECT_EQ(fakecuda::getLaunches().size(), 6u); // 313 pages, 124 at a time, keys and values
  twins.expectSame(sequence);
}

TEST_F(DeviceCacheCalls, RotationIsTheHosts) {
  for (const LayerCase &test : {kCases[3], kCases[4]}) {
    Twins twins(test);
    Twins::Rows rows(twins, 1000, kKeyDim);
    std::vector<int64_t> positions(1000);
    for (size_t i = 0; i < positions.size(); ++i)
      positions[i] = static_cast<int64_t>(i * i * 1000 + i); // up to 10^9
    ASSERT_EQ(gqa_cache_rotate(twins.context.get(), twins.host.get(), 0, positions.data(), &rows.onHost), GQA_OK);
    ASSERT_EQ(gqa_cache_rotate(twins.context.get(), twins.device.get(), 0, positions.data(), &rows.onDevice), GQA_OK);
    std::vector<uint8_t> onDevice(rows.bytes.size());
    twins.stream.download(onDevice.data(), rows.memory.getPointer(), onDevice.size());
    twins.stream.synchronize();
    EXPECT_TRUE(onDevice == rows.bytes);
  }
}

TEST_F(DeviceCacheCalls, FailuresLoseNothing) {
  for (int index = 0; index < 12; ++index) {
    fakecuda::reset(withKernels());
    {
      Twins twins(kCases[0]);
      gqa_sequence first = twins.add();
      ASSERT_EQ(twins.append({first}, {13}), GQA_OK);
      gqa_sequence second = twins.fork(first, 11);
      // Writes to a shared page: a copy, then the rows.
      Twins::Rows keys(twins, 3, kKeyDim), values(twins, 3, kValueDim);
      int64_t count = 3;
      fakecuda::finish();
      fakecuda::failAt(index, /*CUDA_ERROR_INVALID_VALUE*/ 1);
      gqa_status status = gqa_cache_append(twins.context.get(), twins.device.get(), 0, &second, &count, 1,
                                           &keys.onDevice, &values.onDevice);
      bool failed = fakecuda::hasFailed();
      fakecuda::failAt(-1, 0);
      EXPECT_EQ(status, failed ? GQA_DEVICE_ERROR : GQA_OK);
      std::string message = gqa_context_message(twins.context.get());
      EXPECT_EQ(message.find("CUDA_ERROR_INVALID_VALUE") != std::string::npos, failed) << message;
      int64_t length = 0;
      gqa_cache_length(twins.context.get(), twins.device.get(), second, 0, &length);
      EXPECT_EQ(length, failed ? 11 : 14);
      twins.expectSame(first);
      if (failed)
        twins.expectSame(second);
    }
    EXPECT_EQ(fakecuda::describeLeaks(), "");
  }
}

TEST_F(DeviceCacheCalls, MistakesAreNamed) {
  Twins twins(kCases[0]);
  gqa_sequence sequence = twins.add();
  int64_t count = 2;
  Twins::Rows keys(twins, 2, kKeyDim), values(twins, 2, kValueDim);
  EXPECT_EQ(gqa_cache_append(twins.context.get(), twins.device.get(), 0, &sequence, &count, 1, &keys.onDevice,
                             &values.onHost),
            GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(twins.context.get()),
               "values must be in memory of a CUDA device (device type 2), got device type 1");
  keys.onDevice.device.device_id = 1;
  EXPECT_EQ(gqa_cache_append(twins.context.get(), twins.device.get(), 0, &sequence, &count, 1, &keys.onDevice,
                             &values.onDevice),
            GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(gqa_context_message(twins.context.get()), "keys must be on the cache's device 0, got device 1");
}

TEST_F(DeviceCacheCalls, CreationFailsCleanly) {
  gqa_cache_layer layer = {};
  layer.num_kv_heads = layer.key_dim = layer.value_dim = 8;
  layer.storage = GQA_CACHE_PAGED;
  gqa_cache_config config = {1, &layer, 4, 64, 16};
  Context context{gqa_context_create(nullptr), gqa_context_destroy};
  gqa_cache *cache = nullptr;
  EXPECT_EQ(gqa_cache_create_on(context.get(), &config, {kDLCUDA, 7}, &cache), GQA_NO_DEVICE);
  EXPECT_EQ(gqa_cache_create_on(context.get(), &config, {kDLVulkan, 0}, &cache), GQA_INVALID_ARGUMENT);
  context.reset();

  fakecuda::Options options = withKernels();
  options.capability = 75;
  fakecuda::reset(options);
  context.reset(gqa_context_create(nullptr));
  EXPECT_EQ(gqa_cache_create_on(context.get(), &config, {kDLCUDA, 0}, &cache), GQA_UNSUPPORTED_TARGET);
  EXPECT_STREQ(gqa_context_message(context.get()),
               "needs compute capability 8.0 or later; this device is 'Fake GPU' (compute capability 7.5)");
  context.reset();
  for (int index = 0, failed = 1; failed; ++index) {
    fakecuda::reset(withKernels());
    context.reset(gqa_context_create(nullptr));
    fakecuda::failAt(index, /*CUDA_ERROR_OUT_OF_MEMORY*/ 2);
    gqa_status status = gqa_cache_create_on(context.get(), &config, {kDLCUDA, 0}, &cache);
    failed = fakecuda::hasFailed();
    fakecuda::failAt(-1, 0);
    if (status == GQA_OK)
      gqa_cache_destroy(cache);
    else
      EXPECT_EQ(cache, nullptr);
    context.reset();
    // A destructor whose call failed leaves its resource to the device's context.
    if (status != GQA_OK || !failed)
      EXPECT_EQ(fakecuda::describeLeaks(), "") << "call " << index;
  }
}

} // namespace
