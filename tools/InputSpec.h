#ifndef GQA_TOOLS_INPUTSPEC_H
#define GQA_TOOLS_INPUTSPEC_H

#include "tools/HostTensor.h"

namespace gqa {

/// The tensor that an `--input` asks for:
///
///   @FILE.npy                 a file
///   1x8x128x64xf32            zeros
///   1x8x128x64xf32=1.5        a constant
///   1x8x128x64xf32=random     seeded numbers from a normal distribution (integers: 0 and 1)
///   1x8x128x64xf32=uniform    seeded numbers between -1 and 1 (integers: 0 and 1)
///   i32=7                     a scalar
///
/// `seed` differs from input to input. Throws std::runtime_error that names what is wrong.
HostTensor makeInput(const std::string &spec, uint64_t seed);

} // namespace gqa

#endif // GQA_TOOLS_INPUTSPEC_H
