#ifndef GQA_TOOLS_NPY_H
#define GQA_TOOLS_NPY_H

#include "tools/HostTensor.h"

namespace gqa {

/// NumPy's .npy files (numpy.lib.format, versions 1 to 3): f2, f4, f8, i1, i2, i4, i8, u1 and bool, little endian, in C
/// or Fortran order. bf16 follows ml_dtypes, whose arrays save as two raw bytes ('<V2').

/// Throws std::runtime_error that names the file and what is wrong.
HostTensor readNpy(const std::string &path);

/// Writes the file as a whole or not at all. Throws std::runtime_error.
void writeNpy(const std::string &path, const HostTensor &tensor);

} // namespace gqa

#endif // GQA_TOOLS_NPY_H
