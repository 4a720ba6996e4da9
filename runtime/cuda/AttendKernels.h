#ifndef GQA_RUNTIME_CUDA_ATTENDKERNELS_H
#define GQA_RUNTIME_CUDA_ATTENDKERNELS_H

#include <stdint.h>

/// What the kernels beside attention take: they bring block tables and rows to where attention reads them, and merge
/// partial results. C++ without a library, which clang compiles to PTX when the runtime is built (AttendKernels.cpp).
/// Everything that the host knows comes as a parameter, of which a kernel has 4 KB.
namespace gqa::cuda {

constexpr int kMaxWords = 1000;
constexpr int kMaxMoves = 480;
constexpr int kMaxParts = 48;
constexpr int kMergedDims = 4;

/// Writes `count` numbers; launched on blocks for kAttendThreads of them each.
struct PutTask {
  int32_t *to;
  int32_t count;
  int32_t words[kMaxWords];
};

/// Copies `count` rows of each of `numSequences` sequences from tensors [tokens, heads, ...] to one that is dense, or
/// back. Launched on (rows of all sequences, heads) blocks.
struct MoveTask {
  char *packed, *copied;
  int64_t rowStride, headStride; ///< of `packed`, in bytes
  int32_t headBytes, heads, count, numSequences;
  int32_t elementBytes; ///< 1, 2 or 4: what addresses are multiples of
  int32_t isBack;
  int64_t firstRows[kMaxMoves];
};

/// Rows of f32 and their lse, which lie the given number of elements apart.
struct MergePlace {
  float *output, *lse;
  int64_t outputStrides[kMergedDims], lseStrides[kMergedDims];
};

/// Merges rows of disjoint ranges of keys (PartialWeights). Launched on a block per row.
struct MergeTask {
  int64_t shape[kMergedDims]; ///< of the rows
  int64_t dv;
  int32_t numParts;
  MergePlace result, parts[kMaxParts];
};

static_assert(sizeof(PutTask) <= 4096 && sizeof(MoveTask) <= 4096 && sizeof(MergeTask) <= 4096, "too many parameters");

/// Threads of a block.
constexpr int kAttendThreads = 64;

} // namespace gqa::cuda

#endif // GQA_RUNTIME_CUDA_ATTENDKERNELS_H
