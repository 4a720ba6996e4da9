#ifndef GQA_DIALECT_TD
#define GQA_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/AttrTypeBase.td"

def GQA_Dialect : Dialect {
  let name = "gqa";
  let cppNamespace = "::mlir::gqa";
  let summary = "Grouped-query attention on tensors";
  let description = [{
    One op, `gqa.attention`, states attention in which `G` query heads share one key/value head; a second one,
    `gqa.online_attention`, is the same on a range of keys, with the running state of the softmax going in and out.

    Seven loop dimensions have one name each, in this order, everywhere:

    | name  | extent                                    | kind      |
    |-------|-------------------------------------------|-----------|
    | `b`   | batch                                     | parallel  |
    | `hkv` | key/value heads                           | parallel  |
    | `g`   | query heads that share one key/value head | parallel  |
    | `m`   | query positions                           | parallel  |
    | `n`   | key positions                             | reduction |
    | `dqk` | head dimension of query and key           | reduction |
    | `dv`  | head dimension of value and output        | parallel  |

    Query head `h` of a model is `h = hkv * G + g`: groups are contiguous. Each operand lists the dimensions that it
    has, in its memory order: `query(%q[b, m, hkv, g, dqk] : ...)` is a `[B, S, H, D]` tensor seen with its heads
    expanded; a key that does not list `g` is shared by the group. A dimension that no operand lists has extent 1.
  }];
  let dependentDialects = ["arith::ArithDialect", "bufferization::BufferizationDialect", "linalg::LinalgDialect",
                           "math::MathDialect", "scf::SCFDialect", "tensor::TensorDialect"];
  let useDefaultAttributePrinterParser = 1;
}

#endif // GQA_DIALECT_TD
