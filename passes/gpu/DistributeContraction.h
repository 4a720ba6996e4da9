#ifndef GQA_PASSES_GPU_DISTRIBUTECONTRACTION_H
#define GQA_PASSES_GPU_DISTRIBUTECONTRACTION_H

#include "passes/gpu/Lane.h"

namespace mlir::gqa {

/// init[rows, columns] + a[rows, k] * b, where `b` lies in shared memory as [columns, k], or as [k, columns] if
/// `isTransposed`; `a` is in registers or in shared memory. Emits ldmatrix and mma.
Fragment buildContraction(const Lane &lane, Fragment a, const Fragment &b, Fragment init, bool isTransposed);

/// The same where all elements are f32.
Fragment buildTF32Contraction(const Lane &lane, Fragment a, const Fragment &b, Fragment init, bool isTransposed);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_DISTRIBUTECONTRACTION_H
