#include "test/devicecheck/CheckFunctions.h"

#include <algorithm>

namespace gqa {
namespace {

struct Hopper {
  const char *label;
  int consumers, n, stages;
  bool isPacked, isPingPong, isOverlapped;

  std::string print() const {
    auto number = [](const char *name, int value) { return std::string(name) + " = " + std::to_string(value) + ", "; };
    auto flag = [](const char *name, bool value) { return std::string(name) + " = " + (value ? "true" : "false"); };
    return "#gqa_gpu.warpgroup_schedule<" + number("consumers", consumers) + number("n", n) + number("stages", stages) +
           flag("packed", isPacked) + ", " + flag("pingPong", isPingPong) + ", " + flag("overlap", isOverlapped) + ">";
  }
};

struct Decoding {
  const char *label;
  int keyWarps, n, stages, split;

  std::string print() const {
    return "#gqa_gpu.schedule<warpRows = 16, rowWarps = 1, keyWarps = " + std::to_string(keyWarps) +
           ", n = " + std::to_string(n) + ", stages = " + std::to_string(stages) +
           ", split = " + std::to_string(split) + ", sharedQuery = false>";
  }
};

// Labels say what differs from the compiler's choice: free: without turns, serial: without overlap.
constexpr Hopper kCausal128[] = {
    {"free", 2, 128, 2, true, false, true},         {"serial", 2, 128, 2, true, true, false},
    {"free_serial", 2, 128, 2, true, false, false}, {"heads", 2, 128, 2, false, true, true},
    {"stages3", 2, 128, 3, true, true, true},       {"n160", 2, 160, 2, true, true, true},
    {"n96_stages3", 2, 96, 3, true, true, true},    {"three_n64", 3, 64, 2, true, true, true}};
constexpr Hopper kFull128[] = {{"free", 2, 176, 2, true, false, true},
                               {"serial", 2, 176, 2, true, true, false},
                               {"n128", 2, 128, 2, true, true, true},
                               {"n128_stages3", 2, 128, 3, true, true, true}};
constexpr Hopper kCausal64[] = {{"free", 3, 128, 2, true, false, false},
                                {"overlap", 3, 128, 2, true, true, true},
                                {"stages3", 3, 128, 3, true, true, false},
                                {"two", 2, 128, 2, true, true, true}};
constexpr Hopper kCausal256[] = {{"turns", 2, 80, 2, true, true, true}, {"serial", 2, 80, 2, true, false, false}};
constexpr Decoding kDecode[] = {{"stages2", 4, 64, 2, 512},    {"split256", 4, 64, 3, 256},
                                {"split1024", 4, 64, 3, 1024}, {"split2048", 4, 64, 3, 2048},
                                {"warps2_n32", 2, 32, 4, 512}, {"warps8_n128", 8, 128, 3, 512}};

template <typename Variants>
void add(std::vector<CheckFunction> &functions, const std::string &of, const Variants &variants) {
  auto original =
      std::find_if(functions.begin(), functions.end(), [&](const CheckFunction &f) { return f.name == of; });
  CheckFunction function = *original;
  function.stage = Stage::tune;
  for (const auto &variant : variants) {
    function.name = of + "_" + variant.label;
    function.schedule = variant.print();
    functions.push_back(function);
  }
}

} // namespace

void addScheduleVariants(std::vector<CheckFunction> &functions) {
  add(functions, "prefill_causal_bf16_h32_kv8_d128", kCausal128);
  add(functions, "prefill_full_bf16_h32_kv8_d128", kFull128);
  add(functions, "prefill_causal_bf16_h32_kv8_d64", kCausal64);
  add(functions, "prefill_causal_bf16_h32_kv8_d256", kCausal256);
  add(functions, "decode_bf16_h32_kv8_d128", kDecode);
}

} // namespace gqa
