#include "runtime/cache/AttendEntry.h"

#include "runtime/Failure.h"
#include "runtime/gqa_cache.h"

#include <algorithm>

namespace gqa::cache {

/// What gqa-compile calls the elements of a cache.
static const char *getTypeName(int32_t type) {
  constexpr const char *kNames[] = {"f32", "f16", "bf16", "i8", "f8E4M3FN", "i8"};
  return kNames[type];
}

static bool lists(const AttentionOperand &operand, const char *dim) {
  return std::find(operand.dims.begin(), operand.dims.end(), dim) != operand.dims.end();
}

AttendEntry::AttendEntry(const EntryDescription &entry, const gqa_cache_view &view, int32_t layer, DLDevice device)
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
  bool isOnDevice = device.device_type != kDLCPU;
  if (isOnDevice != entry.isForDevice)
    fail(GQA_INVALID_ARGUMENT,
         std::string("the cache is ") +
             (isOnDevice ? "on CUDA device " + std::to_string(device.device_id) : "in CPU memory") + ", but entry '" +
             entry.name + "' runs on " + (entry.isForDevice ? "CUDA devices" : "the CPU"));
}

static const AttentionOperand *findIn(const std::map<std::string, AttentionOperand> &operands,
                                      const std::string &name) {
  auto it = operands.find(name);
  return it == operands.end() ? nullptr : &it->second;
}

const AttentionOperand *AttendEntry::find(const std::string &name) const {
  return findIn(entry.attention->arguments, name);
}

const AttentionOperand *AttendEntry::findResult(const std::string &name) const {
  return findIn(entry.attention->results, name);
}

bool AttendEntry::takesRows() const { return lists(*find("query"), "m"); }

int64_t AttendEntry::getExtent(const AttentionOperand &operand, const char *dim) const {
  for (size_t i = 0; i < operand.dims.size(); ++i)
    if (operand.dims[i] == dim)
      return entry.arguments[operand.index].shape[i].extent.value_or(-1);
  return -1;
}

void AttendEntry::refuse(const std::string &what) const {
  fail(GQA_INVALID_ARGUMENT, "entry '" + entry.name + "' " + what);
}

void AttendEntry::require(bool holds, const std::string &stored, const std::string &taken) const {
  if (!holds)
    fail(GQA_INVALID_ARGUMENT,
         "layer " + std::to_string(layer) + " stores " + stored + ", but entry '" + entry.name + "' takes " + taken);
}

void AttendEntry::requireExtent(const std::string &what, int64_t stored, int64_t taken) const {
  require(taken < 0 || stored == taken, what + " " + std::to_string(stored), std::to_string(taken));
}

void AttendEntry::checkRows(const std::string &name, const gqa_cache_pages &pages, const char *row,
                            const char *packedRow) const {
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

void AttendEntry::checkRing() const {
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

} // namespace gqa::cache
