#ifndef GQA_PASSES_GPU_ATTENTIONGRID_H
#define GQA_PASSES_GPU_ATTENTIONGRID_H

#include "passes/gpu/KernelOperands.h"
#include "passes/gpu/OperandTile.h"

namespace mlir::gqa {

/// The shape of an attention as its kernels see it. Query positions and the heads of a group are one dimension of rows,
/// heads fastest, so that one tile serves all heads of a group, and any number of positions.
struct AttentionShape {
  explicit AttentionShape(AttentionOp op, bool mayPack = true)
      : op(op), maps(op.getMaps()), operands(op.getOperands()), tiles(op) {
    group = getExtent(Dim::g);
    heads = getExtent(Dim::hkv);
    // With a key per query head there is nothing to share: each head is a tile of its own.
    isGroupInTile = mayPack && !hasDim(op.getKeyMap(), Dim::g) && !hasDim(op.getValueMap(), Dim::g);
    dqk = getExtent(Dim::dqk);
    dv = getExtent(Dim::dv);
  }

  int64_t getExtent(Dim dim) const { return getStaticExtent(maps, operands, dim); }
  /// Query heads in one tile, and tiles of heads.
  int64_t getTileHeads() const { return isGroupInTile ? group : 1; }
  int64_t getHeadTiles() const { return isGroupInTile ? heads : heads * group; }
  /// Head dimensions as tiles have them.
  int64_t getPaddedDqk() const { return tiles.query.width; }
  int64_t getPaddedDv() const { return tiles.value.width; }

  AttentionOp op;
  SmallVector<AffineMap> maps;
  SmallVector<Value> operands;
  OperandTiles tiles;
  int64_t group, heads, dqk, dv;
  bool isGroupInTile;
};

/// Where a key is stored: its number or, where keys are in pages, its page and slot; i32 or index.
struct KeyIndices {
  Value n, page, slot;
};

/// Which part of the attention a block and its warps work on. Blocks are numbered (row tile * splits + split, head
/// tile, batch entry).
struct AttentionPlace {
  OpBuilder &b;
  Location loc;
  const AttentionShape &shape;
  Value batch, heads, rows; // i32; `heads`: number of the head tile; `rows`: query rows in all

  Value i32(int64_t value) const { return arith::ConstantIntOp::create(b, loc, value, 32); }
  Value i64(int64_t value) const { return arith::ConstantIntOp::create(b, loc, value, 64); }
  /// `row` (i32), or the last one if there is no such row.
  Value clampRow(OpBuilder &nested, Value row) const {
    Value last = arith::SubIOp::create(nested, loc, rows, arith::ConstantIntOp::create(nested, loc, 1, 32));
    return arith::MinSIOp::create(nested, loc, row, last);
  }
  Value isRow(OpBuilder &nested, Value row) const {
    return arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::slt, row, rows);
  }

  /// The indices of `row` (i32) in a tensor with `map`; dimensions that are not of rows are absent.
  SmallVector<Value> getIndices(OpBuilder &nested, AffineMap map, Value row, const KeyIndices &key = {}) const {
    SmallVector<Value> indices;
    for (Dim dim : getDims(map))
      indices.push_back(getIndex(nested, dim, row, key));
    return indices;
  }

private:
  Value getIndex(OpBuilder &nested, Dim dim, Value row, const KeyIndices &key) const {
    auto constant = [&](int64_t value) { return arith::ConstantIntOp::create(nested, loc, value, 32); };
    int64_t tileHeads = shape.getTileHeads();
    switch (dim) {
    case Dim::b:
      return batch;
    case Dim::hkv:
      return shape.isGroupInTile || shape.group == 1
                 ? heads
                 : Value(arith::DivUIOp::create(nested, loc, heads, constant(shape.group)));
    case Dim::g:
      if (!shape.isGroupInTile)
        return arith::RemUIOp::create(nested, loc, heads, constant(shape.group));
      return row ? Value(arith::RemUIOp::create(nested, loc, row, constant(tileHeads))) : Value();
    case Dim::m:
      return row ? Value(arith::DivUIOp::create(nested, loc, row, constant(tileHeads))) : Value();
    case Dim::n:
      return key.n;
    case Dim::page:
      return key.page;
    case Dim::slot:
      return key.slot;
    default:
      return {};
    }
  }
};

} // namespace mlir::gqa

#endif // GQA_PASSES_GPU_ATTENTIONGRID_H
