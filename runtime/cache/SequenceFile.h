#ifndef GQA_RUNTIME_CACHE_SEQUENCEFILE_H
#define GQA_RUNTIME_CACHE_SEQUENCEFILE_H

#include "runtime/cache/KVCache.h"

#include <string>

namespace gqa::cache {

/// A sequence in a file: its rows as they are stored, so nothing is rounded again.
///
///     8 bytes   magic "GQACACH1"
///     u64       number of layers
///     12 x i64  for each layer: what SequenceFile.cpp lists as fields; these must be those of the cache that loads it
///     u64       XXH64 of all before
///     tokens    for each layer, for each stored position in order: keys [heads][row], key scales [heads] f32 if they
///               have any, values, value scales
///     u64       XXH64 of the tokens
///
/// Integers and floats are little endian. Page sizes and storage are not in the file: what a paged cache has saved, a
/// contiguous one with the same heads loads. Rings load only what rings of the same shape have saved.
///
/// Throws gqa::Failure (GQA_IO_ERROR). The file is replaced as a whole, or left as it was.
void saveSequence(const KVCache &cache, SequenceId id, const std::string &path, BlockDevice *device = nullptr);

/// Adds the sequence in the file at `path` to the cache. Throws gqa::Failure: GQA_NOT_FOUND, GQA_IO_ERROR,
/// GQA_BAD_CACHE_FILE (foreign, truncated, damaged, or of other layers), GQA_OUT_OF_MEMORY; then the cache is
/// unchanged.
SequenceId loadSequence(KVCache &cache, const std::string &path, BlockDevice *device = nullptr);

} // namespace gqa::cache

#endif // GQA_RUNTIME_CACHE_SEQUENCEFILE_H
