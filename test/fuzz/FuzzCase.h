#ifndef GQA_TEST_FUZZ_FUZZCASE_H
#define GQA_TEST_FUZZ_FUZZCASE_H

#include "test/fuzz/GuardedTensor.h"
#include "test/fuzz/Random.h"

#include <functional>

namespace gqa {

/// A problem with random inputs, in the order of the arguments of its function. Keys, values and biases that no row
/// may see because of kv_len are NaN.
struct FuzzCase {
  AttentionProblem problem;
  std::vector<GuardedTensor> arguments;
  int64_t paddingStep = 1;
  std::optional<ElementType> weightType; ///< to which weights may be rounded, if not the values' own
  double queryRoundoff = 0;              ///< of fixed-point numbers that queries may become

  AttentionInputs getInputs() const;
};

/// Gaps between elements are multiples of `paddingStep` elements.
FuzzCase makeRandomCase(const AttentionProblem &problem, Random &random, int64_t paddingStep = 1);

/// Results for a case, in the order of the results of its function, not yet written.
std::vector<GuardedTensor> makeResults(const AttentionProblem &problem, Random &random, int64_t paddingStep = 1);

/// What is under test: computes `results` from the arguments on `numThreads` threads. Throws std::exception.
using Kernel =
    std::function<void(const std::vector<DLTensor> &arguments, std::vector<DLTensor> &results, int numThreads)>;

/// Runs `kernel` and judges it: against the reference, for untouched memory around results, for the same bits with 1,
/// 2 and 5 threads, and, where `canChangeBatch`, for the same bits of one batch entry alone. Returns what is wrong, or
/// "".
std::string checkCase(FuzzCase &fuzzCase, const Kernel &kernel, bool canChangeBatch, Random &random);

/// "" if two kernels give the same bits for a case; else where `right` differs from `left`.
std::string compareKernels(FuzzCase &fuzzCase, const Kernel &left, const Kernel &right, Random &random);

} // namespace gqa

#endif // GQA_TEST_FUZZ_FUZZCASE_H
