#ifndef GQA_PASSES_GPU_OPERANDTILE_H
#define GQA_PASSES_GPU_OPERANDTILE_H

#include "dialect/AttentionDims.h"
#include "dialect/GQADialect.h"
#include "dialect/gpu/GQAGpuDialect.h"

namespace mlir::gqa {

/// Rows as they are copied to shared memory: `columns` elements, zeros up to `width`, `pitch` bytes apart.
struct CopiedRows {
  int64_t columns, width, pitch;
  Type element;
};

/// How query, key or value is stored, and the tile that products take of it.
struct OperandTile {
  Type stored, element; ///< in memory and in the tile
  bool isPacked;        ///< memory has two 4-bit elements to a byte
  bool hasFactors;      ///< columns have scales
  int64_t columns;      ///< the head dimension
  int64_t width;        ///< the tile's, a multiple of 16

  /// Whether rows are converted after they have been copied.
  bool isConverted() const { return stored != element; }
  int64_t getTilePitch() const { return gqa_gpu::getSharedPitch(width, element); }

  /// Rows as they are copied, in units of what memory has, whole 16 bytes in shared memory.
  CopiedRows getCopiedRows() const {
    int64_t units = isPacked ? 2 : 1;
    int64_t copied = llvm::alignTo(width / units, 128 / stored.getIntOrFloatBitWidth());
    return {columns / units, copied, gqa_gpu::getSharedPitch(copied, stored), stored};
  }
  /// What addresses of rows in memory are multiples of.
  int64_t getAlignment() const { return gqa_gpu::getCopyBytes(getCopiedRows().columns, stored); }
};

/// The tiles of one attention. Products are of half-precision numbers if the query is, and keys and values are either
/// the same or quantised; of f32 otherwise. Quantised elements are exact in f16 and bf16; values take bf16, in which
/// weights times scales do not underflow.
struct OperandTiles {
  explicit OperandTiles(AttentionOp op) {
    auto getElement = [](Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); };
    auto isQuantised = [](Type type) { return type.isInteger(8) || isa<Float8E4M3FNType>(type); };
    Type q = getElement(op.getQuery()), k = getElement(op.getKey()), v = getElement(op.getValue());
    bool isHalf = (q.isF16() || q.isBF16()) && (k == q || isQuantised(k)) && (v == q || isQuantised(v));
    Type f32 = Float32Type::get(op.getContext()), bf16 = BFloat16Type::get(op.getContext());
    auto getExtent = [&](Dim dim) { return getStaticExtent(op.getMaps(), op.getTensors(), dim); };
    auto make = [&](Type stored, Type element, bool isPacked, int64_t columns) -> OperandTile {
      return {
          stored, element, isPacked, /*hasFactors=*/false, columns, static_cast<int64_t>(llvm::alignTo(columns, 16))};
    };
    int64_t dqk = getExtent(Dim::dqk), dv = getExtent(Dim::dv);
    query = make(q, isHalf ? q : f32, /*isPacked=*/false, dqk);
    key = make(k, isHalf ? q : f32, hasDim(op.getKeyMap(), Dim::dqk2), dqk);
    value = make(v, !isHalf ? f32 : v == q ? q : bf16, hasDim(op.getValueMap(), Dim::dv2), dv);
    key.hasFactors = op.getKeyScale() && hasDim(op.getMap(*op.getKeyScaleMutable().begin()), Dim::dqk);
  }

  OperandTile query, key, value;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_OPERANDTILE_H
