#ifndef GQA_PASSES_GPU_KEYLOCATOR_H
#define GQA_PASSES_GPU_KEYLOCATOR_H

#include "dialect/PageTable.h"
#include "passes/gpu/AttentionGrid.h"
#include "passes/gpu/AttentionKernel.h"

namespace mlir::gqa {

/// Finds where the keys of the block's sequence are stored: under their number, or in the page and slot that the block
/// table says.
class KeyLocator {
public:
  KeyLocator(const AttentionPlace &place, KernelOperands &operands) : place(place), operands(operands) {
    AttentionOp op = place.shape.op;
    if (!op.getBlockTable())
      return;
    table = &*op.getBlockTableMutable().begin();
    slots = place.shape.getExtent(Dim::slot);
    hasOneBlock = place.shape.getExtent(Dim::block) == 1;
  }

  /// The place of key number `key` (i32).
  KeyIndices locate(OpBuilder &nested, Value key) const {
    if (!table)
      return {key, {}, {}};
    Location loc = place.loc;
    auto constant = [&](int64_t value) -> Value { return arith::ConstantIntOp::create(nested, loc, value, 32); };
    Value block = constant(0), slot = key;
    if (!hasOneBlock) {
      Value size = ShapedType::isDynamic(slots) ? getScalar(KernelScalar::slots) : constant(slots);
      block = arith::DivUIOp::create(nested, loc, key, size);
      slot = arith::RemUIOp::create(nested, loc, key, size);
    }
    auto toIndex = [&](Value value) -> Value {
      return arith::IndexCastOp::create(nested, loc, nested.getIndexType(), value);
    };
    Value page =
        buildPageLookup(nested, loc, toIndex(getScalar(KernelScalar::blocks)), toIndex(block),
                        toIndex(getScalar(KernelScalar::pages)), [&](Value known) { return loadEntry(nested, known); });
    return {key, page, slot};
  }

private:
  Value getScalar(KernelScalar scalar) const { return operands.getScalar(unsigned(scalar)); }

  Value loadEntry(OpBuilder &nested, Value block) const {
    AttentionOp op = place.shape.op;
    SmallVector<Value> indices;
    for (Dim dim : getDims(op.getMap(*table)))
      indices.push_back(dim == Dim::block ? block : place.batch);
    return operands.getTensor(table->getOperandNumber()).load(nested, place.loc, indices);
  }

  const AttentionPlace &place;
  KernelOperands &operands;
  OpOperand *table = nullptr;
  int64_t slots = 0;
  bool hasOneBlock = false;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_KEYLOCATOR_H
