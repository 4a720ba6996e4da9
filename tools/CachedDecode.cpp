#include "tools/CachedDecode.h"

#include "tools/CacheElementTypes.h"
#include "tools/HalfFloat.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>

namespace gqa {

namespace {

/// Tokens whose keys and values a second-level cache holds: 1 MB at 8 K/V heads of 128 f16.
constexpr int64_t kShort = 256;

const std::map<std::string, std::pair<gqa_cache_type, const char *>> kTypes = {
    {"f32", {GQA_CACHE_F32, "f32"}}, {"f16", {GQA_CACHE_F16, "f16"}},       {"bf16", {GQA_CACHE_BF16, "bf16"}},
    {"i8", {GQA_CACHE_I8, "int8"}},  {"f8e4m3", {GQA_CACHE_F8E4M3, "fp8"}}, {"i4", {GQA_CACHE_I4, "int4"}}};

} // namespace

DecodeDevice::DecodeDevice(const std::shared_ptr<const cuda::Device> &device)
    : device(device), stream(device), cold(device, 4 * static_cast<size_t>(device->getL2Bytes())), begin(device),
      end(device) {}

HalfRows::HalfRows(int64_t tokens, int64_t heads, int64_t dim, const DecodeDevice *place)
    : shape{tokens, heads, dim}, buffer(ElementType::f16, tokens * heads * dim), place(place) {
  buffer.fillRandom(/*seed=*/7, 1.0f);
  tensor.data = buffer.data();
  tensor.device = {kDLCPU, 0};
  if (place) {
    size_t bytes = static_cast<size_t>(tokens * heads * dim) * sizeof(uint16_t);
    memory = cuda::Memory(place->device, bytes);
    place->stream.upload(memory.getPointer(), buffer.data(), bytes);
    place->stream.synchronize();
    tensor.data = memory.get();
    tensor.device = {kDLCUDA, place->device->getOrdinal()};
  }
  tensor.ndim = 3;
  tensor.dtype = {kDLFloat, 16, 1};
  tensor.shape = shape;
}

std::vector<float> HalfRows::read(int64_t row) {
  if (place) {
    place->stream.download(buffer.data(), memory.getPointer(), memory.getBytes());
    place->stream.synchronize();
  }
  std::vector<float> values(static_cast<size_t>(shape[1] * shape[2]));
  const auto *halves = static_cast<const uint16_t *>(buffer.data()) + row * shape[1] * shape[2];
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = fromF16(halves[i]);
  return values;
}

CachedDecode::CachedDecode(const DecodePlan &plan, const DecodeCase &layout, std::string entry,
                           const LoadedArtifact &artifact, const DecodeDevice *place)
    : plan(plan), layout(layout), entry(std::move(entry)), artifact(artifact), place(place),
      cache(nullptr, &gqa_cache_destroy) {
  if (place)
    check(gqa_context_set_stream(artifact.getContext(), place->stream.get()));
  create();
  scatterPages();
  fill();
  int64_t repeats = place || layout.window || layout.sequences > 1 ? 0 : layout.tokens / kShort;
  if (repeats > 0) {
    gqa_sequence name = 0;
    check(gqa_cache_fork(artifact.getContext(), cache.get(), sequences[0], kShort, &name));
    shortOnes.assign(static_cast<size_t>(repeats), name);
  }
  int64_t rows = std::max<int64_t>(layout.sequences, repeats);
  queries = std::make_unique<HalfRows>(rows, plan.heads, plan.headDim, place);
  output = std::make_unique<HalfRows>(rows, plan.heads, plan.headDim, place);
  if (place)
    prepareDevice();
}

CachedDecode::~CachedDecode() {
  gqa_context_set_stream(artifact.getContext(), nullptr);
  gqa_context_set_workspace(artifact.getContext(), nullptr, 0);
}

/// What an engine does before it captures a step: tables on the device, a workspace.
void CachedDecode::prepareDevice() {
  auto batch = static_cast<int32_t>(sequences.size());
  check(gqa_cache_get_table(artifact.getContext(), cache.get(), 0, sequences.data(), batch, nullptr, 0, nullptr,
                            nullptr, &tableShape[1]));
  tableShape[0] = batch;
  table = cuda::Memory(place->device, static_cast<size_t>(batch * tableShape[1]) * sizeof(int32_t));
  lengths = cuda::Memory(place->device, static_cast<size_t>(batch) * sizeof(int32_t));
  tableView.device = {kDLCUDA, place->device->getOrdinal()};
  tableView.dtype = {kDLInt, 32, 1};
  tableView.shape = tableShape;
  lengthsView = tableView;
  tableView.data = table.get();
  tableView.ndim = 2;
  lengthsView.data = lengths.get();
  lengthsView.ndim = 1;
  // A ring that keeps more than its window masks by position, and so wants to know all tokens.
  bool takesTokens = layout.slack > 0;
  check(gqa_cache_put_table(artifact.getContext(), cache.get(), 0, sequences.data(), batch, &tableView,
                            takesTokens ? nullptr : &lengthsView, takesTokens ? &lengthsView : nullptr));
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
  DLDevice device = {kDLCPU, 0};
  if (place)
    device = {kDLCUDA, place->device->getOrdinal()};
  check(gqa_cache_create_on(artifact.getContext(), &config, device, &made));
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
      append(name, i);
    }
    sequences.push_back(name);
  }
}

/// Chunks begin at different rows of the same numbers, so that no two pages of the first few thousand are alike.
void CachedDecode::append(gqa_sequence sequence, int64_t number) {
  constexpr int64_t kChunk = 256, kBegins = 61;
  HalfRows keys(kChunk + kBegins, plan.kvHeads, plan.headDim, place);
  HalfRows values(kChunk + kBegins, plan.kvHeads, plan.headDim, place);
  for (int64_t token = 0; token < layout.tokens; token += kChunk) {
    int64_t count = std::min(kChunk, layout.tokens - token);
    int64_t begin = (token / kChunk + 7 * number) % kBegins;
    keys.setTokens(count);
    keys.setBegin(begin);
    values.setTokens(count);
    values.setBegin((begin + 23) % kBegins);
    check(gqa_cache_append(artifact.getContext(), cache.get(), 0, &sequence, &count, 1, keys.get(), values.get()));
  }
  if (place)
    place->stream.synchronize(); // the tensors go
}

double CachedDecode::attend(const std::vector<gqa_sequence> &names) {
  queries->setTokens(static_cast<int64_t>(names.size()));
  output->setTokens(static_cast<int64_t>(names.size()));
  gqa_attend_arguments arguments = {};
  arguments.queries = queries->get();
  arguments.output = output->get();
  if (!place) {
    auto begin = std::chrono::steady_clock::now();
    start(names, arguments);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  if (!graph)
    capture(names, arguments);
  return place->time([&] { graph->launch(place->stream); });
}

/// The step as a CUDA graph, which reads table and lengths at each launch.
void CachedDecode::capture(const std::vector<gqa_sequence> &names, gqa_attend_arguments &arguments) {
  arguments.block_table = &tableView;
  arguments.lengths = &lengthsView;
  gqa_context *context = artifact.getContext();
  check(gqa_context_set_stream(context, place->stream.get()));
  std::vector<int64_t> counts(names.size(), 1);
  int64_t bytes = 0;
  check(gqa_cache_attend_workspace_size(context, cache.get(), artifact.getArtifact(), entry.c_str(), /*layer=*/0,
                                        names.data(), counts.data(), static_cast<int32_t>(names.size()), &arguments,
                                        &bytes));
  workspace = cuda::Memory(place->device, static_cast<size_t>(bytes));
  check(gqa_context_set_workspace(context, workspace.get(), bytes));
  graph = std::make_unique<cuda::Graph>(place->stream, [&] { start(names, arguments); });
}

void CachedDecode::start(const std::vector<gqa_sequence> &names, const gqa_attend_arguments &arguments) {
  std::vector<int64_t> counts(names.size(), 1);
  check(gqa_cache_attend(artifact.getContext(), cache.get(), artifact.getArtifact(), entry.c_str(), /*layer=*/0,
                         names.data(), counts.data(), static_cast<int32_t>(names.size()), &arguments));
}

void CachedDecode::checkResults() {
  std::set<int64_t> chosen = {0, layout.sequences - 1};
  for (int64_t sequence : chosen) {
    int64_t shape[3] = {layout.countKeys(), plan.kvHeads, plan.headDim};
    std::vector<float> rows[2];
    DLTensor views[2] = {};
    for (int i = 0; i < 2; ++i) {
      rows[i].resize(static_cast<size_t>(shape[0] * shape[1] * shape[2]));
      views[i].data = rows[i].data();
      views[i].device = {kDLCPU, 0};
      views[i].ndim = 3;
      views[i].dtype = {kDLFloat, 32, 1};
      views[i].shape = shape;
    }
    check(gqa_cache_read(artifact.getContext(), cache.get(), sequences[static_cast<size_t>(sequence)], /*layer=*/0,
                         layout.tokens - shape[0], &views[0], &views[1]));
    for (int64_t head : {int64_t(0), plan.heads - 1})
      checkRow(sequence, head, rows[0], rows[1]);
  }
}

void CachedDecode::checkRow(int64_t sequence, int64_t head, const std::vector<float> &keys,
                            const std::vector<float> &values) {
  // Values are below 1; weights and the result are rounded to f16.
  constexpr double kTolerance = 4e-3;
  int64_t dim = plan.headDim, kvHead = head / (plan.heads / plan.kvHeads);
  std::vector<float> query = queries->read(sequence), result = output->read(sequence);
  std::vector<double> expected(static_cast<size_t>(dim));
  double total = 0;
  for (int64_t n = 0; n < layout.countKeys(); ++n) {
    int64_t row = (n * plan.kvHeads + kvHead) * dim;
    double score = 0;
    for (int64_t d = 0; d < dim; ++d)
      score += static_cast<double>(query[static_cast<size_t>(head * dim + d)]) * keys[static_cast<size_t>(row + d)];
    double weight = std::exp(score / std::sqrt(static_cast<double>(dim)));
    total += weight;
    for (int64_t d = 0; d < dim; ++d)
      expected[static_cast<size_t>(d)] += weight * values[static_cast<size_t>(row + d)];
  }
  for (int64_t d = 0; d < dim; ++d) {
    double wanted = expected[static_cast<size_t>(d)] / total, got = result[static_cast<size_t>(head * dim + d)];
    if (!(std::fabs(got - wanted) <= kTolerance))
      throw std::runtime_error(layout.name + ": sequence " + std::to_string(sequence) + ", head " +
                               std::to_string(head) + ", element " + std::to_string(d) + " is " + std::to_string(got) +
                               ", not " + std::to_string(wanted));
  }
}

} // namespace gqa
