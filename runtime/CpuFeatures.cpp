#include "runtime/CpuFeatures.h"

#include <algorithm>
#include <utility>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
namespace {

/// Features that the compiler's run-time library may be too old to know, from CPUID (Intel SDM volume 2A, table 3-8;
/// Intel APX and AVX10.2 specifications).
struct NewFeatures {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0; ///< leaf 7, subleaf 1
  unsigned avx10Version = 0;
  bool hasSavedExtendedRegisters = false; ///< the system saves r16 to r31

  NewFeatures() {
    if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
      return;
    unsigned ignored, version;
    if ((edx >> 19 & 1) && __get_cpuid_count(0x24, 0, &ignored, &version, &ignored, &ignored))
      avx10Version = version & 0xff;
    unsigned leaf1 = 0;
    if (__get_cpuid(1, &ignored, &ignored, &leaf1, &ignored) && (leaf1 & bit_OSXSAVE)) {
      unsigned low, high;
      __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      hasSavedExtendedRegisters = low >> 19 & 1;
    }
  }

  bool hasAPX() const { return (edx >> 21 & 1) && hasSavedExtendedRegisters; }
};

/// Asks the system for the matrix registers of Intel AMX. Linux gives them to a process, for good, only when it asks
/// (Documentation/arch/x86/xstate.rst); asking twice does no harm.
bool requestMatrixRegisters() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

} // namespace

std::vector<std::string> findMissingCpuFeatures(const std::vector<std::string> &required) {
  const NewFeatures recent;
  const bool hasAPX = recent.hasAPX();
  // The compiler's builtin takes literals only. What code is never generated for without being asked (keys, random
  // numbers, system calls) is not looked at.
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
      {"amx-int8", __builtin_cpu_supports("amx-int8")},
      {"f16c", __builtin_cpu_supports("f16c")},
      {"gfni", __builtin_cpu_supports("gfni")},
      {"vpclmulqdq", __builtin_cpu_supports("vpclmulqdq")},
      {"lzcnt", __builtin_cpu_supports("lzcnt")},
      {"movbe", __builtin_cpu_supports("movbe")},
      {"avx512vp2intersect", __builtin_cpu_supports("avx512vp2intersect")},
      {"sse4a", __builtin_cpu_supports("sse4a")},
      {"fma4", __builtin_cpu_supports("fma4")},
      {"xop", __builtin_cpu_supports("xop")},
      {"vaes", __builtin_cpu_supports("vaes")},
      {"avxvnni", recent.eax >> 4 & 1},
      {"cmpccxadd", recent.eax >> 7 & 1},
      {"avxifma", recent.eax >> 23 & 1},
      {"movrs", recent.eax >> 31 & 1},
      {"avxvnniint8", recent.edx >> 4 & 1},
      {"avxneconvert", recent.edx >> 5 & 1},
      {"avxvnniint16", recent.edx >> 10 & 1},
      {"avx10.1", recent.avx10Version >= 1},
      {"avx10.2", recent.avx10Version >= 2},
      {"egpr", hasAPX},
      {"ndd", hasAPX},
      {"nf", hasAPX},
      {"ccmp", hasAPX},
      {"ppx", hasAPX},
      {"push2pop2", hasAPX},
      {"zu", hasAPX},
  };
  std::vector<std::string> missing;
  for (const auto &[name, isPresent] : features) {
    if (std::find(required.begin(), required.end(), name) == required.end())
      continue;
    if (!isPresent || (std::string(name) == "amx-tile" && !requestMatrixRegisters()))
      missing.push_back(name);
  }
  return missing;
}
#else
std::vector<std::string> findMissingCpuFeatures(const std::vector<std::string> &) { return {}; }
#endif

} // namespace gqa
