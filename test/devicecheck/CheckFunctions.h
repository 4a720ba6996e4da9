#ifndef GQA_TEST_DEVICECHECK_CHECKFUNCTIONS_H
#define GQA_TEST_DEVICECHECK_CHECKFUNCTIONS_H

#include "test/fuzz/RandomProblem.h"
#include "tools/DecodePlan.h"

#include <optional>
#include <string>

namespace gqa {

/// What is checked, in the order in which faults are understood.
///
/// tiles: a window of one key and an offset per sequence, so that each row sees one key: lse is then one element of
/// Q K^T, and the output one row of V. Over the offsets every element of both products is met, and a wrong descriptor
/// or layout shows as wrong lse (Q or K) or as wrong output with right lse (V).
///
/// block: all keys in one tile, no mask. correctness: head counts, dims, lengths, masks and options. cached: keys and
/// values in a KV cache: in pages, quantised, in rings. bench: the sizes that are timed. tune: the same with other
/// schedules than the compiler's.
enum class Stage { tiles, block, correctness, cached, bench, tune };
const char *getName(Stage stage);

/// A function to compile ahead; its calls follow from its name and the number of the call.
struct CheckFunction {
  std::string name;
  Stage stage;
  FuzzFunction function;
  int64_t calls;
  std::optional<CacheLayout> layout = std::nullopt;    ///< keys and values are in a KV cache
  std::optional<DecodeCase> decodeCase = std::nullopt; ///< timed by gqa_cache_attend on a cache on the device
  std::string schedule = "";                           ///< "": the compiler's own

  /// The function's text in MLIR.
  std::string print() const;
};

/// All functions, the same on every machine.
std::vector<CheckFunction> makeCheckFunctions();

/// Adds functions of the tune stage, for Hopper: those of the bench stage with other schedules.
void addScheduleVariants(std::vector<CheckFunction> &functions);

/// The heads that the cached functions of the bench stage have.
DecodePlan makeDecodePlan();

/// The stream of random numbers that belongs to a function.
uint64_t getStream(const CheckFunction &function);

/// The problem of one call; `isSmall`: few tokens, for tools that make kernels slow.
AttentionProblem makeCheckCall(const CheckFunction &function, int64_t call, bool isSmall);

} // namespace gqa

#endif // GQA_TEST_DEVICECHECK_CHECKFUNCTIONS_H
