#include "tools/CachedProblem.h"

#include <algorithm>

namespace gqa {

static ElementType getElementType(CacheType type) {
  switch (type) {
  case CacheType::f32:
    return ElementType::f32;
  case CacheType::f16:
    return ElementType::f16;
  case CacheType::bf16:
    return ElementType::bf16;
  case CacheType::f8e4m3:
    return ElementType::f8E4M3FN;
  case CacheType::i8:
  case CacheType::i4:
    return ElementType::i8; // two 4-bit elements to a byte
  }
  return ElementType::f32; // all kinds are handled
}

static bool lists(const Operand &operand, Dim dim) {
  return std::find(operand.dims.begin(), operand.dims.end(), dim) != operand.dims.end();
}

/// [page, hkv, slot], without hkv where `dense` has none.
static std::vector<Dim> getTokenDims(const Operand &dense) {
  if (lists(dense, Dim::hkv))
    return {Dim::page, Dim::hkv, Dim::slot};
  return {Dim::page, Dim::slot};
}

static Operand makeRows(const Operand &dense, CacheType type, Dim row, Dim packedRow) {
  Operand rows{getTokenDims(dense), getElementType(type)};
  rows.dims.push_back(type == CacheType::i4 ? packedRow : row);
  return rows;
}

AttentionProblem makeCachedProblem(const AttentionProblem &problem, const CacheLayout &layout) {
  AttentionProblem cached = problem;
  cached.key = makeRows(problem.key, layout.keyType, Dim::dqk, Dim::dqk2);
  cached.value = makeRows(problem.value, layout.valueType, Dim::dv, Dim::dv2);
  std::vector<Dim> batch;
  if (lists(problem.key, Dim::b))
    batch.push_back(Dim::b);
  (layout.ring ? cached.length : cached.kvLen) = Operand{batch, ElementType::i32};
  if (layout.ring)
    cached.kvLen.reset();
  cached.ring = layout.ring;
  std::vector<Dim> table = batch;
  table.push_back(Dim::block);
  cached.blockTable = Operand{table, ElementType::i32};
  if (layout.hasChannelScales && isQuantised(layout.keyType))
    cached.keyScale =
        Operand{lists(problem.key, Dim::hkv) ? std::vector<Dim>{Dim::hkv, Dim::dqk} : std::vector{Dim::dqk}};
  else if (isQuantised(layout.keyType))
    cached.keyScale = Operand{getTokenDims(problem.key)};
  if (isQuantised(layout.valueType))
    cached.valueScale = Operand{getTokenDims(problem.value)};
  at(cached.extents, Dim::slot) = layout.pageSize;
  at(cached.extents, Dim::dqk2) = problem.getExtent(Dim::dqk) / 2;
  at(cached.extents, Dim::dv2) = problem.getExtent(Dim::dv) / 2;
  if (layout.pageSize == 0)
    at(cached.extents, Dim::block) = 1;
  return cached;
}

} // namespace gqa
