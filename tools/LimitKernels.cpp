#include "tools/LimitKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gqa {
namespace {

// Chains of every version: enough that latency (4 cycles) times throughput (2 per cycle) never waits, few enough for
// the registers. The barrier keeps iterations from being merged.
#define GQA_BARRIER() asm volatile("" ::: "memory")

float fmaGeneric(int64_t iterations) {
  constexpr int lanes = 64;
  float sums[lanes] = {};
  float factor = 0.999f;
  float summand = 0.001f;
  for (int64_t i = 0; i < iterations; ++i) {
    for (int lane = 0; lane < lanes; ++lane)
      sums[lane] = sums[lane] * factor + summand;
    GQA_BARRIER();
  }
  float total = 0;
  for (float sum : sums)
    total += sum;
  return total;
}

float readGeneric(const float *data, size_t floats) {
  constexpr int lanes = 64;
  float sums[lanes] = {};
  for (size_t i = 0; i < floats; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      sums[lane] += data[i + lane];
  float total = 0;
  for (float sum : sums)
    total += sum;
  return total;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) float addLanes(__m256 lanes) {
  alignas(32) float values[8];
  _mm256_store_ps(values, lanes);
  float total = 0;
  for (float value : values)
    total += value;
  return total;
}

__attribute__((target("avx2,fma"))) float fmaAvx2(int64_t iterations) {
  constexpr int chains = 12;
  __m256 sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm256_set1_ps(chain * 0.001f);
  __m256 factor = _mm256_set1_ps(0.999f);
  __m256 summand = _mm256_set1_ps(0.001f);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma clang loop unroll(full)
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm256_fmadd_ps(sums[chain], factor, summand);
    GQA_BARRIER();
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm256_add_ps(sums[0], sums[chain]);
  return addLanes(sums[0]);
}

__attribute__((target("avx512f"))) float fmaAvx512(int64_t iterations) {
  constexpr int chains = 16;
  __m512 sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(chain * 0.001f);
  __m512 factor = _mm512_set1_ps(0.999f);
  __m512 summand = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma clang loop unroll(full)
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_fmadd_ps(sums[chain], factor, summand);
    GQA_BARRIER();
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_ps(sums[0], sums[chain]);
  return _mm512_reduce_add_ps(sums[0]);
}

__attribute__((target("avx512f,avx512bf16"))) float bf16DotAvx512(int64_t iterations) {
  constexpr int chains = 16;
  __m512 sums[chains];
  for (int chain = 0; chain < chains; ++chain)
    sums[chain] = _mm512_set1_ps(chain * 0.001f);
  __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00); // 0.5
  __m512bh b = (__m512bh)_mm512_set1_epi16(0x3a00); // 2^-11
  for (int64_t i = 0; i < iterations; ++i) {
#pragma clang loop unroll(full)
    for (int chain = 0; chain < chains; ++chain)
      sums[chain] = _mm512_dpbf16_ps(sums[chain], a, b);
    GQA_BARRIER();
  }
  for (int chain = 1; chain < chains; ++chain)
    sums[0] = _mm512_add_ps(sums[0], sums[chain]);
  return _mm512_reduce_add_ps(sums[0]);
}

/// Reads with prefetch 8 KiB ahead, beyond the page that hardware prefetchers stay in.
__attribute__((target("avx2"))) float readAvx2(const float *data, size_t floats) {
  __m256 sums[8] = {};
  for (size_t i = 0; i < floats; i += 64) {
#pragma clang loop unroll(full)
    for (int line = 0; line < 4; ++line) {
      _mm_prefetch(reinterpret_cast<const char *>(data + i + 16 * line) + 8192, _MM_HINT_T0);
      sums[2 * line] = _mm256_add_ps(sums[2 * line], _mm256_load_ps(data + i + 16 * line));
      sums[2 * line + 1] = _mm256_add_ps(sums[2 * line + 1], _mm256_load_ps(data + i + 16 * line + 8));
    }
  }
  for (int i = 1; i < 8; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return addLanes(sums[0]);
}

__attribute__((target("avx512f"))) float readAvx512(const float *data, size_t floats) {
  __m512 sums[8] = {};
  for (size_t i = 0; i < floats; i += 128) {
#pragma clang loop unroll(full)
    for (int line = 0; line < 8; ++line) {
      _mm_prefetch(reinterpret_cast<const char *>(data + i + 16 * line) + 8192, _MM_HINT_T0);
      sums[line] = _mm512_add_ps(sums[line], _mm512_load_ps(data + i + 16 * line));
    }
  }
  for (int i = 1; i < 8; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_reduce_add_ps(sums[0]);
}

#endif

} // namespace

std::vector<LimitKernels> supportedLimitKernels() {
  std::vector<LimitKernels> kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    bool hasDot = __builtin_cpu_supports("avx512bf16");
    kernels.push_back({fmaAvx512, 16 * 16 * 2.0, hasDot ? bf16DotAvx512 : nullptr, 16 * 32 * 2.0, readAvx512});
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    kernels.push_back({fmaAvx2, 12 * 8 * 2.0, nullptr, 0, readAvx2});
#endif
  kernels.push_back({fmaGeneric, 64 * 2.0, nullptr, 0, readGeneric});
  return kernels;
}

} // namespace gqa
