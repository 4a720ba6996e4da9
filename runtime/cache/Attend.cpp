#include "runtime/cache/Attend.h"

#include "runtime/Context.h"
#include "runtime/TensorChecker.h"
#include "runtime/TensorLayout.h"
#include "runtime/cache/AttendEntry.h"
#include "runtime/cache/CacheHandle.h"
#include "runtime/cache/PackedRows.h"
#include "runtime/cache/TensorArgument.h"

#include <algorithm>
#include <map>

namespace gqa::cache {

namespace {

/// An extent and a stride, in elements, for each name of a dimension.
using Layout = std::map<std::string, std::pair<int64_t, int64_t>>;

/// A DLTensor and what it points to.
struct Tensor {
  Tensor(void *data, DLDataType type, DLDevice device, const AttentionOperand &operand, const Layout &layout) {
    for (const std::string &dim : operand.dims) {
      auto [extent, stride] = layout.at(dim);
      shape.push_back(extent);
      strides.push_back(stride);
    }
    dl.data = data;
    dl.device = device;
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

/// One call of gqa_cache_attend. Sequences with equally many queries make one call of the artifact's entry, so what a
/// sequence gets does not depend on who is beside it.
class Attend {
public:
  Attend(gqa_context &context, const gqa_cache *cache, const gqa_artifact &artifact, const std::string &entry,
         int32_t layer, AttendMemory &memory)
      : context(context), cache(cache), artifact(artifact), layer(layer), memory(memory) {
    pass(gqa_cache_get_view(&context, cache, layer, &view));
    general.emplace(artifact.getEntry(entry), view, layer, memory.getDevice());
    if (const EntryDescription *decode = artifact.findEntry(entry + "_decode"))
      this->decode.emplace(*decode, view, layer, memory.getDevice());
  }

  void setRows(const gqa_attend_arguments &arguments) {
    const AttentionOperand &query = *general->find("query");
    group = std::max<int64_t>(1, general->getExtent(query, "g"));
    int64_t heads = view.num_kv_heads * group;
    queries.emplace(arguments.queries, "queries", std::vector<int64_t>{-1, heads, view.keys.dim}, memory.getDevice());
    int64_t tokens = queries->getTokens();
    output.emplace(arguments.output, "output", std::vector<int64_t>{tokens, heads, view.values.dim},
                   memory.getDevice());
    if (arguments.lse)
      lse.emplace(arguments.lse, "lse", std::vector<int64_t>{tokens, heads}, memory.getDevice());
    checkWritable(*arguments.output, "output");
    if (lse)
      checkWritable(*arguments.lse, "lse");
    if (arguments.mask)
      mask.emplace(arguments.mask, "mask", std::vector<int64_t>{tokens, -1}, memory.getDevice());
    sinks = arguments.sinks;
    table = arguments.block_table;
    lengths = arguments.lengths;
    if ((table != nullptr) != (lengths != nullptr))
      fail(GQA_INVALID_ARGUMENT, "block_table and lengths are given together");
    if (table && memory.getDevice().device_type == kDLCPU)
      fail(GQA_INVALID_ARGUMENT, "block_table and lengths are for caches on devices");
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
    if (table && (groups.size() > 1 || (!groups.empty() && groups.begin()->second.size() != size_t(numSequences))))
      fail(GQA_INVALID_ARGUMENT, "with a block_table of the caller's, all sequences must have as many queries");
    for (const auto &[count, members] : groups) {
      memory.clear();
      runGroup(count, members);
    }
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
    const SlotMap &slots = cache->cache.getLayer(layer).getSlots();
    int64_t oldest = cache->cache.getState(sequence, layer).oldest;
    if (count > 0 && !slots.canTruncate(length - count + 1, oldest))
      fail(GQA_INVALID_ARGUMENT, "sequence " + std::to_string(sequence) + " asks with " + std::to_string(count) +
                                     " tokens, but the ring of layer " + std::to_string(layer) +
                                     " keeps the windows of the last " +
                                     std::to_string(length + 1 - slots.window - oldest));
  }

  void runGroup(int64_t count, const std::vector<Member> &members) {
    const AttendEntry &entry = count == 1 && decode ? *decode : *general;
    if (count != 1 && !entry.takesRows())
      entry.refuse("takes one query per sequence, got " + std::to_string(count));
    std::vector<int64_t> firstRows;
    std::vector<gqa_sequence> names;
    for (const Member &member : members) {
      firstRows.push_back(member.firstRow);
      names.push_back(member.sequence);
    }
    auto batch = static_cast<int64_t>(members.size());

    Inputs inputs(entry.countArguments(), memory.getDevice());
    RowGroup queryRows(*queries, firstRows, count, memory);
    queryRows.gather();
    inputs.add(entry.find("query"), queryRows.getData(), getDLType(entry.getType(*entry.find("query"))),
               getRowLayout(queryRows, "dqk", view.keys.dim));
    addPages(inputs, entry, "key", view.keys, "dqk", "dqk2");
    addPages(inputs, entry, "value", view.values, "dv", "dv2");
    addTables(inputs, entry, names);
    std::optional<RowGroup> maskRows;
    if (mask) {
      maskRows.emplace(*mask, firstRows, count, memory);
      maskRows->gather();
      inputs.add(entry.find("mask"), maskRows->getData(), kByte,
                 {{"b", {batch, maskRows->getSequenceStride()}},
                  {"m", {count, maskRows->getRowStride()}},
                  {"n", {mask->getShape()[1], 1}}});
    }
    if (sinks)
      addSinks(inputs, entry);

    std::vector<Tensor> results;
    RowGroup outputRows(*output, firstRows, count, memory);
    results.emplace_back(outputRows.getData(), getDLType(entry.getOutputType()), memory.getDevice(),
                         *entry.findResult("output"), getRowLayout(outputRows, "dv", view.values.dim));
    std::optional<RowGroup> lseRows;
    if (const AttentionOperand *operand = entry.findResult("lse")) {
      if (lse) {
        lseRows.emplace(*lse, firstRows, count, memory);
        results.emplace_back(lseRows->getData(), kF32, memory.getDevice(), *operand, getRowLayout(*lseRows, "", 0));
      } else {
        int64_t heads = view.num_kv_heads * group;
        void *unused = memory.take(batch * count * heads * static_cast<int64_t>(sizeof(float)));
        Layout layout = {{"b", {batch, count * heads}},
                         {"m", {count, heads}},
                         {"hkv", {view.num_kv_heads, group}},
                         {"g", {group, 1}}};
        results.emplace_back(unused, kF32, memory.getDevice(), *operand, layout);
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
    Inputs(size_t size, DLDevice device) : tensors(size), device(device) {}
    void add(const AttentionOperand *operand, void *data, DLDataType type, const Layout &layout) {
      tensors[operand->index] = std::make_unique<Tensor>(data, type, device, *operand, layout);
    }
    std::vector<std::unique_ptr<Tensor>> tensors;
    DLDevice device;
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

  void addPages(Inputs &inputs, const AttendEntry &entry, const std::string &name, const gqa_cache_pages &pages,
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

  /// Pages and lengths of sequences, as gqa_cache_get_table() has them.
  struct Tables {
    int64_t blocks = 1; ///< of a row of `pages`
    std::vector<int32_t> pages, slots, tokens;
  };

  Tables getTables(const std::vector<gqa_sequence> &names) {
    Tables tables;
    auto batch = static_cast<int32_t>(names.size());
    pass(
        gqa_cache_get_table(&context, cache, layer, names.data(), batch, nullptr, 0, nullptr, nullptr, &tables.blocks));
    tables.pages.assign(names.size() * static_cast<size_t>(tables.blocks), 0);
    tables.slots.resize(names.size());
    std::vector<int64_t> tokens(names.size());
    pass(gqa_cache_get_table(&context, cache, layer, names.data(), batch, tables.pages.data(), tables.blocks,
                             tables.slots.data(), tokens.data(), nullptr));
    for (int64_t count : tokens)
      tables.tokens.push_back(static_cast<int32_t>(std::min<int64_t>(count, INT32_MAX)));
    return tables;
  }

  void addTables(Inputs &inputs, const AttendEntry &entry, const std::vector<gqa_sequence> &names) {
    const AttentionOperand *length = entry.find("length"), *operand = length ? length : entry.find("kv_len");
    if (!operand)
      entry.refuse("takes neither kv_len nor length");
    auto batch = static_cast<int64_t>(names.size());
    Tables tables = getTables(names);
    for (size_t i = 0; mask && i < names.size(); ++i)
      if (tables.slots[i] > mask->getShape()[1])
        fail(GQA_INVALID_ARGUMENT, "mask has " + std::to_string(mask->getShape()[1]) + " keys, but sequence " +
                                       std::to_string(names[i]) + " stores " + std::to_string(tables.slots[i]) +
                                       " in layer " + std::to_string(layer));
    if (table) {
      addCallersTables(inputs, entry, *operand, batch, tables.blocks);
      return;
    }
    // Lengths and tables in one piece, which a device gets in as few kernels.
    std::vector<int32_t> words = length ? tables.tokens : tables.slots;
    words.insert(words.end(), tables.pages.begin(), tables.pages.end());
    auto *data = static_cast<int32_t *>(memory.take(static_cast<int64_t>(words.size() * sizeof(int32_t))));
    memory.put(data, words);
    inputs.add(operand, data, kI32, {{"b", {batch, 1}}});
    inputs.add(entry.find("block_table"), data + batch, kI32,
               {{"b", {batch, tables.blocks}}, {"block", {tables.blocks, 1}}});
  }

  /// What gqa_cache_put_table() wrote, which kernels read when they run.
  void addCallersTables(Inputs &inputs, const AttendEntry &entry, const AttentionOperand &length, int64_t batch,
                        int64_t blocks) {
    TensorChecker checker(TensorChecker::Place::Cuda);
    checker.check(table, {"i32", {{batch, ""}, {std::nullopt, "?"}}}, "block_table");
    checker.check(lengths, {"i32", {{batch, ""}}}, "lengths");
    if (table->shape[1] < blocks)
      fail(GQA_INVALID_ARGUMENT, "block_table must have room for " + std::to_string(blocks) + " pages, got " +
                                     std::to_string(table->shape[1]));
    auto getData = [&](const DLTensor &tensor, const char *name) -> void * {
      checkDevice(tensor, name, memory.getDevice());
      return static_cast<char *>(tensor.data) + tensor.byte_offset;
    };
    int64_t row = table->strides ? table->strides[0] : table->shape[1];
    inputs.add(entry.find("block_table"), getData(*table, "block_table"), kI32,
               {{"b", {batch, row}}, {"block", {table->shape[1], 1}}});
    inputs.add(&length, getData(*lengths, "lengths"), kI32, {{"b", {batch, 1}}});
  }

  void addSinks(Inputs &inputs, const AttendEntry &entry) {
    TensorArgument argument(sinks, "sinks", {view.num_kv_heads * group}, /*allowsHalf=*/false, memory.getDevice());
    inputs.add(entry.find("sink"), argument.data, kF32, {{"hkv", {view.num_kv_heads, group}}, {"g", {group, 1}}});
  }

  void call(const AttendEntry &entry, Inputs &inputs, std::vector<Tensor> &results) {
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
    auto numInputs = static_cast<int32_t>(arguments.size());
    Workspace workspace(context);
    if (memory.getDevice().device_type != kDLCPU) {
      int64_t bytes = 0;
      pass(gqa_workspace_size(&context, &artifact, entry.getName().c_str(), arguments.data(), numInputs, &bytes));
      workspace.set(memory.take(bytes), bytes);
    }
    if (!memory.isMeasuring())
      pass(gqa_call(&context, &artifact, entry.getName().c_str(), arguments.data(), numInputs, outputs.data(),
                    static_cast<int32_t>(outputs.size())));
  }

  /// Gives the context another workspace for the time of its life.
  class Workspace {
  public:
    explicit Workspace(gqa_context &context)
        : context(context), data(context.workspace), bytes(context.workspaceBytes) {}
    ~Workspace() { set(data, bytes); }
    void set(void *address, int64_t size) {
      context.workspace = address;
      context.workspaceBytes = size;
    }

  private:
    gqa_context &context;
    void *data;
    int64_t bytes;
  };

  gqa_context &context;
  const gqa_cache *cache;
  const gqa_artifact &artifact;
  int32_t layer;
  AttendMemory &memory;
  gqa_cache_view view = {};
  std::optional<AttendEntry> general, decode;
  int64_t group = 1;
  std::optional<PackedRows> queries, output, lse, mask;
  const DLTensor *sinks = nullptr, *table = nullptr, *lengths = nullptr;
};

} // namespace

void AttendRequest::check() const {
  if (!cache || !artifact || !entry || !arguments)
    fail(GQA_INVALID_ARGUMENT, "cache, artifact, entry and arguments must not be null");
  if (numSequences < 0 || (numSequences > 0 && (!sequences || !counts)))
    fail(GQA_INVALID_ARGUMENT,
         "sequences and counts must be lists of num_sequences, got " + std::to_string(numSequences));
}

void attend(const AttendRequest &request, AttendMemory &memory) {
  Attend attend(*request.context, request.cache, *request.artifact, request.entry, request.layer, memory);
  attend.setRows(*request.arguments);
  attend.run(request.sequences, request.counts, request.numSequences);
}

} // namespace gqa::cache
