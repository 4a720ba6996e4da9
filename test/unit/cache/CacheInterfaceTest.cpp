// The C interface of the cache and of merging.

#include "runtime/cache/NarrowFloat.h"
#include "runtime/gqa.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <unistd.h>
#include <vector>

namespace {

/// A tensor that owns its elements.
template <typename Element> struct Tensor {
  explicit Tensor(std::vector<int64_t> extents) : shape(std::move(extents)) {
    size_t size = 1;
    for (int64_t extent : shape)
      size *= static_cast<size_t>(extent);
    data.resize(size);
    tensor.data = data.data();
    tensor.device = {kDLCPU, 0};
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = {kDLFloat, 8 * sizeof(Element), 1};
    tensor.shape = shape.data();
  }
  Tensor(std::vector<int64_t> extents, std::vector<Element> elements) : Tensor(std::move(extents)) {
    std::copy(elements.begin(), elements.end(), data.begin());
  }
  Tensor(const Tensor &) = delete;

  DLTensor *get() { return &tensor; }

  std::vector<int64_t> shape;
  std::vector<Element> data;
  DLTensor tensor = {};
};

struct Memory {
  int64_t taken = 0, pieces = 0;
  bool isOut = false;
};

class CacheInterface : public ::testing::Test {
protected:
  void SetUp() override {
    gqa_options options = {};
    options.state = &memory;
    options.allocate = [](void *state, int64_t bytes, int64_t alignment) -> void * {
      auto *memory = static_cast<Memory *>(state);
      if (memory->isOut)
        return nullptr;
      memory->taken += bytes;
      ++memory->pieces;
      return std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(bytes));
    };
    options.deallocate = [](void *state, void *pointer) {
      --static_cast<Memory *>(state)->pieces;
      std::free(pointer);
    };
    context = gqa_context_create(&options);
    ASSERT_NE(context, nullptr);

    layers.resize(2);
    layers[0].num_kv_heads = 2;
    layers[0].key_dim = 4;
    layers[0].value_dim = 2;
    layers[0].key_type = layers[0].value_type = GQA_CACHE_F32;
    layers[0].storage = GQA_CACHE_PAGED;
    layers[1] = layers[0];
    layers[1].key_type = GQA_CACHE_I8;
    layers[1].storage = GQA_CACHE_RING;
    layers[1].window = 5;
    layers[1].sinks = 1;
    layers[1].rotary.dim = 4;
    layers[1].rotary.theta = 10000;
    config.num_layers = 2;
    config.layers = layers.data();
    config.max_sequences = 2;
    config.max_tokens = 40;
    config.page_size = 4;
  }
  void TearDown() override {
    gqa_cache_destroy(cache);
    gqa_context_destroy(context);
    EXPECT_EQ(memory.pieces, 0);
  }

  void create() { ASSERT_EQ(gqa_cache_create(context, &config, &cache), GQA_OK) << gqa_context_message(context); }

  /// Appends `count` tokens with elements start, start + 0.1, ...
  gqa_status append(int32_t layer, gqa_sequence sequence, int64_t count, float start) {
    Tensor<float> keys({count, 2, 4}), values({count, 2, 2});
    for (size_t i = 0; i < keys.data.size(); ++i)
      keys.data[i] = start + 0.1f * static_cast<float>(i);
    for (size_t i = 0; i < values.data.size(); ++i)
      values.data[i] = -start - 0.1f * static_cast<float>(i);
    return gqa_cache_append(context, cache, layer, &sequence, &count, 1, keys.get(), values.get());
  }

  void expectRefused(gqa_status status, gqa_status wanted, const std::string &message) {
    EXPECT_EQ(status, wanted);
    EXPECT_EQ(gqa_context_message(context), message);
  }

  Memory memory;
  gqa_context *context = nullptr;
  gqa_cache *cache = nullptr;
  std::vector<gqa_cache_layer> layers;
  gqa_cache_config config = {};
};

TEST_F(CacheInterface, MemoryComesFromTheContextsAllocator) {
  create();
  EXPECT_EQ(gqa_cache_bytes(cache), memory.taken);
  EXPECT_GT(memory.taken, 40 * 2 * (4 + 2) * 4);
  EXPECT_EQ(memory.pieces, 2 + 3) << "rows of keys and values, and scales of the quantised keys";
  gqa_cache_destroy(cache);
  EXPECT_EQ(memory.pieces, 0);
  cache = nullptr;
  memory.isOut = true;
  expectRefused(gqa_cache_create(context, &config, &cache), GQA_OUT_OF_MEMORY, "out of memory");
  EXPECT_EQ(cache, nullptr);
}

TEST_F(CacheInterface, AppendedTokensAreRead) {
  create();
  gqa_sequence sequence = 0;
  ASSERT_EQ(gqa_cache_add(context, cache, &sequence), GQA_OK);
  ASSERT_EQ(append(0, sequence, 7, 1.0f), GQA_OK) << gqa_context_message(context);
  int64_t length = 0;
  ASSERT_EQ(gqa_cache_length(context, cache, sequence, 0, &length), GQA_OK);
  EXPECT_EQ(length, 7);
  Tensor<float> keys({2, 2, 4}), values({2, 2, 2});
  ASSERT_EQ(gqa_cache_read(context, cache, sequence, 0, 5, keys.get(), values.get()), GQA_OK);
  EXPECT_FLOAT_EQ(keys.data[0], 1.0f + 0.1f * 40);
  EXPECT_FLOAT_EQ(keys.data[15], 1.0f + 0.1f * 55);
  EXPECT_FLOAT_EQ(values.data[7], -1.0f - 0.1f * 27);
  expectRefused(gqa_cache_read(context, cache, sequence, 0, 6, keys.get(), nullptr), GQA_INVALID_ARGUMENT,
                "keys: 2 tokens from 6 on are not among the 7 of the sequence");
}

TEST_F(CacheInterface, TheViewLeadsToTheRows) {
  create();
  gqa_sequence sequences[2];
  for (gqa_sequence &sequence : sequences)
    ASSERT_EQ(gqa_cache_add(context, cache, &sequence), GQA_OK);
  for (int32_t layer : {0, 1}) {
    ASSERT_EQ(append(layer, sequences[0], 3, 1.0f), GQA_OK);
    ASSERT_EQ(append(layer, sequences[1], 13, 2.0f), GQA_OK);
    gqa_cache_view view;
    ASSERT_EQ(gqa_cache_get_view(context, cache, layer, &view), GQA_OK);
    int64_t needed = 0;
    ASSERT_EQ(gqa_cache_get_table(context, cache, layer, sequences, 2, nullptr, 0, nullptr, nullptr, &needed), GQA_OK);
    EXPECT_EQ(needed, layer == 0 ? 4 : 2);
    std::vector<int32_t> table(static_cast<size_t>(2 * needed), -1), kvLengths(2);
    std::vector<int64_t> lengths(2);
    ASSERT_EQ(gqa_cache_get_table(context, cache, layer, sequences, 2, table.data(), needed, kvLengths.data(),
                                  lengths.data(), nullptr),
              GQA_OK);
    EXPECT_EQ(lengths, (std::vector<int64_t>{3, 13}));
    EXPECT_EQ(kvLengths, layer == 0 ? (std::vector<int32_t>{3, 13}) : (std::vector<int32_t>{3, 6}));
    EXPECT_EQ(view.ring_slots, layer == 0 ? 0 : 5);
    EXPECT_EQ(view.keys.scales != nullptr, layer == 1);

    // Position 12 of the second sequence, head 1, by hand; and what the library reads.
    int64_t slot = layer == 0 ? 12 : view.sinks + (12 - view.sinks) % view.ring_slots;
    int64_t page = table[static_cast<size_t>(needed + slot / view.page_size)];
    ASSERT_TRUE(page >= 0 && page < view.num_pages);
    int64_t row = page * view.keys.page_stride + view.keys.head_stride + slot % view.page_size * view.keys.token_stride;
    int64_t scale = page * view.keys.scale_page_stride + view.keys.scale_head_stride + slot % view.page_size;
    Tensor<float> keys({1, 2, 4}), values({1, 2, 2});
    ASSERT_EQ(gqa_cache_read(context, cache, sequences[1], layer, 12, keys.get(), values.get()), GQA_OK);
    for (int64_t d = 0; d < 4; ++d) {
      float key = layer == 0 ? static_cast<const float *>(view.keys.data)[row + d]
                             : view.keys.scales[scale] *
                                   static_cast<float>(static_cast<const int8_t *>(view.keys.data)[row + d]);
      EXPECT_EQ(key, keys.data[static_cast<size_t>(4 + d)]);
    }
    int64_t valueRow =
        page * view.values.page_stride + view.values.head_stride + slot % view.page_size * view.values.token_stride;
    EXPECT_EQ(static_cast<const float *>(view.values.data)[valueRow + 1], values.data[3]);

    EXPECT_EQ(gqa_cache_get_table(context, cache, layer, sequences, 2, table.data(), 1, nullptr, nullptr, &needed),
              GQA_INVALID_ARGUMENT);
    EXPECT_EQ(gqa_context_message(context),
              "rows of the table must have room for " + std::to_string(needed) + " pages, got 1");
  }
}

TEST_F(CacheInterface, QueriesRotateAsKeysDo) {
  layers[1].key_type = GQA_CACHE_F32;
  create();
  gqa_sequence sequence = 0;
  ASSERT_EQ(gqa_cache_add(context, cache, &sequence), GQA_OK);
  ASSERT_EQ(append(1, sequence, 4, 1.0f), GQA_OK);
  Tensor<float> rotated({1, 2, 4}), rows({1, 2, 4});
  ASSERT_EQ(gqa_cache_read(context, cache, sequence, 1, 3, rotated.get(), nullptr), GQA_OK);
  for (size_t i = 0; i < rows.data.size(); ++i)
    rows.data[i] = 1.0f + 0.1f * static_cast<float>(24 + i);
  const int64_t position = 3;
  ASSERT_EQ(gqa_cache_rotate(context, cache, 1, &position, rows.get()), GQA_OK);
  EXPECT_EQ(rows.data, rotated.data);
  Tensor<uint16_t> half({1, 1, 4}, {0x3c00, 0, 0, 0});
  ASSERT_EQ(gqa_cache_rotate(context, cache, 1, &position, half.get()), GQA_OK);
  EXPECT_NEAR(gqa::cache::fromHalf(half.data[0]), std::cos(3.0), 1e-3);
}

TEST_F(CacheInterface, SequencesForkTruncateSaveAndLoad) {
  create();
  gqa_sequence a = 0, b = 0, c = 0;
  const int64_t five = 5;
  ASSERT_EQ(gqa_cache_add(context, cache, &a), GQA_OK);
  ASSERT_EQ(gqa_cache_reserve(context, cache, &a, &five, 1), GQA_OK);
  ASSERT_EQ(append(0, a, 5, 1.0f), GQA_OK);
  ASSERT_EQ(append(1, a, 5, 1.0f), GQA_OK);
  ASSERT_EQ(gqa_cache_fork(context, cache, a, 3, &b), GQA_OK);
  ASSERT_EQ(append(0, b, 1, 9.0f), GQA_OK);
  ASSERT_EQ(gqa_cache_truncate(context, cache, a, 4), GQA_OK);
  Tensor<float> keysA({1, 2, 4}), keysB({1, 2, 4});
  ASSERT_EQ(gqa_cache_read(context, cache, a, 0, 3, keysA.get(), nullptr), GQA_OK);
  ASSERT_EQ(gqa_cache_read(context, cache, b, 0, 3, keysB.get(), nullptr), GQA_OK);
  EXPECT_FLOAT_EQ(keysA.data[0], 3.4f);
  EXPECT_FLOAT_EQ(keysB.data[0], 9.0f);

  std::string path = ::testing::TempDir() + "gqa-interface-" + std::to_string(getpid());
  ASSERT_EQ(gqa_cache_save(context, cache, a, path.c_str()), GQA_OK);
  ASSERT_EQ(gqa_cache_remove(context, cache, b), GQA_OK);
  ASSERT_EQ(gqa_cache_load(context, cache, path.c_str(), &c), GQA_OK) << gqa_context_message(context);
  unlink(path.c_str());
  ASSERT_EQ(gqa_cache_read(context, cache, c, 0, 3, keysB.get(), nullptr), GQA_OK);
  EXPECT_EQ(keysA.data, keysB.data);
  EXPECT_EQ(gqa_cache_load(context, cache, path.c_str(), &c), GQA_NOT_FOUND);
}

TEST_F(CacheInterface, WrongArgumentsAreNamed) {
  gqa_sequence sequence = 0;
  const int64_t two = 2;
  config.page_size = 3;
  expectRefused(gqa_cache_create(context, &config, &cache), GQA_INVALID_ARGUMENT,
                "page size must be a power of two, got 3");
  config.page_size = 4;
  config.num_layers = -1;
  expectRefused(gqa_cache_create(context, &config, &cache), GQA_INVALID_ARGUMENT,
                "number of layers must not be negative, got -1");
  config.num_layers = 2;
  expectRefused(gqa_cache_create(context, nullptr, &cache), GQA_INVALID_ARGUMENT, "config and cache must not be null");
  EXPECT_EQ(gqa_cache_create(nullptr, &config, &cache), GQA_INVALID_ARGUMENT);
  create();
  expectRefused(gqa_cache_add(context, nullptr, &sequence), GQA_INVALID_ARGUMENT,
                "cache and sequence must not be null");
  ASSERT_EQ(gqa_cache_add(context, cache, &sequence), GQA_OK);

  Tensor<float> keys({2, 2, 4}), values({2, 2, 2}), wrong({2, 2, 3});
  auto append = [&](DLTensor *k, DLTensor *v) { return gqa_cache_append(context, cache, 0, &sequence, &two, 1, k, v); };
  expectRefused(append(nullptr, values.get()), GQA_INVALID_ARGUMENT, "keys must not be null");
  expectRefused(append(wrong.get(), values.get()), GQA_INVALID_ARGUMENT,
                "keys must have shape [2, 2, 4], got [2, 2, 3]");
  expectRefused(append(keys.get(), wrong.get()), GQA_INVALID_ARGUMENT,
                "values must have shape [2, 2, 2], got [2, 2, 3]");
  keys.tensor.dtype.bits = 64;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT, "keys must be f32, f16 or bf16, got f64");
  keys.tensor.dtype.bits = 32;
  keys.tensor.device.device_type = kDLCUDA;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT,
                "keys must be in CPU memory (device type 1), got device type 2");
  keys.tensor.device.device_type = kDLCPU;
  int64_t strides[] = {16, 8, 2};
  keys.tensor.strides = strides;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT, "keys: the innermost stride must be 1, got 2");
  keys.tensor.strides = nullptr;
  keys.tensor.byte_offset = 2;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT,
                "keys must be aligned to its elements of 4 bytes");
  keys.tensor.byte_offset = 0;
  keys.tensor.data = nullptr;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT, "keys has no data");
  keys.tensor.data = keys.data.data();
  keys.tensor.strides = strides;
  std::copy_n(std::begin({INT64_MAX, int64_t(8), int64_t(1)}), 3, strides);
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT, "keys is larger than any memory: [2, 2, 4]");
  std::copy_n(std::begin({int64_t(0), int64_t(4), int64_t(1)}), 3, strides);
  const int64_t positions[] = {0, 1};
  expectRefused(gqa_cache_rotate(context, cache, 0, positions, keys.get()), GQA_INVALID_ARGUMENT,
                "rows cannot be written: its 2 elements of dimension 0 are one");
  EXPECT_EQ(append(keys.get(), values.get()), GQA_OK) << "rows that are read may be broadcast";
  ASSERT_EQ(gqa_cache_truncate(context, cache, sequence, 0), GQA_OK);
  keys.tensor.strides = nullptr;
  keys.tensor.ndim = INT32_MAX;
  expectRefused(append(keys.get(), values.get()), GQA_INVALID_ARGUMENT,
                "keys must have a rank from 0 to 16, got 2147483647");
  keys.tensor.ndim = 3;
  expectRefused(gqa_cache_read(context, cache, sequence, 0, INT64_MAX, keys.get(), nullptr), GQA_INVALID_ARGUMENT,
                "keys: 2 tokens from 9223372036854775807 on are not among the 0 of the sequence");
  const gqa_sequence both[] = {sequence, sequence};
  int32_t table = 0; // of sequences without pages nothing is written, whatever a row's size
  EXPECT_EQ(gqa_cache_get_table(context, cache, 0, both, 2, &table, INT64_MAX, nullptr, nullptr, nullptr), GQA_OK);
  expectRefused(gqa_cache_append(context, cache, 2, &sequence, &two, 1, keys.get(), values.get()), GQA_INVALID_ARGUMENT,
                "layer must be less than 2, got 2");
  expectRefused(gqa_cache_append(context, cache, 0, nullptr, &two, 1, keys.get(), values.get()), GQA_INVALID_ARGUMENT,
                "sequences must not be null");
  expectRefused(gqa_cache_remove(context, cache, 5), GQA_NOT_FOUND, "there is no sequence 5");
  EXPECT_EQ(append(keys.get(), values.get()), GQA_OK);
}

TEST_F(CacheInterface, MergesOverStridesAndInPlace) {
  const float infinity = std::numeric_limits<float>::infinity();
  Tensor<float> first({2, 3}, {1, 2, 3, 4, 5, 6}), firstLse({2}, {0, -infinity});
  Tensor<float> second({2, 3}, {3, 4, 5, 7, 8, 9}), secondLse({2}, {0, 1});
  const DLTensor *outputs[] = {first.get(), second.get()}, *lses[] = {firstLse.get(), secondLse.get()};
  ASSERT_EQ(gqa_merge(context, outputs, lses, 2, first.get(), firstLse.get()), GQA_OK) << gqa_context_message(context);
  EXPECT_EQ(first.data, (std::vector<float>{2, 3, 4, 7, 8, 9}));
  EXPECT_FLOAT_EQ(firstLse.data[0], std::log(2.0f));
  EXPECT_EQ(firstLse.data[1], 1);

  // The same rows, stored in columns apart.
  Tensor<float> apart({2, 3, 1});
  int64_t strides[] = {1, 2, 1};
  apart.tensor.strides = strides;
  Tensor<float> rows({2, 3, 1}, {1, 2, 3, 4, 5, 6}), lse({2, 3}), rowLse({2, 3}, {1, 1, 1, 1, 1, 1});
  outputs[0] = rows.get();
  lses[0] = rowLse.get();
  ASSERT_EQ(gqa_merge(context, outputs, lses, 1, apart.get(), lse.get()), GQA_OK) << gqa_context_message(context);
  EXPECT_EQ(apart.data, (std::vector<float>{1, 4, 2, 5, 3, 6}));

  expectRefused(gqa_merge(context, outputs, lses, 2, apart.get(), lse.get()), GQA_INVALID_ARGUMENT,
                "output of part 1 must have shape [2, 3, 1], got [2, 3]");
  expectRefused(gqa_merge(context, outputs, nullptr, 2, apart.get(), lse.get()), GQA_INVALID_ARGUMENT,
                "outputs and lses of 2 parts must not be null");
}

} // namespace
