#ifndef GQA_TEST_FUZZ_RANDOM_H
#define GQA_TEST_FUZZ_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gqa {

/// The same numbers on every machine: SplitMix64 (Steele, Lea, Flood 2014).
class Random {
public:
  /// Streams of different (seed, stream) are independent.
  explicit Random(uint64_t seed, uint64_t stream = 0) : state(mix(seed) ^ mix(stream * kGamma + 1)) {}

  uint64_t next() { return mix(state += kGamma); }
  /// From `low` to `high`, both included.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }
  /// In [-1, 1).
  double uniform() { return static_cast<double>(next() >> 11) / (uint64_t(1) << 52) - 1; }
  template <typename T> const T &pick(const std::vector<T> &values) {
    return values[static_cast<std::size_t>(between(0, static_cast<int64_t>(values.size()) - 1))];
  }
  template <typename T> void shuffle(std::vector<T> &values) {
    for (std::size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[static_cast<std::size_t>(between(0, static_cast<int64_t>(i) - 1))]);
  }

private:
  static constexpr uint64_t kGamma = 0x9E3779B97F4A7C15;
  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  uint64_t state;
};

} // namespace gqa

#endif // GQA_TEST_FUZZ_RANDOM_H
