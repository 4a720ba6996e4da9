#include "tools/DecodeReport.h"

#include "tools/NumberText.h"
#include "tools/TextTable.h"

namespace gqa {

/// Seconds that reading `bytes` from DRAM takes.
static double getReadTime(const DecodeResult &result, double bytes) { return bytes / result.dramReadGBs * 1e-9; }

std::string printDecodeText(const DecodeResult &result) {
  const DecodePlan &plan = result.plan;
  bool isOnDevice = !result.deviceName.empty();
  std::string text = "Decoding on a KV cache, one token of one layer: " + std::to_string(plan.heads) +
                     " query heads, " + std::to_string(plan.kvHeads) + " K/V heads, head dim " +
                     std::to_string(plan.headDim) + ", " + std::to_string(plan.tokens) + " keys; f16 queries, " +
                     (isOnDevice ? "on '" + result.deviceName + "'" : std::to_string(plan.threads) + " threads") +
                     "\n\n";
  TextTable table(/*headingRows=*/2);
  table.addRow({"keys and values", "ms", "least", "MB", "times one", "ms in", "times", "of what"});
  table.addRow({"", "", "ms", "", "DRAM read", "caches", "", ""});
  std::string section = result.times.front().layout.section;
  for (const DecodeTime &time : result.times) {
    if (time.layout.section != section)
      table.addRule();
    section = time.layout.section;
    bool isCompared = !time.layout.against.empty();
    table.addRow({time.layout.name, printMilliseconds(time.seconds), printMilliseconds(time.least),
                  formatNumber(time.bytes * 1e-6, 1), print(time.seconds / getReadTime(result, time.bytes), 2),
                  time.inCaches ? printMilliseconds(*time.inCaches) : "-", isCompared ? print(time.ratio, 2) : "-",
                  isCompared ? time.layout.against : "-"});
  }
  text += table.str();
  if (isOnDevice)
    return text +
           "\nTimes are those of a CUDA graph, between events on the stream, with the L2 cache emptied before. A "
           "DRAM read is at the rate\nof a large copy within the device, read and written (" +
           print(result.dramReadGBs, 1) + " GB/s). Layouts take turns, " + std::to_string(plan.rounds) +
           " times.\nms: median. MB: keys, values and scales, counted once. \"times\": the median over rounds of the "
           "time over that of the\nnamed layout.\n";
  return text + "\nEach call finds the CPU's caches emptied by a read of other memory (" +
         print(result.dramReadGBs, 1) + " GB/s, the median); layouts take turns,\n" + std::to_string(plan.rounds) +
         " times. ms: median. MB: keys, values and scales, counted once. \"ms in caches\": the same number of keys, "
         "but 256\nof them again and again, the best of all rounds: what arithmetic alone takes. \"times\": the median "
         "over rounds of the time\nover that of the named layout.\n";
}

nlohmann::ordered_json printDecodeJson(const DecodeResult &result) {
  const DecodePlan &plan = result.plan;
  nlohmann::ordered_json layouts = nlohmann::ordered_json::array();
  for (const DecodeTime &time : result.times) {
    nlohmann::ordered_json row = {{"name", time.layout.name},
                                  {"seconds", time.seconds},
                                  {"least_seconds", time.least},
                                  {"bytes", time.bytes},
                                  {"dram_read_seconds", getReadTime(result, time.bytes)}};
    if (time.inCaches)
      row["in_caches_seconds"] = *time.inCaches;
    if (!time.layout.against.empty()) {
      row["against"] = time.layout.against;
      row["ratio"] = time.ratio;
    }
    layouts.push_back(row);
  }
  return {{"heads", plan.heads},         {"kv_heads", plan.kvHeads},
          {"head_dim", plan.headDim},    {"tokens", plan.tokens},
          {"sequences", plan.sequences}, {"threads", plan.threads},
          {"rounds", plan.rounds},       {"dram_read_gb_per_second", result.dramReadGBs},
          {"device", result.deviceName}, {"layouts", layouts}};
}

} // namespace gqa
