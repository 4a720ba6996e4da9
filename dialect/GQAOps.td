#ifndef GQA_OPS_TD
#define GQA_OPS_TD

include "dialect/GQAAttributes.td"
include "mlir/Dialect/Linalg/IR/LinalgInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/TilingInterface.td"

class GQA_Op<string mnemonic, list<Trait> traits = []> : Op<GQA_Dialect, mnemonic, !listconcat(traits, [
    Pure, AttrSizedOperandSegments, DestinationStyleOpInterface])> {
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;

  code commonDeclarations = [{
    /// The map of each operand, in operand order, over (b, hkv, g, m, n, dqk, dv).
    SmallVector<AffineMap> getMaps() { return llvm::to_vector(getIndexingMaps().getAsValueRange<AffineMapAttr>()); }
    AffineMap getMap(OpOperand &operand) {
      return cast<AffineMapAttr>(getIndexingMaps()[operand.getOperandNumber()]).getValue();
    }
    AffineMap getQueryMap() { return getMap(getQueryMutable()); }
    AffineMap getKeyMap() { return getMap(getKeyMutable()); }
    AffineMap getValueMap() { return getMap(getValueMutable()); }
    /// The operands with maps: all tensors.
    ValueRange getTensors() { return getOperands().take_front(getIndexingMaps().size()); }
    bool isMaskedByPosition() { return getCausal() || getWindowLeft() || getWindowRight(); }
    MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
  }];
}

defvar tilingMethods = [
    "getLoopIteratorTypes", "getIterationDomain", "getTiledImplementation", "getResultTilePosition",
    "generateResultTileValue", "getIterationDomainTileFromResultTile"];

def GQA_AttentionOp : GQA_Op<"attention", [
    DeclareOpInterfaceMethods<TilingInterface, tilingMethods>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let summary = "attention in which G query heads share one key/value head";
  let description = [{
    For every batch entry `b`, key/value head `hkv`, query head `g` of its group and query position `m`:

    ```text
    s[n] = scale * sum_dqk query[dqk] * key[n, dqk]
    s[n] = softcap * tanh(s[n] / softcap)                    if softcap
    s[n] = s[n] + bias[n]                                    if bias
    s[n] = -inf                                              if key n is masked out for this row
    p[n] = exp(s[n] - M) / (sum_n exp(s[n] - M) + exp(sink - M)),   M = max(max_n s[n], sink)
    output[dv] = sum_n p[n] * value[n, dv]
    lse = log sum_n exp(s[n])                                natural logarithm, without the sink
    ```

    Key `n` is masked out if one of these holds, where the row's position is `p = m + offset[b]`:

    - `n >= kv_len[b]`; memory there is never read into a result, even if it holds NaN. Lengths below 0 or beyond the
      extent of `n` count as that bound;
    - `causal` and `n > p`;
    - `window(left L ...)` and `n < p - L`; `window(... right R)` and `n > p + R`;
    - `mask` is false (0) there.

    `align top_left` is `offset = 0`; `align bottom_right` is `offset[b] = kv_len[b] - M`, so the last row sees the last
    key; `offset` gives it per batch entry. A row without any key gives `output = 0` and `lse = -inf`.

    Products are accumulated and the softmax is computed in f32 whatever the operands' element types are.

    | operand  | dimensions                                    | element type                  |
    |----------|-----------------------------------------------|-------------------------------|
    | `query`  | some of b, hkv, g, m; dqk                     | f32, f16, bf16                |
    | `key`    | some of b, hkv, g; n, dqk                     | f32, f16, bf16                |
    | `value`  | some of b, hkv, g; n, dv                      | f32, f16, bf16                |
    | `bias`   | any of b, hkv, g, m, n                        | f32, f16, bf16                |
    | `mask`   | any of b, hkv, g, m, n                        | i1, or i8 with 0 as false     |
    | `kv_len` | any of b                                      | i32, i64                      |
    | `offset` | any of b                                      | i32, i64                      |
    | `sink`   | any of hkv, g                                 | f32, f16, bf16                |
    | outputs  | b, hkv, g, m of query, and dv; then for `lse` b, hkv, g, m | f32, f16, bf16; `lse` f32 |

    Tiling (TilingInterface) cuts `b`, `hkv`, `g`, `m`, and `dv` if there is no `lse`, which every tile of `dv` would
    compute again. The softmax needs all of `n` and `dqk`. A tile of `m` says where its rows stand by `offset`.

    Constraints:

    - C1: there is one map per tensor operand, in operand order: a projected permutation of the seven dimensions (each
      at most once, nothing constant), with as many results as the operand's rank.
    - C2: each operand lists the dimensions of the table above. Of `b`, `hkv`, `g`, `m`, outputs list exactly those that
      query lists, in any order, and no other operand lists one that query does not; key and value both list `g` (a key
      per query head) or neither.
    - C3: element types are those of the table.
    - C4: operands that list one dimension have one extent there. Where types show two of them, they are equal; nothing is
      broadcast from extent 1: an operand that does not vary along a dimension does not list it.
    - C5: the extents of `hkv`, `g`, `dqk` and `dv` are positive, and static in at least one operand. Those of `b`, `m`
      and `n` may be dynamic, and 0.
    - C6: `scale` is finite; `softcap` is finite and positive (leaving it out switches it off).
    - C7: `causal` and `window` need exactly one of `align` and `offset`; without them neither is allowed.
    - C8: window extents are not negative.
    - C9: there are one or two outputs, and a result of the same type for each.

    Example, Llama-3-8B heads on a `[B, H, S, D]` layout, causal, with a cache longer than the queries:

    ```mlir
    %o = gqa.attention scale 0.0883883461 causal align bottom_right
        query(%q[b, hkv, g, m, dqk] : tensor<1x8x4x?x128xf32>)
        key(%k[b, hkv, n, dqk] : tensor<1x8x?x128xf32>)
        value(%v[b, hkv, n, dv] : tensor<1x8x?x128xf32>)
        outs(%init[b, hkv, g, m, dv] : tensor<1x8x4x?x128xf32>)
    ```
  }];
  let arguments = (ins
    AnyRankedTensor:$query, AnyRankedTensor:$key, AnyRankedTensor:$value,
    Optional<AnyRankedTensor>:$bias, Optional<AnyRankedTensor>:$mask,
    Optional<AnyRankedTensor>:$kv_len, Optional<AnyRankedTensor>:$offset, Optional<AnyRankedTensor>:$sink,
    Variadic<AnyRankedTensor>:$outputs,
    AffineMapArrayAttr:$indexing_maps, F32Attr:$scale, OptionalAttr<F32Attr>:$softcap, UnitAttr:$causal,
    OptionalAttr<GQA_AlignmentAttr>:$alignment, OptionalAttr<I64Attr>:$window_left,
    OptionalAttr<I64Attr>:$window_right, OptionalAttr<GQA_ScheduleAttr>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasCanonicalizer = 1;
  let extraClassDeclaration = commonDeclarations # [{
    Value getOutput() { return getOutputs().front(); }
    /// The destination of lse, or null.
    Value getLse() { return getOutputs().size() == 2 ? getOutputs()[1] : Value(); }
    AffineMap getOutputMap() { return getMap(getOutputsMutable()[0]); }
  }];
}

def GQA_OnlineAttentionOp : GQA_Op<"online_attention", [
    DeclareOpInterfaceMethods<TilingInterface, tilingMethods>,
    DeclareOpInterfaceMethods<PartialReductionOpInterface, [
        "generateInitialTensorForPartialReduction", "tileToPartialReduction", "mergeReductions",
        "getPartialResultTilePosition"]>,
    DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let summary = "attention over a range of keys, with the softmax's running state in and out";
  let description = [{
    Adds the keys of this op to a running softmax (Milakov & Gimelshein 2018; FlashAttention, Dao et al. 2022):

    ```text
    s[n]   = log2(e) * (the masked scores of gqa.attention)         scores are in base 2
    max'   = max(max, max_n s[n])
    p[n]   = exp2(s[n] - max')
    r      = exp2(max - max')
    sum'   = r * sum + sum_n p[n]
    acc'   = r * acc + sum_n p[n] * value[n, dv]
    ```

    A row that has met no key yet has `max = -inf`, `sum = 0`, `acc = 0`; exponents of rows that stay without keys are
    taken as 0. The state starts from these values, and ends as `output = acc / sum`, `lse = ln(2) * max + ln(sum)`.

    Key `n` of the op has position `n + key_start` (0 if absent); row `m` has position `positions[...]`. Masking by
    `kv_len`, `causal` and windows compares these positions as in `gqa.attention`.

    | operand     | dimensions                              | element type     |
    |-------------|-----------------------------------------|------------------|
    | `query`     | some of b, hkv, g, m; dqk               | f32, f16, bf16   |
    | `key`       | some of b, hkv, g; n, dqk               | f32, f16, bf16   |
    | `value`     | some of b, hkv, g; n, dv                | f32, f16, bf16   |
    | `bias`      | any of b, hkv, g, m, n                  | f32, f16, bf16   |
    | `mask`      | any of b, hkv, g, m, n                  | i1, or i8        |
    | `kv_len`    | any of b                                | i32              |
    | `positions` | any of b, g, m                          | i32              |
    | outputs     | acc: b, hkv, g, m of query and dv; max, sum: b, hkv, g, m | f32 |

    Tiling (TilingInterface) cuts `b`, `hkv`, `g`, `m` in parallel and `n` in sequence; tiles of `n` add where they start
    to `key_start`. PartialReductionOpInterface cuts `n` into ranges whose states are computed in parallel and merged.

    `dot` lets the decomposition multiply pairs of bf16 and accumulate in f32.

    The order of an operand's dimensions says how a tile lies in memory, and the decomposition follows it: `acc[dv, m]`
    gives scores `[n, m]` (query rows in the vector lanes), `acc[m, dv]` gives scores `[m, n]`.

    Constraints:

    - C1 to C6, C8 as for `gqa.attention`.
    - C10: `causal` and `window` need `positions`; without them it is not allowed.
    - C11: there are three outputs, acc, max and sum, and a result of the same type for each; max and sum list the same
      dimensions in the same order.
    - C12: `dot`, which makes products of pairs of bf16, needs bf16 in query, key and value, `acc[dv, m]`, `query[m, dqk]`,
      `key[n, dqk]`, `value[n, dv]`, and even `n` and `dqk`.

    ```mlir
    %acc, %max, %sum = gqa.online_attention scale 1.0 causal
        query(%q[dqk, m] : tensor<128x64xf32>) key(%k[n, dqk] : tensor<64x128xf32>) value(%v[n, dv] : tensor<64x128xf32>)
        positions(%p[m] : tensor<64xi32>)
        outs(%a[dv, m] : tensor<128x64xf32>, %x[m] : tensor<64xf32>, %s[m] : tensor<64xf32>) key_start(%n0)
    ```
  }];
  let arguments = (ins
    AnyRankedTensor:$query, AnyRankedTensor:$key, AnyRankedTensor:$value,
    Optional<AnyRankedTensor>:$bias, Optional<AnyRankedTensor>:$mask,
    Optional<AnyRankedTensor>:$kv_len, Optional<AnyRankedTensor>:$positions,
    Variadic<AnyRankedTensor>:$outputs, Optional<Index>:$key_start,
    AffineMapArrayAttr:$indexing_maps, F32Attr:$scale, OptionalAttr<F32Attr>:$softcap, UnitAttr:$causal,
    OptionalAttr<I64Attr>:$window_left, OptionalAttr<I64Attr>:$window_right, UnitAttr:$dot);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let extraClassDeclaration = commonDeclarations # [{
    AffineMap getAccMap() { return getMap(getOutputsMutable()[0]); }
    AffineMap getMaxMap() { return getMap(getOutputsMutable()[1]); }
  }];
}

#endif // GQA_OPS_TD
