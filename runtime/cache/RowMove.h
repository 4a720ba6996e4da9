#ifndef GQA_RUNTIME_CACHE_ROWMOVE_H
#define GQA_RUNTIME_CACHE_ROWMOVE_H

#include <cstdint>
#include <vector>

namespace gqa::cache {

/// Rows of some sequences, `count` of each, in a tensor [tokens, heads, ...], and where they lie densely.
struct RowMove {
  char *packed, *copied;
  int64_t rowStride, headStride; ///< of `packed`, in bytes
  int64_t headBytes, heads, count;
  int64_t elementBytes;                  ///< 1, 2 or 4
  const std::vector<int64_t> *firstRows; ///< of each sequence
};

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ROWMOVE_H
