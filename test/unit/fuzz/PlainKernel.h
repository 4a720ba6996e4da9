#ifndef GQA_TEST_UNIT_FUZZ_PLAINKERNEL_H
#define GQA_TEST_UNIT_FUZZ_PLAINKERNEL_H

#include "test/fuzz/FuzzCase.h"

namespace gqa {

/// Ways to break a kernel.
enum class Bug {
  none,
  headModulo,         // query head h uses key head h mod Hkv
  wrongAlignment,     // top_left and bottom_right are confused
  missingRescale,     // an accumulator keeps the weights of an earlier maximum
  missingScale,       // scores are not scaled
  offByOneCausal,     // a row does not see its own position
  ignoredKvLen,       // keys behind kv_len take part
  sinkInLse,          // lse has the sink in it
  lostLastKey,        // the last key of an odd number is dropped
  emptyRowNaN,        // a row without keys is 0 / 0
  threadsChangeSum,   // the order of summation follows the number of threads
  batchChangesSum,    // the order of summation follows the batch size
  writesBehindResult, // one element too many is written
};

/// Online softmax over blocks of keys in plain f32 loops, for f32 problems of the default layouts with masks by kv_len
/// and position, sinks and lse.
Kernel makePlainKernel(const AttentionProblem &problem, Bug bug);

} // namespace gqa

#endif // GQA_TEST_UNIT_FUZZ_PLAINKERNEL_H
