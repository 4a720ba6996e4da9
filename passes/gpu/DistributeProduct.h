#ifndef GQA_PASSES_GPU_DISTRIBUTEPRODUCT_H
#define GQA_PASSES_GPU_DISTRIBUTEPRODUCT_H

#include "passes/gpu/Lane.h"

namespace mlir::gqa {

/// What a lane holds of a product's operands, and where in shared memory the others begin.
struct ProductOperands {
  Fragment *a = nullptr, *init = nullptr;
  Value aAddress, bAddress;
};

/// The group of wgmma for a product: descriptors of its matrices in shared memory, and their steps along k.
Fragment buildProduct(const Lane &lane, gqa_gpu::StartProductOp product, const ProductOperands &operands);

/// Words of two rounded elements, in the order in which wgmma takes them: four for every 16 columns.
Fragment buildPackedPairs(const Lane &lane, Fragment &tile, gqa_gpu::PackPairsOp pack);

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_DISTRIBUTEPRODUCT_H
