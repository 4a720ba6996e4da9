#ifndef GQA_RUNTIME_CACHE_ATTEND_H
#define GQA_RUNTIME_CACHE_ATTEND_H

#include "runtime/cache/AttendMemory.h"
#include "runtime/gqa_cache.h"

namespace gqa::cache {

/// The arguments of gqa_cache_attend.
struct AttendRequest {
  gqa_context *context;
  const gqa_cache *cache;
  const gqa_artifact *artifact;
  const char *entry;
  int32_t layer;
  const gqa_sequence *sequences;
  const int64_t *counts;
  int32_t numSequences;
  const gqa_attend_arguments *arguments;

  /// Throws gqa::Failure if something is null that must not be.
  void check() const;
};

/// Does what is asked, or counts the memory that it takes (AttendMemory::isMeasuring). Throws gqa::Failure.
void attend(const AttendRequest &request, AttendMemory &memory);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_ATTEND_H
