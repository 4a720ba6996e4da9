#ifndef GQA_TOOLS_SEEDEDDATA_H
#define GQA_TOOLS_SEEDEDDATA_H

#include "tools/AttentionProblem.h"

#include <cstdlib>
#include <memory>

namespace gqa {

/// Elements in memory, aligned to 64 bytes.
class ElementBuffer {
public:
  /// Throws std::runtime_error if memory is out.
  ElementBuffer(ElementType type, int64_t count);

  /// Pseudo-random numbers between -amplitude and amplitude: a function of seed and position alone. f32, f16, bf16.
  void fillRandom(uint64_t seed, float amplitude);

  ElementType getType() const { return type; }
  void *data() const { return memory.get(); }

private:
  ElementType type;
  int64_t count;
  std::unique_ptr<void, decltype(&std::free)> memory;
};

} // namespace gqa

#endif // GQA_TOOLS_SEEDEDDATA_H
