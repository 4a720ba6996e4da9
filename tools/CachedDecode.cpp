#include "tools/CachedDecode.h"

#include "tools/CacheElementTypes.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <stdexcept>

namespace gqa {

namespace {

/// Tokens whose keys and values a second-level cache holds: 1 MB at 8 K/V heads of 128 f16.
constexpr int64_t kShort = 256;

const std::map<std::string, std::pair<gqa_cache_type, const char *>> kTypes = {
    {"f32", {GQA_CACHE_F32, "f32"}}, {"f16", {GQA_CACHE_F16, "f16"}},       {"bf16", {GQA_CACHE_BF16, "bf16"}},
    {"i8", {GQA_CACHE_I8, "int8"}},  {"f8e4m3", {GQA_CACHE_F8E4M3, "fp8"}}, {"i4", {GQA_CACHE_I4, "int4"}}};

} // namespace

HalfRows::HalfRows(int64_t tokens, int64_t heads, int64_t dim)
    : shape{tokens, heads, dim}, buffer(ElementType::f16, tokens * heads * dim) {
  buffer.fillRandom(/*seed=*/7, 1.0f);
  tensor.data = buffer.data();
  tensor.device = {kDLCPU, 0};
  tensor.ndim = 3;
  tensor.dtype = {kDLFloat, 16, 1};
  tensor.shape = shape;
}

CachedDecode::CachedDecode(const DecodePlan &plan, const DecodeCase &layout, std::string entry,
                           const LoadedArtifact &artifact)
    : plan(plan), layout(layout), entry(std::move(entry)), artifact(artifact), cache(nullptr, &gqa_cache_destroy) {
  create();
  scatterPages();
  fill();
  int64_t repeats = layout.window || layout.sequences > 1 ? 0 : layout.tokens / kShort;
  if (repeats > 0) {
    gqa_sequence name = 0;
    check(gqa_cache_fork(artifact.getContext(), cache.get(), sequences[0], kShort, &name));
    shortOnes.assign(static_cast<size_t>(repeats), name);
  }
  int64_t rows = std::max<int64_t>(layout.sequences, repeats);
  queries = std::make_unique<HalfRows>(rows, plan.heads, plan.headDim);
  output = std::make_unique<HalfRows>(rows, plan.heads, plan.headDim);
}

double CachedDecode::decode() { return attend(sequences); }

double CachedDecode::decodeInCaches() {
  if (shortOnes.empty())
    throw std::runtime_error(layout.name + ": " + std::to_string(layout.tokens) + " tokens are too few for that");
  attend(shortOnes);
  double keys = static_cast<double>(shortOnes.size()) * kShort;
  return attend(shortOnes) * static_cast<double>(layout.countKeys()) / keys;
}

double CachedDecode::countBytes() const {
  int bits = cacheElementBits().at(kTypes.at(layout.type).second);
  double row = static_cast<double>(plan.headDim) * bits / 8 + (bits <= 8 ? 4 : 0);
  return 2 * row * static_cast<double>(plan.kvHeads * layout.countKeys() * countCopies());
}

void CachedDecode::check(gqa_status status) const {
  if (status != GQA_OK)
    throw std::runtime_error(layout.name + ": " + gqa_context_message(artifact.getContext()));
}

void CachedDecode::create() {
  gqa_cache_layer layer = {};
  layer.num_kv_heads = plan.kvHeads;
  layer.key_dim = layer.value_dim = plan.headDim;
  layer.key_type = layer.value_type = kTypes.at(layout.type).first;
  layer.storage = layout.window ? GQA_CACHE_RING : layout.pageSize == 0 ? GQA_CACHE_CONTIGUOUS : GQA_CACHE_PAGED;
  layer.capacity = layout.tokens;
  layer.window = layout.window;
  layer.slack = layout.slack;
  gqa_cache_config config = {};
  config.num_layers = 1;
  config.layers = &layer;
  config.page_size = static_cast<int32_t>(std::max<int64_t>(1, layout.pageSize));
  int64_t pages = layout.pageSize && !layout.window ? countCopies() * layout.tokens / layout.pageSize : 0;
  config.max_sequences = std::max(layout.sequences + 1, pages);
  config.max_tokens = countCopies() * layout.tokens + config.page_size;
  gqa_cache *made = nullptr;
  check(gqa_cache_create(artifact.getContext(), &config, &made));
  cache.reset(made);
}

/// Takes all pages and frees them in another order, as the history of a server does.
void CachedDecode::scatterPages() {
  if (layout.pageSize == 0 || layout.window)
    return;
  std::vector<gqa_sequence> names(static_cast<size_t>(countCopies() * layout.tokens / layout.pageSize));
  int64_t one = 1;
  for (gqa_sequence &name : names) {
    check(gqa_cache_add(artifact.getContext(), cache.get(), &name));
    check(gqa_cache_reserve(artifact.getContext(), cache.get(), &name, &one, 1));
  }
  uint64_t state = 1;
  for (size_t i = names.size(); i > 1; --i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::swap(names[i - 1], names[(state >> 33) % i]);
  }
  for (gqa_sequence name : names)
    check(gqa_cache_remove(artifact.getContext(), cache.get(), name));
}

void CachedDecode::fill() {
  for (int64_t i = 0; i < layout.sequences; ++i) {
    gqa_sequence name = 0;
    if (i > 0 && layout.sharesPrefix) {
      check(gqa_cache_fork(artifact.getContext(), cache.get(), sequences[0], layout.tokens, &name));
    } else {
      check(gqa_cache_add(artifact.getContext(), cache.get(), &name));
      append(name);
    }
    sequences.push_back(name);
  }
}

void CachedDecode::append(gqa_sequence sequence) {
  constexpr int64_t kChunk = 256;
  HalfRows keys(kChunk, plan.kvHeads, plan.headDim), values(kChunk, plan.kvHeads, plan.headDim);
  for (int64_t token = 0; token < layout.tokens; token += kChunk) {
    int64_t count = std::min(kChunk, layout.tokens - token);
    keys.setTokens(count);
    values.setTokens(count);
    check(gqa_cache_append(artifact.getContext(), cache.get(), 0, &sequence, &count, 1, keys.get(), values.get()));
  }
}

double CachedDecode::attend(const std::vector<gqa_sequence> &names) {
  std::vector<int64_t> counts(names.size(), 1);
  queries->setTokens(static_cast<int64_t>(names.size()));
  output->setTokens(static_cast<int64_t>(names.size()));
  gqa_attend_arguments arguments = {};
  arguments.queries = queries->get();
  arguments.output = output->get();
  auto start = std::chrono::steady_clock::now();
  check(gqa_cache_attend(artifact.getContext(), cache.get(), artifact.getArtifact(), entry.c_str(), /*layer=*/0,
                         names.data(), counts.data(), static_cast<int32_t>(names.size()), &arguments));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

} // namespace gqa
