#include "tools/CacheEntries.h"
#include "tools/CachedDecode.h"
#include "tools/CompilerProcess.h"
#include "tools/DeviceLimits.h"
#include "tools/DeviceSession.h"
#include "tools/MachineLimits.h"
#include "tools/Median.h"
#include "tools/OutputFile.h"
#include "tools/Progress.h"
#include "tools/TemporaryDirectory.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace gqa {

std::vector<DecodeCase> listDecodeCases(const DecodePlan &plan) {
  std::vector<DecodeCase> cases;
  auto add = [&](const std::string &section, const std::string &name, const std::string &type, int64_t pageSize,
                 const std::string &against) -> DecodeCase & {
    DecodeCase layout;
    layout.section = section;
    layout.name = name;
    layout.type = type;
    layout.pageSize = pageSize;
    layout.tokens = plan.tokens;
    layout.against = against;
    return cases.emplace_back(layout);
  };
  const std::string first = "f16, contiguous";
  add("pages", first, "f16", 0, "");
  for (int64_t pageSize : {1, 4, 16, 64, 256})
    add("pages", "f16, pages of " + std::to_string(pageSize), "f16", pageSize, first);
  for (auto [name, type] : {std::pair("int8", "i8"), {"fp8", "f8e4m3"}, {"int4", "i4"}}) {
    add("types", std::string(name) + ", contiguous", type, 0, first);
    add("types", std::string(name) + ", pages of 16", type, 16, "f16, pages of 16");
  }
  const std::string half = std::to_string(plan.tokens / 2);
  add("rings", half + " keys, pages of 16", "f16", 16, "").tokens = plan.tokens / 2;
  auto addRing = [&](const std::string &name, int64_t tokens, int64_t slack) {
    DecodeCase &ring = add("rings", name, "f16", 16, half + " keys, pages of 16");
    ring.tokens = tokens;
    ring.window = plan.tokens / 2;
    ring.slack = slack;
  };
  addRing("a ring of " + half + ", just full", plan.tokens / 2, 0);
  addRing("the same at " + std::to_string(plan.tokens * 3 / 4 + 5), plan.tokens * 3 / 4 + 5, 0);
  addRing("the same at " + std::to_string(plan.tokens * 3 + 1), plan.tokens * 3 + 1, 0);
  addRing("with a slack of 16, just full", plan.tokens / 2, 16);
  addRing("the same at " + std::to_string(plan.tokens * 3 + 1), plan.tokens * 3 + 1, 16);
  std::string many = std::to_string(plan.sequences) + " sequences";
  add("prefixes", many, "f16", 16, "").sequences = plan.sequences;
  DecodeCase &shared = add("prefixes", "the same, one shared prefix", "f16", 16, many);
  shared.sequences = plan.sequences;
  shared.sharesPrefix = true;
  return cases;
}

std::string printCacheSpec(const DecodePlan &plan, const DecodeCase &layout, const std::string &name) {
  auto number = [](const char *key, int64_t value) { return std::string(",") + key + "=" + std::to_string(value); };
  std::string spec = "heads=" + std::to_string(plan.heads) + number("kv-heads", plan.kvHeads) +
                     number("head-dim", plan.headDim) + ",type=" + layout.type + ",query-type=f16,rows=1,name=" + name;
  spec += layout.pageSize ? number("page-size", layout.pageSize) : ",page-size=contiguous";
  if (layout.window)
    spec += number("window", layout.window) + number("slack", layout.slack);
  return spec;
}

namespace {

/// The entries of some cases; cases that need the same share one.
class Entries {
public:
  Entries(const DecodePlan &plan, const std::vector<DecodeCase> &cases, int threads, const DecodeDevice *place) {
    std::map<std::string, std::string> known;
    std::string module;
    for (const DecodeCase &layout : cases) {
      std::string &name = known[printCacheSpec(plan, layout, "")];
      if (name.empty()) {
        name = "c" + std::to_string(known.size());
        std::string text, error;
        if (!makeCacheEntries(printCacheSpec(plan, layout, name), text, error))
          throw std::runtime_error(error);
        module += text;
      }
      names.push_back(name + "_decode");
    }
    TemporaryDirectory directory;
    writeOutput(directory.file("decode.mlir"), module);
    if (place)
      compileForDevice(*place->device, directory.file("decode.mlir"), directory.file("decode.so"), {});
    else
      compileArtifact(directory.file("decode.mlir"), directory.file("decode.so"), {});
    artifact = std::make_unique<LoadedArtifact>(directory.file("decode.so"), threads);
  }

  std::vector<std::string> names; ///< case by case
  std::unique_ptr<LoadedArtifact> artifact;
};

/// Times of one case, round by round.
struct Samples {
  std::vector<double> seconds, inCaches;
};

DecodeTime summarise(const DecodeCase &layout, const Samples &samples, const Samples *reference, double bytes) {
  DecodeTime time;
  time.layout = layout;
  time.seconds = median(samples.seconds);
  time.least = *std::min_element(samples.seconds.begin(), samples.seconds.end());
  time.bytes = bytes;
  if (!samples.inCaches.empty())
    time.inCaches = *std::min_element(samples.inCaches.begin(), samples.inCaches.end());
  if (!reference)
    return time;
  std::vector<double> ratios;
  for (size_t round = 0; round < samples.seconds.size(); ++round)
    ratios.push_back(samples.seconds[round] / reference->seconds[round]);
  time.ratio = median(ratios);
  return time;
}

} // namespace

DecodeResult measureDecoding(const DecodePlan &plan) {
  DecodeResult result;
  result.plan = plan;
  result.plan.threads = resolveThreads(plan.threads);
  std::vector<DecodeCase> cases = listDecodeCases(plan);
  Progress progress;
  std::unique_ptr<DecodeDevice> place;
  if (!plan.device.empty()) {
    place = std::make_unique<DecodeDevice>(cuda::Device::open(parseDevice(plan.device).device_id));
    result.deviceName = place->device->getName();
  }
  progress.show("compiling");
  Entries entries(plan, cases, result.plan.threads, place.get());
  std::vector<std::unique_ptr<CachedDecode>> caches;
  for (size_t i = 0; i < cases.size(); ++i) {
    progress.show("filling the cache of " + cases[i].name);
    caches.push_back(std::make_unique<CachedDecode>(plan, cases[i], entries.names[i], *entries.artifact, place.get()));
  }
  std::unique_ptr<DramReader> dram;
  double copyGBs = 0;
  if (place)
    copyGBs = measureDeviceLimits(place->device).copyGBs;
  else
    dram = std::make_unique<DramReader>(result.plan.threads);
  std::vector<Samples> samples(cases.size());
  std::vector<double> rates;
  for (int round = -1; round < plan.rounds; ++round) { // the first warms up
    progress.show("round " + std::to_string(round + 1) + " of " + std::to_string(plan.rounds));
    for (size_t i = 0; i < cases.size(); ++i) {
      double rate = dram ? dram->read() : copyGBs, seconds = caches[i]->decode();
      if (round < 0)
        caches[i]->checkResults();
      bool canRepeat = dram && !cases[i].window && cases[i].sequences == 1 && cases[i].tokens >= 256;
      double inCaches = canRepeat ? caches[i]->decodeInCaches() : 0;
      if (round < 0)
        continue;
      rates.push_back(rate);
      samples[i].seconds.push_back(seconds);
      if (canRepeat)
        samples[i].inCaches.push_back(inCaches);
    }
  }
  result.dramReadGBs = median(rates);
  for (size_t i = 0; i < cases.size(); ++i) {
    auto reference = std::find_if(cases.begin(), cases.end(),
                                  [&](const DecodeCase &layout) { return layout.name == cases[i].against; });
    const Samples *against = reference == cases.end() ? nullptr : &samples[reference - cases.begin()];
    result.times.push_back(summarise(cases[i], samples[i], against, caches[i]->countBytes()));
  }
  return result;
}

} // namespace gqa
