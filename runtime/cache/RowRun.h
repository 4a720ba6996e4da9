#ifndef GQA_RUNTIME_CACHE_ROWRUN_H
#define GQA_RUNTIME_CACHE_ROWRUN_H

#include <stdint.h> // device code has no C++ library

namespace gqa::cache {

/// Consecutive tokens that go to consecutive rows of one block.
struct RowRun {
  int64_t position; ///< of the first one in its sequence
  int32_t token;    ///< of the first one in the tensor that is appended
  int32_t count;
  int32_t block, slot; ///< where the first one goes: the block, and the row in it
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ROWRUN_H
