// gqa_cache_attend on caches on a device: kernels that gqa-compile made, on the fake driver, which runs them by the
// emulator, against attention in double over what gqa_cache_read says is stored.

#include "runtime/cuda/Resources.h"
#include "runtime/gqa.h"
#include "test/unit/cuda/FakeCuda.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <set>

using namespace gqa::cuda;

namespace {

using Context = std::unique_ptr<gqa_context, void (*)(gqa_context *)>;
using Artifact = std::unique_ptr<gqa_artifact, void (*)(gqa_artifact *)>;
using Cache = std::unique_ptr<gqa_cache, void (*)(gqa_cache *)>;

// As the artifacts in CMakeLists.txt.
constexpr int64_t kHeads = 6, kKvHeads = 2, kGroup = kHeads / kKvHeads, kKeyDim = 32, kValueDim = 48, kWindow = 40,
                  kSlack = 7;

struct Layer {
  const char *name, *artifact;
  int32_t type, storage;
  bool hasMask = false; ///< and sinks
};
const Layer kLayers[] = {{"f16Pages", GQA_ATTEND_F16, GQA_CACHE_F16, GQA_CACHE_PAGED},
                         {"i8Pages", GQA_ATTEND_I8, GQA_CACHE_I8, GQA_CACHE_PAGED},
                         {"f16Ring", GQA_ATTEND_RING, GQA_CACHE_F16, GQA_CACHE_RING},
                         {"f16Masked", GQA_ATTEND_MASKED, GQA_CACHE_F16, GQA_CACHE_PAGED, /*hasMask=*/true}};

/// A dense tensor on the device that was made from numbers of the host.
template <typename Element> struct DeviceTensor {
  DeviceTensor(const std::shared_ptr<const Device> &device, std::vector<int64_t> extents, DLDataType type)
      : shape(std::move(extents)), stream(device) {
    size_t count = 1;
    for (int64_t extent : shape)
      count *= static_cast<size_t>(extent);
    values.resize(count);
    memory = Memory(device, std::max<size_t>(1, count * sizeof(Element)));
    view.data = memory.get();
    view.device = {kDLCUDA, 0};
    view.ndim = static_cast<int32_t>(shape.size());
    view.dtype = type;
    view.shape = shape.data();
  }
  DeviceTensor(const DeviceTensor &) = delete;
  void upload() {
    stream.upload(memory.getPointer(), values.data(), values.size() * sizeof(Element)), stream.synchronize();
  }
  void download() {
    stream.download(values.data(), memory.getPointer(), values.size() * sizeof(Element));
    stream.synchronize();
  }

  std::vector<int64_t> shape;
  std::vector<Element> values;
  Stream stream;
  Memory memory;
  DLTensor view = {};
};
constexpr DLDataType kF16 = {kDLFloat, 16, 1}, kF32 = {kDLFloat, 32, 1}, kI32 = {kDLInt, 32, 1};
using Halves = DeviceTensor<_Float16>;
using Floats = DeviceTensor<float>;
using Numbers = DeviceTensor<int32_t>;
using Bytes = DeviceTensor<uint8_t>;

/// A cache with one layer on the device, and attention to it.
struct Fixture {
  explicit Fixture(const Layer &layer) : layer(layer) {
    gqa_artifact *loaded = nullptr;
    EXPECT_EQ(gqa_artifact_load(context.get(), layer.artifact, &loaded), GQA_OK) << message();
    artifact.reset(loaded);
    gqa_cache_layer config = {};
    config.num_kv_heads = kKvHeads;
    config.key_dim = kKeyDim;
    config.value_dim = kValueDim;
    config.key_type = config.value_type = layer.type;
    config.storage = layer.storage;
    config.window = kWindow;
    config.slack = kSlack;
    gqa_cache_config all = {1, &config, /*max_sequences=*/8, /*max_tokens=*/4096, /*page_size=*/16};
    gqa_cache *made = nullptr;
    EXPECT_EQ(gqa_cache_create_on(context.get(), &all, {kDLCUDA, 0}, &made), GQA_OK) << message();
    cache.reset(made);
    gqa_context_set_stream(context.get(), stream.get());
  }

  const char *message() { return gqa_context_message(context.get()); }

  gqa_sequence add() {
    gqa_sequence sequence = 0;
    EXPECT_EQ(gqa_cache_add(context.get(), cache.get(), &sequence), GQA_OK);
    return sequence;
  }

  void append(const std::vector<gqa_sequence> &sequences, const std::vector<int64_t> &counts) {
    int64_t tokens = 0;
    for (int64_t count : counts)
      tokens += count;
    Halves keys(gpu, {tokens, kKvHeads, kKeyDim}, kF16), values(gpu, {tokens, kKvHeads, kValueDim}, kF16);
    for (Halves *rows : {&keys, &values}) {
      for (_Float16 &value : rows->values)
        value = static_cast<_Float16>(draw());
      rows->upload();
    }
    EXPECT_EQ(gqa_cache_append(context.get(), cache.get(), 0, sequences.data(), counts.data(),
                               static_cast<int32_t>(sequences.size()), &keys.view, &values.view),
              GQA_OK)
        << message();
    stream.synchronize();
  }

  int64_t getLength(gqa_sequence sequence) {
    int64_t length = 0;
    gqa_cache_length(context.get(), cache.get(), sequence, 0, &length);
    return length;
  }

  float draw() { return std::uniform_real_distribution<float>(-1, 1)(random); }

  Layer layer;
  std::shared_ptr<const Device> gpu = Device::open(0);
  Stream stream{gpu};
  Context context{gqa_context_create(nullptr), gqa_context_destroy};
  Artifact artifact{nullptr, gqa_artifact_destroy};
  Cache cache{nullptr, gqa_cache_destroy};
  std::mt19937 random{1};
};

/// Queries, results and workspace of one call.
struct Call {
  Call(Fixture &fixture, std::vector<gqa_sequence> sequences, std::vector<int64_t> queries)
      : fixture(fixture), names(std::move(sequences)), counts(std::move(queries)), tokens(sum(counts)),
        query(fixture.gpu, {tokens, kHeads, kKeyDim}, kF16), output(fixture.gpu, {tokens, kHeads, kValueDim}, kF16),
        lse(fixture.gpu, {tokens, kHeads}, kF32) {
    for (_Float16 &value : query.values)
      value = static_cast<_Float16>(4 * fixture.draw());
    query.upload();
    arguments.queries = &query.view;
    arguments.output = &output.view;
    arguments.lse = &lse.view;
    if (fixture.layer.hasMask)
      makeMask();
  }

  /// Hides a third of the keys, never a query's own. The mask is wider than the longest sequence.
  void makeMask() {
    int64_t keys = 3;
    for (gqa_sequence name : names)
      keys = std::max(keys, fixture.getLength(name) + 3);
    mask = std::make_unique<Bytes>(fixture.gpu, std::vector<int64_t>{tokens, keys}, DLDataType{kDLUInt, 8, 1});
    for (size_t i = 0; i < mask->values.size(); ++i)
      mask->values[i] = fixture.draw() > -0.33f;
    int64_t row = 0;
    for (size_t i = 0; i < names.size(); ++i)
      for (int64_t m = 0; m < counts[i]; ++m, ++row)
        mask->values[static_cast<size_t>(row * keys + fixture.getLength(names[i]) - counts[i] + m)] = 1;
    mask->upload();
    sinks = std::make_unique<Floats>(fixture.gpu, std::vector<int64_t>{kHeads}, kF32);
    for (float &sink : sinks->values)
      sink = 2 * fixture.draw();
    sinks->upload();
    arguments.mask = &mask->view;
    arguments.sinks = &sinks->view;
  }

  static int64_t sum(const std::vector<int64_t> &counts) {
    int64_t total = 0;
    for (int64_t count : counts)
      total += count;
    return total;
  }

  void takeWorkspace() {
    int64_t bytes = 0;
    ASSERT_EQ(gqa_cache_attend_workspace_size(fixture.context.get(), fixture.cache.get(), fixture.artifact.get(),
                                              "attention", 0, names.data(), counts.data(), size(), &arguments, &bytes),
              GQA_OK)
        << fixture.message();
    workspace = Memory(fixture.gpu, static_cast<size_t>(bytes));
    gqa_context_set_workspace(fixture.context.get(), workspace.get(), bytes);
  }

  gqa_status start() {
    return gqa_cache_attend(fixture.context.get(), fixture.cache.get(), fixture.artifact.get(), "attention", 0,
                            names.data(), counts.data(), size(), &arguments);
  }

  void run() {
    takeWorkspace();
    ASSERT_EQ(start(), GQA_OK) << fixture.message();
    fixture.stream.synchronize();
    output.download();
    lse.download();
  }

  int32_t size() const { return static_cast<int32_t>(names.size()); }

  /// Compares with attention in double.
  void expectRight() {
    int64_t row = 0;
    for (size_t i = 0; i < names.size(); row += counts[i], ++i)
      if (counts[i] > 0)
        expectRightSequence(names[i], counts[i], row);
  }

  void expectRightSequence(gqa_sequence name, int64_t count, int64_t firstRow) {
    int64_t length = fixture.getLength(name);
    bool isRing = fixture.layer.storage == GQA_CACHE_RING;
    int64_t begin = isRing ? std::max<int64_t>(0, length - kWindow - kSlack) : 0, stored = length - begin;
    std::vector<float> keys(static_cast<size_t>(stored * kKvHeads * kKeyDim));
    std::vector<float> values(static_cast<size_t>(stored * kKvHeads * kValueDim));
    int64_t keyShape[] = {stored, kKvHeads, kKeyDim}, valueShape[] = {stored, kKvHeads, kValueDim};
    DLTensor keyView = {keys.data(), {kDLCPU, 0}, 3, kF32, keyShape, nullptr, 0};
    DLTensor valueView = {values.data(), {kDLCPU, 0}, 3, kF32, valueShape, nullptr, 0};
    ASSERT_EQ(gqa_cache_read(fixture.context.get(), fixture.cache.get(), name, 0, begin, &keyView, &valueView), GQA_OK)
        << fixture.message();
    for (int64_t m = 0; m < count; ++m)
      for (int64_t head = 0; head < kHeads; ++head) {
        int64_t position = length - count + m, kvHead = head / kGroup, row = (firstRow + m) * kHeads + head;
        double total = 0;
        std::vector<double> expected(kValueDim);
        for (int64_t n = begin; n <= position; ++n) {
          if (isRing && n <= position - kWindow)
            continue;
          if (mask && !mask->values[static_cast<size_t>((firstRow + m) * mask->shape[1] + n)])
            continue;
          double score = 0;
          for (int64_t d = 0; d < kKeyDim; ++d)
            score += static_cast<double>(query.values[static_cast<size_t>(row * kKeyDim + d)]) *
                     keys[static_cast<size_t>(((n - begin) * kKvHeads + kvHead) * kKeyDim + d)];
          double weight = std::exp(score / std::sqrt(double(kKeyDim)));
          total += weight;
          for (int64_t d = 0; d < kValueDim; ++d)
            expected[static_cast<size_t>(d)] +=
                weight * values[static_cast<size_t>(((n - begin) * kKvHeads + kvHead) * kValueDim + d)];
        }
        ASSERT_NEAR(lse.values[static_cast<size_t>(row)], std::log(total), 2e-3) << "token " << m << " head " << head;
        if (sinks)
          total += std::exp(static_cast<double>(sinks->values[static_cast<size_t>(head)]));
        for (int64_t d = 0; d < kValueDim; ++d)
          ASSERT_NEAR(static_cast<double>(output.values[static_cast<size_t>(row * kValueDim + d)]),
                      expected[static_cast<size_t>(d)] / total, 3e-3)
              << "token " << m << " head " << head << " element " << d;
      }
  }

  Fixture &fixture;
  std::vector<gqa_sequence> names;
  std::vector<int64_t> counts;
  int64_t tokens;
  Halves query, output;
  Floats lse;
  std::unique_ptr<Bytes> mask;
  std::unique_ptr<Floats> sinks;
  Memory workspace;
  gqa_attend_arguments arguments = {};
};

fakecuda::Options withKernels() {
  fakecuda::Options options;
  options.kernels = GQA_CACHE_KERNELS;
  return options;
}

struct DeviceAttend : testing::TestWithParam<Layer> {
  void SetUp() override { fakecuda::reset(withKernels()); }
};

// Prompts and decoding steps of four sequences in one call each; rows of equally long ones lie apart.
TEST_P(DeviceAttend, IsAttentionToWhatIsStored) {
  {
    Fixture fixture(GetParam());
    std::vector<gqa_sequence> names;
    for (int i = 0; i < 4; ++i)
      names.push_back(fixture.add());
    for (const std::vector<int64_t> &counts :
         {std::vector<int64_t>{8, 1, 0, 8}, {1, 1, 1, 1}, {8, 1, 5, 1}, {1, 8, 8, 1}, {1, 8, 1, 1}}) {
      for (int repeat = 0; repeat < 2; ++repeat)
        fixture.append(names, counts);
      Call call(fixture, names, counts);
      call.run();
      call.expectRight();
    }
    if (GetParam().hasMask)
      return; // calls draw masks of their own
    // The bits do not depend on who is beside a sequence.
    Call together(fixture, names, {1, 1, 1, 1}), alone(fixture, {names[2]}, {1});
    std::copy_n(together.query.values.begin() + 2 * kHeads * kKeyDim, kHeads * kKeyDim, alone.query.values.begin());
    alone.query.upload();
    together.run();
    alone.run();
    EXPECT_EQ(std::memcmp(&together.output.values[2 * kHeads * kValueDim], alone.output.values.data(),
                          alone.output.values.size() * sizeof(_Float16)),
              0);
    // A result that nobody wants.
    alone.arguments.lse = nullptr;
    alone.run();
  }
  EXPECT_EQ(fakecuda::describeLeaks(), "");
  EXPECT_EQ(fakecuda::getContextDepth(), 0);
}

INSTANTIATE_TEST_SUITE_P(Layers, DeviceAttend, testing::ValuesIn(kLayers),
                         [](const auto &info) { return info.param.name; });

struct DeviceAttendCalls : testing::Test {
  void SetUp() override { fakecuda::reset(withKernels()); }
};

TEST_F(DeviceAttendCalls, StartsKernelsAndNothingElse) {
  Fixture fixture(kLayers[0]);
  gqa_sequence first = fixture.add(), second = fixture.add(), third = fixture.add();
  fixture.append({first, second, third}, {30, 40, 50});
  Call call(fixture, {first, second, third}, {1, 4, 1});
  call.takeWorkspace();
  fakecuda::finish();
  fakecuda::clearCalls();
  ASSERT_EQ(call.start(), GQA_OK) << fixture.message();
  std::vector<std::string> calls = fakecuda::getCalls();
  std::set<std::string> different(calls.begin(), calls.end());
  EXPECT_EQ(different, (std::set<std::string>{"cuCtxPushCurrent", "cuLaunchKernel", "cuCtxPopCurrent"}));
}

// A graph that is captured once decodes step after step: tables and lengths are written outside of it.
TEST_F(DeviceAttendCalls, ACapturedCallReadsTheCallersTables) {
  Fixture fixture(kLayers[1]);
  std::vector<gqa_sequence> names = {fixture.add(), fixture.add()};
  fixture.append(names, {30, 9});
  Call call(fixture, names, {1, 1});
  Numbers table(fixture.gpu, {2, 40}, kI32), lengths(fixture.gpu, {2}, kI32);
  call.arguments.block_table = &table.view;
  call.arguments.lengths = &lengths.view;
  call.takeWorkspace();
  fakecuda::finish();
  fakecuda::beginCapture(fixture.stream.get());
  ASSERT_EQ(call.start(), GQA_OK) << fixture.message();
  EXPECT_EQ(fakecuda::endCapture(fixture.stream.get()), 2); // attention and its merge
  for (int step = 0; step < 3; ++step) {
    fixture.append(names, {20, 1});
    ASSERT_EQ(gqa_cache_put_table(fixture.context.get(), fixture.cache.get(), 0, names.data(), 2, &table.view,
                                  &lengths.view, nullptr),
              GQA_OK)
        << fixture.message();
    fakecuda::launchGraph();
    fakecuda::finish();
    call.output.download();
    call.lse.download();
    call.expectRight();
  }
}

// More pages than a launch takes.
TEST_F(DeviceAttendCalls, LongTablesTakeSeveralLaunches) {
  Fixture fixture(kLayers[0]);
  gqa_sequence name = fixture.add();
  fixture.append({name}, {20});
  Numbers table(fixture.gpu, {1, 2500}, kI32), lengths(fixture.gpu, {1}, kI32), tokens(fixture.gpu, {1}, kI32);
  size_t before = fakecuda::getLaunches().size();
  ASSERT_EQ(gqa_cache_put_table(fixture.context.get(), fixture.cache.get(), 0, &name, 1, &table.view, &lengths.view,
                                &tokens.view),
            GQA_OK);
  fakecuda::finish();
  EXPECT_EQ(fakecuda::getLaunches().size() - before, 5u);
  int32_t pages[2] = {-1, -1};
  ASSERT_EQ(
      gqa_cache_get_table(fixture.context.get(), fixture.cache.get(), 0, &name, 1, pages, 2, nullptr, nullptr, nullptr),
      GQA_OK);
  table.download();
  lengths.download();
  tokens.download();
  EXPECT_EQ(table.values[0], pages[0]);
  EXPECT_EQ(table.values[1], pages[1]);
  EXPECT_EQ(table.values[2499], 0);
  EXPECT_EQ(lengths.values[0], 20);
  EXPECT_EQ(tokens.values[0], 20);
}

TEST_F(DeviceAttendCalls, MistakesAreNamed) {
  Fixture fixture(kLayers[0]);
  gqa_sequence first = fixture.add(), second = fixture.add();
  fixture.append({first, second}, {30, 40});
  Call call(fixture, {first, second}, {1, 2});
  int64_t needed = 0;
  ASSERT_EQ(gqa_cache_attend_workspace_size(fixture.context.get(), fixture.cache.get(), fixture.artifact.get(),
                                            "attention", 0, call.names.data(), call.counts.data(), 2, &call.arguments,
                                            &needed),
            GQA_OK);
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_EQ(fixture.message(), "gqa_cache_attend needs a workspace of " + std::to_string(needed) +
                                   " bytes, but the context has 0: see gqa_cache_attend_workspace_size, "
                                   "gqa_context_set_workspace");
  call.takeWorkspace();
  Numbers table(fixture.gpu, {2, 40}, kI32), lengths(fixture.gpu, {2}, kI32);
  call.arguments.block_table = &table.view;
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "block_table and lengths are given together");
  call.arguments.lengths = &lengths.view;
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "with a block_table of the caller's, all sequences must have as many queries");
  call.counts = {1, 1};
  call.tokens = 2;
  call.query.shape[0] = call.output.shape[0] = call.lse.shape[0] = 2;
  Numbers small(fixture.gpu, {2, 1}, kI32);
  call.arguments.block_table = &small.view;
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "block_table must have room for 3 pages, got 1");
  call.arguments.block_table = call.arguments.lengths = nullptr;
  call.output.view.byte_offset = 1;
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "output must be aligned to its elements of 2 bytes");
  call.output.view.byte_offset = 0;
  call.output.view.device = {kDLCPU, 0};
  EXPECT_EQ(call.start(), GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "output must be in memory of a CUDA device (device type 2), got device type 1");
  // A cache in the host's memory, and kernels for a device.
  gqa_cache_layer layer = {};
  layer.num_kv_heads = kKvHeads;
  layer.key_dim = kKeyDim;
  layer.value_dim = kValueDim;
  layer.key_type = layer.value_type = GQA_CACHE_F16;
  layer.storage = GQA_CACHE_PAGED;
  gqa_cache_config config = {1, &layer, 4, 64, 16};
  gqa_cache *host = nullptr;
  ASSERT_EQ(gqa_cache_create(fixture.context.get(), &config, &host), GQA_OK);
  Cache owner(host, gqa_cache_destroy);
  EXPECT_EQ(gqa_cache_attend(fixture.context.get(), host, fixture.artifact.get(), "attention", 0, nullptr, nullptr, 0,
                             &call.arguments),
            GQA_INVALID_ARGUMENT);
  EXPECT_STREQ(fixture.message(), "the cache is in CPU memory, but entry 'attention' runs on CUDA devices");
  EXPECT_EQ(gqa_cache_put_table(fixture.context.get(), host, 0, nullptr, 0, nullptr, nullptr, nullptr),
            GQA_INVALID_ARGUMENT);
}

TEST_F(DeviceAttendCalls, FailuresAreReported) {
  for (int index = 0, failed = 1; failed; ++index) {
    fakecuda::reset(withKernels());
    {
      Fixture fixture(kLayers[0]);
      gqa_sequence first = fixture.add(), second = fixture.add(), third = fixture.add();
      fixture.append({first, second, third}, {3, 4, 5});
      Call call(fixture, {first, second, third}, {1, 2, 1});
      call.takeWorkspace();
      fakecuda::finish();
      fakecuda::failAt(index, /*CUDA_ERROR_INVALID_VALUE*/ 1);
      gqa_status status = call.start();
      failed = fakecuda::hasFailed();
      fakecuda::failAt(-1, 0);
      EXPECT_EQ(status, failed ? GQA_DEVICE_ERROR : GQA_OK);
      EXPECT_EQ(std::string(fixture.message()).find("CUDA_ERROR_INVALID_VALUE") != std::string::npos, failed == 1)
          << fixture.message();
    }
    EXPECT_EQ(fakecuda::describeLeaks(), "");
    EXPECT_EQ(fakecuda::getContextDepth(), 0);
  }
}

} // namespace
