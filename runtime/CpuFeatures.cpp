#include "runtime/CpuFeatures.h"

#include <algorithm>
#include <utility>

namespace gqa {

std::string getHostArchitecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

#if defined(__x86_64__)
std::vector<std::string> findMissingCpuFeatures(const std::vector<std::string> &required) {
  // The compiler's builtin takes literals only.
  const std::pair<const char *, bool> features[] = {
      {"sse3", __builtin_cpu_supports("sse3")},
      {"ssse3", __builtin_cpu_supports("ssse3")},
      {"sse4.1", __builtin_cpu_supports("sse4.1")},
      {"sse4.2", __builtin_cpu_supports("sse4.2")},
      {"popcnt", __builtin_cpu_supports("popcnt")},
      {"avx", __builtin_cpu_supports("avx")},
      {"avx2", __builtin_cpu_supports("avx2")},
      {"bmi", __builtin_cpu_supports("bmi")},
      {"bmi2", __builtin_cpu_supports("bmi2")},
      {"fma", __builtin_cpu_supports("fma")},
      {"avx512f", __builtin_cpu_supports("avx512f")},
      {"avx512vl", __builtin_cpu_supports("avx512vl")},
      {"avx512bw", __builtin_cpu_supports("avx512bw")},
      {"avx512dq", __builtin_cpu_supports("avx512dq")},
      {"avx512cd", __builtin_cpu_supports("avx512cd")},
      {"avx512vbmi", __builtin_cpu_supports("avx512vbmi")},
      {"avx512vbmi2", __builtin_cpu_supports("avx512vbmi2")},
      {"avx512vnni", __builtin_cpu_supports("avx512vnni")},
      {"avx512ifma", __builtin_cpu_supports("avx512ifma")},
      {"avx512bitalg", __builtin_cpu_supports("avx512bitalg")},
      {"avx512vpopcntdq", __builtin_cpu_supports("avx512vpopcntdq")},
      {"avx512bf16", __builtin_cpu_supports("avx512bf16")},
      {"avx512fp16", __builtin_cpu_supports("avx512fp16")},
      {"amx-tile", __builtin_cpu_supports("amx-tile")},
      {"amx-bf16", __builtin_cpu_supports("amx-bf16")},
      {"f16c", __builtin_cpu_supports("f16c")},
      {"gfni", __builtin_cpu_supports("gfni")},
      {"vpclmulqdq", __builtin_cpu_supports("vpclmulqdq")},
      {"lzcnt", __builtin_cpu_supports("lzcnt")},
      {"movbe", __builtin_cpu_supports("movbe")},
      {"avx512vp2intersect", __builtin_cpu_supports("avx512vp2intersect")},
  };
  std::vector<std::string> missing;
  for (const auto &[name, isPresent] : features)
    if (!isPresent && std::find(required.begin(), required.end(), name) != required.end())
      missing.push_back(name);
  return missing;
}
#else
std::vector<std::string> findMissingCpuFeatures(const std::vector<std::string> &) { return {}; }
#endif

} // namespace gqa
