// Keys and values that are computed from repeated heads, as what is computed from the heads themselves.

#include "passes/raise/BuildAttention.h"
#include "passes/raise/StripRepeats.h"

namespace mlir::gqa::raise {

namespace {

/// Where a load reads along a loop in steps of one.
std::optional<unsigned> findDim(ExprRef load, Loop loop, const Tracer &tracer) {
  for (auto [dim, operand] : llvm::enumerate(load->operands))
    if (std::optional<Linear> index = tracer.exprs.getLinear(operand); index && index->getCoefficient(loop) == 1)
      return dim;
  return std::nullopt;
}

/// `load` with the last `group` steps of `loop` stripped from its tensor; null if they are no repeats.
ExprRef stripLoad(RepeatStripper &stripper, Tracer &tracer, ExprRef load, Loop loop, int64_t group) {
  std::optional<unsigned> dim = findDim(load, loop, tracer);
  if (!dim || group == 1)
    return nullptr;
  Linear index = *tracer.exprs.getLinear(load->operands[*dim]);
  bool isCut = index.constant % group == 0 && llvm::all_of(index.terms, [&](Linear::Term term) {
                 return term.first == loop || term.second % group == 0;
               });
  Value stripped = isCut ? stripper.strip(load->value, *dim, group) : nullptr;
  if (!stripped)
    return nullptr;
  std::optional<std::pair<Linear, Linear>> parts = tracer.loops.divide(index, group, Split::even);
  if (!parts)
    return nullptr;
  SmallVector<ExprRef> indices(load->operands);
  indices[*dim] = tracer.exprs.getIndex(parts->first, indices[*dim]->type);
  return tracer.getLoad(stripped, indices);
}

} // namespace

/// Makes `load` shared by the heads that `other` shares already.
void AttentionBuilder::shareHeads(ExprRef &load, ExprRef other) {
  for (Loop loop : getLoops(load, tracer.loops)) {
    int64_t extent = tracer.loops.getExtent(loop);
    if (ShapedType::isDynamic(extent) || dependsOn(other, loop, tracer.loops) ||
        !dependsOn(softmax.query, loop, tracer.loops) || loop == softmax.depthLoop)
      continue;
    RepeatStripper stripper(b, tracer);
    if (ExprRef shared = stripLoad(stripper, tracer, load, loop, extent))
      load = shared;
    else
      stripper.undo();
  }
}

/// Finds groups of heads that neither key nor value shows, since both are computed from repeats.
void AttentionBuilder::shareHeads() {
  shareHeads(softmax.key, softmax.value);
  shareHeads(softmax.value, softmax.key);
  SmallVector<Loop> loops = getLoops(softmax.key, tracer.loops);
  for (Loop loop : loops) {
    int64_t extent = tracer.loops.getExtent(loop);
    bool isShared = dependsOn(softmax.value, loop, tracer.loops) && dependsOn(softmax.query, loop, tracer.loops);
    bool isBatch = softmax.key->operands.size() > 3 && dependsOn(softmax.key->operands[0], loop, tracer.loops) &&
                   findDim(softmax.key, loop, tracer) == 0u;
    if (ShapedType::isDynamic(extent) || !isShared || isBatch || loop == softmax.keyLoop)
      continue;
    for (int64_t group = extent; group > 1; --group) {
      if (extent % group != 0)
        continue;
      RepeatStripper stripper(b, tracer);
      ExprRef key = stripLoad(stripper, tracer, softmax.key, loop, group);
      ExprRef value = key ? stripLoad(stripper, tracer, softmax.value, loop, group) : nullptr;
      if (value) {
        softmax.key = key;
        softmax.value = value;
        return;
      }
      stripper.undo();
    }
  }
}

} // namespace mlir::gqa::raise
