// Which loop of a softmax is which dimension of attention.

#include "passes/raise/BuildAttention.h"

#include <array>

namespace mlir::gqa::raise {

std::optional<Mismatch> AttentionBuilder::nameLoops() {
  Operation *op = softmax.root.getDefiningOp();
  auto lists = [&](ExprRef load) { return getLoops(load, tracer.loops); };
  SmallVector<Loop> inQuery = lists(softmax.query), inKey = lists(softmax.key), inValue = lists(softmax.value), rows,
                    shared;
  auto has = [](ArrayRef<Loop> loops, Loop loop) { return llvm::is_contained(loops, loop); };
  SmallVector<Loop> inRoot; // outermost first
  for (Loop root : softmax.rootLoops)
    for (auto [loop, coefficient] : tracer.loops.getIndex(root).getOutermostFirst())
      inRoot.push_back(loop);
  for (Loop loop : inRoot) {
    if (has(inQuery, loop)) {
      (has(inKey, loop) || has(inValue, loop) ? shared : rows).push_back(loop);
    } else if (!has(inValue, loop) || has(inKey, loop)) {
      return Mismatch{op, "has a dimension that the query does not list"};
    } else if (llvm::is_contained(llvm::make_second_range(names), Dim::dv)) {
      return Mismatch{op, "has two dimensions of values"};
    } else {
      names[loop] = Dim::dv;
    }
  }
  if (!llvm::is_contained(llvm::make_second_range(names), Dim::dv))
    return Mismatch{op, "has no dimension of values"};
  names[softmax.keyLoop] = Dim::n;
  names[softmax.depthLoop] = Dim::dqk;
  if (!has(inKey, softmax.keyLoop) || !has(inValue, softmax.keyLoop) || !has(inQuery, softmax.depthLoop) ||
      !has(inKey, softmax.depthLoop))
    return Mismatch{op, "reads key or value without running through it"};
  for (ArrayRef<Loop> loops : {ArrayRef(inQuery), ArrayRef(inKey), ArrayRef(inValue)})
    for (Loop loop : loops)
      if (!has(inRoot, loop) && loop != softmax.keyLoop && loop != softmax.depthLoop)
        return Mismatch{op, "sums over more than keys and head dimensions"};
  if (std::optional<Mismatch> mismatch = nameShared(shared))
    return mismatch;
  return nameRows(rows, shared);
}

/// Loops of query and key or value, outermost first: the batch and the K/V heads.
std::optional<Mismatch> AttentionBuilder::nameShared(ArrayRef<Loop> shared) {
  auto isDynamic = [&](Loop loop) { return ShapedType::isDynamic(tracer.loops.getExtent(loop)); };
  // Masks and biases vary along the batch rather than along K/V heads.
  auto isMasked = [&](Loop loop) {
    return llvm::any_of(softmax.scores.masks, [&](ExprRef mask) { return dependsOn(mask, loop, tracer.loops); });
  };
  Operation *op = softmax.root.getDefiningOp();
  if (shared.size() > 2)
    return nameBatch(shared);
  if (shared.size() == 1) {
    // A lone head may have been left out behind the batch, [B, 1, N, D] or [B, N, 1, D].
    const Expr &key = *softmax.key;
    bool isFirst = key.operands.size() > 3 && dependsOn(key.operands[0], shared[0], tracer.loops);
    names[shared[0]] = isDynamic(shared[0]) || isMasked(shared[0]) || isFirst ? Dim::b : Dim::hkv;
  } else if (shared.size() == 2) {
    bool isSwapped = isDynamic(shared[1]) || (!isDynamic(shared[0]) && isMasked(shared[1]) && !isMasked(shared[0]));
    names[shared[isSwapped ? 1 : 0]] = Dim::b;
    names[shared[isSwapped ? 0 : 1]] = Dim::hkv;
    if (isDynamic(shared[isSwapped ? 0 : 1]))
      return Mismatch{op, "has a dynamic number of heads"};
  }
  return std::nullopt;
}

/// The loops along which `load` is read, outermost first.
static SmallVector<Loop> getOrderedLoops(ExprRef load, const Tracer &tracer) {
  SmallVector<Loop> loops;
  for (ExprRef operand : load->operands)
    if (std::optional<Linear> index = tracer.exprs.getLinear(operand))
      for (auto [loop, coefficient] : index->getOutermostFirst())
        loops.push_back(loop);
  return loops;
}

/// More than two loops of query and key or value. Those that can be K/V heads leave the others side by side, as one
/// batch: if there is a choice, the loop that a group was split from, or the last one.
Loop AttentionBuilder::chooseHeads(ArrayRef<Loop> shared) {
  auto isSplit = [&](Loop loop) {
    std::optional<Loop> sibling = tracer.loops.getSibling(loop);
    return sibling && !llvm::is_contained(shared, *sibling);
  };
  SmallVector<Loop> candidates = llvm::filter_to_vector(shared, isSplit);
  candidates.append(shared.rbegin(), shared.rend());
  auto leavesBatch = [&](Loop heads) {
    SmallVector<Loop> batch = llvm::filter_to_vector(shared, [&](Loop loop) { return loop != heads; });
    return llvm::all_of(std::array{softmax.query, softmax.key, softmax.value}, [&](ExprRef load) {
      SmallVector<Loop> loops = getOrderedLoops(load, tracer);
      auto *first = llvm::find(loops, batch[0]);
      return ArrayRef(first, loops.end()).take_front(batch.size()) == ArrayRef(batch);
    });
  };
  auto *heads = llvm::find_if(candidates, leavesBatch);
  return heads == candidates.end() ? candidates[0] : *heads;
}

std::optional<Mismatch> AttentionBuilder::nameBatch(ArrayRef<Loop> shared) {
  Loop heads = chooseHeads(shared);
  SmallVector<Loop> batch = llvm::filter_to_vector(shared, [&](Loop loop) { return loop != heads; });
  for (Loop loop : shared) {
    if (!dependsOn(softmax.key, loop, tracer.loops) || !dependsOn(softmax.value, loop, tracer.loops))
      return Mismatch{softmax.root.getDefiningOp(), "has batch dimensions that key or value does not list"};
    if (ShapedType::isDynamic(tracer.loops.getExtent(loop)))
      return Mismatch{softmax.root.getDefiningOp(), "has several dynamic batch dimensions"};
    names[loop] = loop == heads ? Dim::hkv : Dim::b;
  }
  operands.setBatch(batch);
  return std::nullopt;
}

/// Loops of the query alone: its positions, and the heads of a group.
std::optional<Mismatch> AttentionBuilder::nameRows(ArrayRef<Loop> rows, ArrayRef<Loop> shared) {
  Operation *op = softmax.root.getDefiningOp();
  if (rows.size() > 2)
    return Mismatch{op, "has more dimensions of query rows than positions and the heads of a group"};
  auto isDynamic = [&](Loop loop) { return ShapedType::isDynamic(tracer.loops.getExtent(loop)); };
  auto isGroup = [&](Loop loop) {
    std::optional<Loop> sibling = tracer.loops.getSibling(loop);
    return !isDynamic(loop) && sibling && llvm::is_contained(shared, *sibling);
  };
  rowLoop = MaskReader(tracer, softmax.keyLoop).findRowLoop(softmax.scores.masks, rows);
  if (!rowLoop && rows.size() == 1 && !isGroup(rows[0]))
    rowLoop = rows[0];
  if (!rowLoop && rows.size() == 2) {
    // Either way round is the same function. More rows in m run better.
    bool isSecond =
        isGroup(rows[0]) || isDynamic(rows[1]) ||
        (!isGroup(rows[1]) && !isDynamic(rows[0]) && tracer.loops.getExtent(rows[1]) > tracer.loops.getExtent(rows[0]));
    rowLoop = rows[isSecond ? 1 : 0];
  }
  for (Loop row : rows) {
    names[row] = row == rowLoop ? Dim::m : Dim::g;
    if (row != rowLoop && isDynamic(row))
      return Mismatch{op, "has a dynamic number of heads in a group"};
  }
  return std::nullopt;
}

} // namespace mlir::gqa::raise
