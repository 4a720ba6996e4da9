#ifndef GQA_DIALECT_PAGETABLE_H
#define GQA_DIALECT_PAGETABLE_H

#include "mlir/IR/Builders.h"

namespace mlir::gqa {

/// The page that holds `block` of a sequence, an index in [0, numPages): `table` is the sequence's row of the block
/// table, [block] of i32. Blocks beyond the table count as its last one, and entries outside of the pages as the
/// nearest page, so whatever the table holds, nothing else is read. Neither the table nor the pages are empty.
Value buildPageLookup(OpBuilder &builder, Location loc, Value table, Value block, Value numPages);

/// The same where the table is no tensor: it has `numBlocks` entries (index), and `loadEntry` reads one of them.
Value buildPageLookup(OpBuilder &builder, Location loc, Value numBlocks, Value block, Value numPages,
                      function_ref<Value(Value)> loadEntry);

} // namespace mlir::gqa

#endif // GQA_DIALECT_PAGETABLE_H
