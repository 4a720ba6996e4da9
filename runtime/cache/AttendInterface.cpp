// gqa_cache_attend: one call for the decoding steps and prompt chunks of many sequences. Sequences with equally many
// queries make one call of the artifact's entry, so what a sequence gets does not depend on who is beside it.

#include "runtime/Artifact.h"
#include "runtime/Context.h"
#include "runtime/cache/PackedRows.h"
#include "runtime/cache/TensorArgument.h"
#include "runtime/gqa_cache.h"

#include <algorithm>
#include <map>

namespace gqa::cache {

namespace {

/// What gqa-compile calls the elements of a cache.
const char *getTypeName(int32_t type) {
  constexpr const char *kNames[] = {"f32", "f16", "bf16", "i8", "f8E4M3FN", "i8"};
  return kNames[type];
}

bool lists(const AttentionOperand &operand, const char *dim) {
  return std::find(operand.dims.begin(), operand.dims.end(), dim) != operand.dims.end();
}

/// An extent and a stride, in elements, for each name of a dimension.
using Layout = std::map<std::string, std::pair<int64_t, int64_t>>;

/// A DLTensor and what it points to.
struct Tensor {
  Tensor(void *data, DLDataType type, const AttentionOperand &operand, const Layout &layout) {
    for (const std::string &dim : operand.dims) {
      auto [extent, stride] = layout.at(dim);
      shape.push_back(extent);
      strides.push_back(stride);
    }
    dl.data = data;
    dl.device = {kDLCPU, 0};
    dl.ndim = static_cast<int32_t>(shape.size());
    dl.dtype = type;
    dl.shape = shape.data();
    dl.strides = strides.data();
  }
  Tensor(Tensor &&) = default; // moves keep what shape and strides point to

  std::vector<int64_t> shape, strides;
  DLTensor dl = {};
};

constexpr DLDataType kI32 = {kDLInt, 32, 1}, kByte = {kDLInt, 8, 1}, kF32 = {kDLFloat, 32, 1};

DLDataType getDLType(const std::string &name) {
  if (name == "f32")
    return kF32;
  if (name == "f16")
    return {kDLFloat, 16, 1};
  return name == "bf16" ? DLDataType{kDLBfloat, 16, 1} : kByte;
}

/// An entry that attends to a layer, checked.
class LayerEntry {
public:
  LayerEntry(const EntryDescription &entry, const gqa_cache_view &view, int32_t layer)
      : entry(entry), view(view), layer(layer) {
    static const char *const known[] = {"query",     "key",         "value",  "kv_len", "block_table",
                                        "key_scale", "value_scale", "length", "sink",   "mask"};
    if (!entry.attention || !entry.attention->arguments.count("block_table"))
      refuse("does not attend to a KV cache (gqa-compile --for-cache makes entries that do)");
    for (const auto &[name, operand] : entry.attention->arguments)
      if (std::find(std::begin(known), std::end(known), name) == std::end(known))
        refuse("takes '" + name + "', which a cache does not have");
    if (entry.attention->arguments.size() != entry.arguments.size())
      refuse("takes arguments that are no operands of its attention");
    checkRows("key", view.keys, "dqk", "dqk2");
    checkRows("value", view.values, "dv", "dv2");
    checkRing();
  }

  const AttentionOperand *find(const std::string &name) const {
    auto it = entry.attention->arguments.find(name);
    return it == entry.attention->arguments.end() ? nullptr : &it->second;
  }
  const AttentionOperand *findResult(const std::string &name) const {
    auto it = entry.attention->results.find(name);
    return it == entry.attention->results.end() ? nullptr : &it->second;
  }
  const std::string &getType(const AttentionOperand &operand) const { return entry.arguments[operand.index].type; }
  const std::string &getOutputType() const { return entry.results[findResult("output")->index].type; }
  bool takesRows() const { return lists(*find("query"), "m"); }

  /// The static extent of `dim` of `operand`, or -1.
  int64_t getExtent(const AttentionOperand &operand, const char *dim) const {
    for (size_t i = 0; i < operand.dims.size(); ++i)
      if (operand.dims[i] == dim)
        return entry.arguments[operand.index].shape[i].extent.value_or(-1);
    return -1;
  }

  [[noreturn]] void refuse(const std::string &what) const {
    fail(GQA_INVALID_ARGUMENT, "entry '" + entry.name + "' " + what);
  }

  const EntryDescription &entry;

private:
  void require(bool holds, const std::string &stored, const std::string &taken) const {
    if (!holds)
      fail(GQA_INVALID_ARGUMENT,
           "layer " + std::to_string(layer) + " stores " + stored + ", but entry '" + entry.name + "' takes " + taken);
  }
  void requireExtent(const std::string &what, int64_t stored, int64_t taken) const {
    require(taken < 0 || stored == taken, what + " " + std::to_string(stored), std::to_string(taken));
  }

  void checkRows(const std::string &name, const gqa_cache_pages &pages, const char *row, const char *packedRow) const {
    const AttentionOperand &operand = *find(name);
    bool isPacked = pages.type == GQA_CACHE_I4;
    auto describe = [&](const std::string &type, bool packed) { return name + "s of " + (packed ? "i4" : type); };
    require(getType(operand) == getTypeName(pages.type) && lists(operand, packedRow) == isPacked,
            describe(getTypeName(pages.type), isPacked), describe(getType(operand), lists(operand, packedRow)));
    requireExtent("a " + name + " dim of", isPacked ? pages.dim / 2 : pages.dim,
                  getExtent(operand, isPacked ? packedRow : row));
    int64_t heads = lists(operand, "hkv") ? getExtent(operand, "hkv") : 1;
    requireExtent("a number of K/V heads of", view.num_kv_heads, heads);
    requireExtent("pages of", view.page_size, getExtent(operand, "slot"));
    const AttentionOperand *scale = find(name + "_scale");
    const char *stored = pages.scales           ? "with a scale per token"
                         : pages.channel_scales ? "with a scale per channel"
                                                : "without scales";
    const char *taken = !scale                  ? "without scales"
                        : lists(*scale, "slot") ? "with a scale per token"
                                                : "with a scale per channel";
    require(std::string(stored) == taken, name + "s " + stored, std::string("them ") + taken);
  }

  void checkRing() const {
    const AttentionDescription &attention = *entry.attention;
    auto print = [](bool isRing, int64_t sinks, int64_t slots) {
      return isRing ? "a ring of " + std::to_string(sinks) + " sinks and " + std::to_string(slots) + " slots"
                    : std::string("all tokens");
    };
    bool isRing = view.ring_slots > 0, takesRing = attention.ringSlots.has_value();
    int64_t sinks = attention.ringSinks.value_or(0), slots = attention.ringSlots.value_or(0);
    require(isRing == takesRing && (!isRing || (sinks == view.sinks && slots == view.ring_slots)),
            print(isRing, view.sinks, view.ring_slots), print(takesRing, sinks, slots));
  }

  const gqa_cache_view &view;
  int32_t layer;
};

/// One call of gqa_cache_attend.
class Attend {
public:
  Attend(gqa_context &context, const gqa_cache *cache, const gqa_artifact &artifact, const std::string &entry,
         int32_t layer)
      : context(context), cache(cache), artifact(artifact), layer(layer) {
    pass(gqa_cache_get_view(&context, cache, layer, &view));
    general.emplace(artifact.getEntry(entry), view, layer);
    if (const EntryDescription *decode = artifact.findEntry(entry + "_decode"))
      this->decode.emplace(*decode, view, layer);
  }

  void setRows(const gqa_attend_arguments &arguments) {
    const AttentionOperand &query = *general->find("query");
    group = std::max<int64_t>(1, general->getExtent(query, "g"));
    int64_t heads = view.num_kv_heads * group;
    queries.emplace(arguments.queries, "queries", std::vector<int64_t>{-1, heads, view.keys.dim});
    int64_t tokens = queries->getTokens();
    output.emplace(arguments.output, "output", std::vector<int64_t>{tokens, heads, view.values.dim});
    if (arguments.lse)
      lse.emplace(arguments.lse, "lse", std::vector<int64_t>{tokens, heads});
    if (arguments.mask)
      mask.emplace(arguments.mask, "mask", std::vector<int64_t>{tokens, -1});
    sinks = arguments.sinks;
    queries->requireType(general->getType(query));
    output->requireType(general->getOutputType());
    if (lse)
      lse->requireType("f32");
    if (mask)
      mask->requireType("i8");
    requireBoth(mask.has_value(), general->find("mask"), "mask");
    requireBoth(sinks != nullptr, general->find("sink"), "sinks");
  }

  void run(const gqa_sequence *sequences, const int64_t *counts, int32_t numSequences) {
    std::map<int64_t, std::vector<Member>> groups; // by the number of queries
    int64_t first = 0;
    for (int32_t i = 0; i < numSequences; first += counts[i], ++i) {
      checkCount(sequences[i], counts[i]);
      if (counts[i] > queries->getTokens() - first)
        fail(GQA_INVALID_ARGUMENT,
             "queries have " + std::to_string(queries->getTokens()) + " tokens, but the counts make more");
      if (counts[i] > 0)
        groups[counts[i]].push_back({sequences[i], first});
    }
    if (first != queries->getTokens())
      fail(GQA_INVALID_ARGUMENT, "queries have " + std::to_string(queries->getTokens()) +
                                     " tokens, but the counts make " + std::to_string(first));
    for (const auto &[count, members] : groups)
      runGroup(count, members);
  }

private:
  struct Member {
    gqa_sequence sequence;
    int64_t firstRow;
  };

  /// Passes on what went wrong in a call of the C interface.
  void pass(gqa_status status) {
    if (status != GQA_OK)
      fail(status, std::string(context.message));
  }

  void requireBoth(bool isGiven, const AttentionOperand *operand, const char *what) {
    if (isGiven != (operand != nullptr))
      general->refuse(operand ? std::string("needs ") + what : std::string("takes no ") + what);
  }

  /// Queries are the last tokens of their sequence.
  void checkCount(gqa_sequence sequence, int64_t count) {
    int64_t length = 0;
    pass(gqa_cache_length(&context, cache, sequence, layer, &length));
    if (count < 0 || count > length)
      fail(GQA_INVALID_ARGUMENT, "sequence " + std::to_string(sequence) + " has " + std::to_string(length) +
                                     " tokens in layer " + std::to_string(layer) + ", so not " + std::to_string(count) +
                                     " last queries");
    bool hasOverwritten = view.ring_slots > 0 && length > view.sinks + view.ring_slots;
    if (hasOverwritten && count > view.slack + 1)
      fail(GQA_INVALID_ARGUMENT, "sequence " + std::to_string(sequence) + " asks with " + std::to_string(count) +
                                     " tokens, but the ring of layer " + std::to_string(layer) +
                                     " keeps the windows of the last " + std::to_string(view.slack + 1));
  }

  void runGroup(int64_t count, const std::vector<Member> &members) {
    const LayerEntry &entry = count == 1 && decode ? *decode : *general;
    if (count != 1 && !entry.takesRows())
      entry.refuse("takes one query per sequence, got " + std::to_string(count));
    std::vector<int64_t> firstRows;
    std::vector<gqa_sequence> names;
    for (const Member &member : members) {
      firstRows.push_back(member.firstRow);
      names.push_back(member.sequence);
    }
    auto batch = static_cast<int64_t>(members.size());

    Inputs inputs(entry.entry.arguments.size());
    RowGroup queryRows(*queries, firstRows, count);
    queryRows.gather();
    inputs.add(entry.find("query"), queryRows.getData(), getDLType(entry.getType(*entry.find("query"))),
               getRowLayout(queryRows, "dqk", view.keys.dim));
    addPages(inputs, entry, "key", view.keys, "dqk", "dqk2");
    addPages(inputs, entry, "value", view.values, "dv", "dv2");
    addTables(inputs, entry, names);
    std::optional<RowGroup> maskRows;
    if (mask) {
      maskRows.emplace(*mask, firstRows, count);
      maskRows->gather();
      inputs.add(entry.find("mask"), maskRows->getData(), kByte,
                 {{"b", {batch, maskRows->getSequenceStride()}},
                  {"m", {count, maskRows->getRowStride()}},
                  {"n", {mask->getShape()[1], 1}}});
    }
    if (sinks)
      addSinks(inputs, entry);

    std::vector<Tensor> results;
    RowGroup outputRows(*output, firstRows, count);
    results.emplace_back(outputRows.getData(), getDLType(entry.getOutputType()), *entry.findResult("output"),
                         getRowLayout(outputRows, "dv", view.values.dim));
    std::vector<float> unusedLse;
    std::optional<RowGroup> lseRows;
    if (const AttentionOperand *operand = entry.findResult("lse")) {
      if (lse) {
        lseRows.emplace(*lse, firstRows, count);
        results.emplace_back(lseRows->getData(), kF32, *operand, getRowLayout(*lseRows, "", 0));
      } else {
        int64_t heads = view.num_kv_heads * group;
        unusedLse.resize(static_cast<size_t>(batch * count * heads));
        Layout layout = {{"b", {batch, count * heads}},
                         {"m", {count, heads}},
                         {"hkv", {view.num_kv_heads, group}},
                         {"g", {group, 1}}};
        results.emplace_back(unusedLse.data(), kF32, *operand, layout);
      }
    } else if (lse) {
      entry.refuse("gives no lse");
    }
    call(entry, inputs, results);
    outputRows.scatter();
    if (lseRows)
      lseRows->scatter();
  }

  /// The inputs of one entry, in its order.
  struct Inputs {
    explicit Inputs(size_t size) : tensors(size) {}
    void add(const AttentionOperand *operand, void *data, DLDataType type, const Layout &layout) {
      tensors[operand->index] = std::make_unique<Tensor>(data, type, *operand, layout);
    }
    std::vector<std::unique_ptr<Tensor>> tensors;
    std::vector<int32_t> table, lengths;
  };

  /// Rows of heads: query head h is head h mod G of K/V head h / G.
  Layout getRowLayout(const RowGroup &rows, const char *inner, int64_t extent) const {
    int64_t head = rows.getHeadStride();
    return {{"b", {rows.getNumSequences(), rows.getSequenceStride()}},
            {"m", {rows.getCount(), rows.getRowStride()}},
            {"hkv", {view.num_kv_heads, group * head}},
            {"g", {group, head}},
            {inner, {extent, 1}}};
  }

  void addPages(Inputs &inputs, const LayerEntry &entry, const std::string &name, const gqa_cache_pages &pages,
                const char *row, const char *packedRow) {
    int64_t elements = pages.type == GQA_CACHE_I4 ? 2 : 1; // of a unit of the tensor
    Layout layout = {{"page", {view.num_pages, pages.page_stride / elements}},
                     {"hkv", {view.num_kv_heads, pages.head_stride / elements}},
                     {"slot", {view.page_size, pages.token_stride / elements}},
                     {row, {pages.dim, 1}},
                     {packedRow, {pages.dim / 2, 1}}};
    const AttentionOperand *operand = entry.find(name), *scale = entry.find(name + "_scale");
    inputs.add(operand, pages.data, getDLType(entry.getType(*operand)), layout);
    if (!scale)
      return;
    Layout perToken = {{"page", {view.num_pages, pages.scale_page_stride}},
                       {"hkv", {view.num_kv_heads, pages.scale_head_stride}},
                       {"slot", {view.page_size, 1}}};
    Layout perChannel = {{"hkv", {view.num_kv_heads, pages.dim}}, {row, {pages.dim, 1}}};
    inputs.add(scale, const_cast<float *>(pages.scales ? pages.scales : pages.channel_scales), kF32,
               pages.scales ? perToken : perChannel);
  }

  void addTables(Inputs &inputs, const LayerEntry &entry, const std::vector<gqa_sequence> &names) {
    auto batch = static_cast<int32_t>(names.size());
    int64_t blocks = 1;
    pass(gqa_cache_get_table(&context, cache, layer, names.data(), batch, nullptr, 0, nullptr, nullptr, &blocks));
    inputs.table.assign(static_cast<size_t>(batch * blocks), 0);
    inputs.lengths.resize(static_cast<size_t>(batch));
    std::vector<int64_t> lengths(static_cast<size_t>(batch));
    pass(gqa_cache_get_table(&context, cache, layer, names.data(), batch, inputs.table.data(), blocks,
                             inputs.lengths.data(), lengths.data(), nullptr));
    for (size_t i = 0; mask && i < names.size(); ++i)
      if (inputs.lengths[i] > mask->getShape()[1])
        fail(GQA_INVALID_ARGUMENT, "mask has " + std::to_string(mask->getShape()[1]) + " keys, but sequence " +
                                       std::to_string(names[i]) + " stores " + std::to_string(inputs.lengths[i]) +
                                       " in layer " + std::to_string(layer));
    Layout layout = {{"b", {batch, blocks}}, {"block", {blocks, 1}}};
    inputs.add(entry.find("block_table"), inputs.table.data(), kI32, layout);
    const AttentionOperand *length = entry.find("length");
    if (length)
      for (size_t i = 0; i < lengths.size(); ++i)
        inputs.lengths[i] = static_cast<int32_t>(std::min<int64_t>(lengths[i], INT32_MAX));
    const AttentionOperand *operand = length ? length : entry.find("kv_len");
    if (!operand)
      entry.refuse("takes neither kv_len nor length");
    inputs.add(operand, inputs.lengths.data(), kI32, {{"b", {batch, 1}}});
  }

  void addSinks(Inputs &inputs, const LayerEntry &entry) {
    TensorArgument argument(sinks, "sinks", {view.num_kv_heads * group}, /*allowsHalf=*/false);
    inputs.add(entry.find("sink"), argument.data, kF32, {{"hkv", {view.num_kv_heads, group}}, {"g", {group, 1}}});
  }

  void call(const LayerEntry &entry, Inputs &inputs, std::vector<Tensor> &results) {
    std::vector<const DLTensor *> arguments;
    for (size_t i = 0; i < inputs.tensors.size(); ++i) {
      if (!inputs.tensors[i])
        entry.refuse("takes argument " + std::to_string(i) + ", which a cache does not have");
      arguments.push_back(&inputs.tensors[i]->dl);
    }
    std::vector<DLTensor *> outputs(results.size());
    const char *names[] = {"output", "lse"};
    for (size_t i = 0; i < results.size(); ++i)
      outputs[entry.findResult(names[i])->index] = &results[i].dl;
    pass(gqa_call(&context, &artifact, entry.entry.name.c_str(), arguments.data(),
                  static_cast<int32_t>(arguments.size()), outputs.data(), static_cast<int32_t>(outputs.size())));
  }

  gqa_context &context;
  const gqa_cache *cache;
  const gqa_artifact &artifact;
  int32_t layer;
  gqa_cache_view view = {};
  std::optional<LayerEntry> general, decode;
  int64_t group = 1;
  std::optional<PackedRows> queries, output, lse, mask;
  const DLTensor *sinks = nullptr;
};

} // namespace
} // namespace gqa::cache

extern "C" {

GQA_API gqa_status gqa_cache_attend(gqa_context *context, const gqa_cache *cache, const gqa_artifact *artifact,
                                    const char *entry, int32_t layer, const gqa_sequence *sequences,
                                    const int64_t *counts, int32_t num_sequences,
                                    const gqa_attend_arguments *arguments) {
  if (!context)
    return GQA_INVALID_ARGUMENT;
  return context->guard([&] {
    if (!cache || !artifact || !entry || !arguments)
      gqa::fail(GQA_INVALID_ARGUMENT, "cache, artifact, entry and arguments must not be null");
    if (num_sequences < 0 || (num_sequences > 0 && (!sequences || !counts)))
      gqa::fail(GQA_INVALID_ARGUMENT,
                "sequences and counts must be lists of num_sequences, got " + std::to_string(num_sequences));
    gqa::cache::Attend attend(*context, cache, *artifact, entry, layer);
    attend.setRows(*arguments);
    attend.run(sequences, counts, num_sequences);
  });
}

} // extern "C"
