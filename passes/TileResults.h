#ifndef GQA_PASSES_TILERESULTS_H
#define GQA_PASSES_TILERESULTS_H

#include "passes/TileLoader.h"

namespace mlir::gqa {

/// Writes what tasks compute into the tensors that they share.
class TileResults {
public:
  TileResults(AttentionTask &task, TileLoader &loader)
      : task(task), loader(loader), b(task.b), loc(task.loc), math(task.math), schedule(task.schedule) {}

  /// scf.forall over `tasks`; in `body`, which gets their indices and the destinations, the functions below may write
  /// to destinations.
  SmallVector<Value> buildForall(ArrayRef<OpFoldResult> tasks, ValueRange destinations,
                                 function_ref<void(ValueRange, ValueRange)> body);

  /// Writes output, and lse where there is one, of a task whose keys `state` has met.
  void insertResults(const SoftmaxState &state, ValueRange destinations);

  /// Inserts a tile into [ids..., tile...].
  void insertPartial(Value tile, Value destination, ValueRange ids);

  /// The [split, tile...] part of partial results [ids..., split, tile...], its first `splits`.
  Value extractPartials(Value partials, ValueRange ids, OpFoldResult splits);

private:
  void insertRows(Value tile, ArrayRef<Dim> innerDims, Value destination, AffineMap map);
  Value expandRows(Value tile, ArrayRef<Dim> innerDims);

  AttentionTask &task;
  TileLoader &loader;
  RewriterBase &b;
  Location loc;
  IndexMath &math;
  ScheduleAttr schedule;
  /// Parallel insertions, which stand at the end of the loop's body.
  SmallVector<std::function<void()>> insertions;
};

} // namespace mlir::gqa

#endif // GQA_PASSES_TILERESULTS_H
