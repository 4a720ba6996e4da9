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

    Keys and values can be read where a KV cache stores them (docs/kv-cache.md). Beside the loop dimensions, operands
    then list storage dimensions:

    - *Pages.* With `block_table`, keys and values list `page` and `slot` in place of `b` and `n`, and key `n` of
      sequence `b` is slot `n mod slots` of page `block_table[b, n / slots]`. Table entries outside of the pages count as
      the nearest page, so that no table makes the op read elsewhere. There are `blocks * slots` keys; if `bias` or
      `mask` list a smaller `n`, so many; without any page, none.
    - *Quantised elements.* Keys and values of i8 and f8E4M3FN are multiplied by `key_scale` and `value_scale`: one number
      per key, per channel (a `key_scale` that lists `dqk`), or fewer. 4-bit integers lie two to a byte, the even element
      in the low half: a key of i8 that lists `dqk2` has `dqk / 2` such bytes, and a value `dv2`. Nothing is dequantised
      beyond the keys of a tile.
    - *Rings.* With `ring(sinks S slots R)` and `length`, of which `length[b]` is the number of tokens of the sequence so
      far, key `n` stands at position `n` if `n < S`, else at the largest position `p < length[b]` with
      `S + (p - S) mod R = n`; causal and window compare that position with the row's, and keys below `S` are in every
      window. The first `min(length[b], S + R)` keys exist, as if that were `kv_len[b]`; `align bottom_right` is
      `offset[b] = length[b] - M`. `bias` and `mask` list keys in the order in which they are stored.

    | operand       | dimensions                                            | element type                     |
    |---------------|-------------------------------------------------------|----------------------------------|
    | `query`       | some of b, hkv, g, m; dqk                             | f32, f16, bf16                   |
    | `key`         | some of b, hkv, g; n, dqk (or page, slot, or dqk2)    | f32, f16, bf16, i8, f8E4M3FN     |
    | `value`       | some of b, hkv, g; n, dv (or page, slot, or dv2)      | f32, f16, bf16, i8, f8E4M3FN     |
    | `bias`        | any of b, hkv, g, m, n                                | f32, f16, bf16                   |
    | `mask`        | any of b, hkv, g, m, n                                | i1, or i8 with 0 as false        |
    | `kv_len`      | any of b                                              | i32, i64                         |
    | `offset`      | any of b                                              | i32, i64                         |
    | `sink`        | any of hkv, g                                         | f32, f16, bf16                   |
    | `block_table` | any of b; block                                       | i32                              |
    | `key_scale`   | any of b, hkv; n, or page, slot, or dqk, or none      | f32                              |
    | `value_scale` | any of b, hkv; n, or page, slot, or none              | f32                              |
    | `length`      | any of b                                              | i32, i64                         |
    | outputs       | b, hkv, g, m of query, and dv; then for `lse` b, hkv, g, m | f32, f16, bf16; `lse` f32   |

    Tiling (TilingInterface) cuts `b`, `hkv`, `g`, `m`, and `dv` if there is no `lse`, which every tile of `dv` would
    compute again. The softmax needs all of `n` and `dqk`. A tile of `m` says where its rows stand by `offset`.

    Constraints:

    - C1: there is one map per tensor operand, in operand order: a projected permutation of the dimensions (each at
      most once, nothing constant), with as many results as the operand's rank.
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
    - C13: with `block_table`, key and value list `page` and `slot` in place of `b` and `n`, and scales list both or
      neither; without, nothing lists `page`, `block` or `slot`. The extent of `slot` is not 0.
    - C14: what lists `dqk2` or `dv2` has elements of i8, and their extents are half of those of `dqk` and `dv`.
    - C15: `key_scale` and `value_scale` need a key or value of i8 or f8E4M3FN. A `key_scale` that lists `dqk` does not
      list `n` or `slot`.
    - C16: `ring` and `length` come together, and without `kv_len`; `sinks` is not negative and `slots` positive.

    Example, Llama-3-8B heads on a `[B, H, S, D]` layout, causal, with a cache longer than the queries:

    ```mlir
    %o = gqa.attention scale 0.0883883461 causal align bottom_right
        query(%q[b, hkv, g, m, dqk] : tensor<1x8x4x?x128xf32>)
        key(%k[b, hkv, n, dqk] : tensor<1x8x?x128xf32>)
        value(%v[b, hkv, n, dv] : tensor<1x8x?x128xf32>)
        outs(%init[b, hkv, g, m, dv] : tensor<1x8x4x?x128xf32>)
    ```

    A decoding step of any number of sequences over pages of 16 tokens, keys and values of i8:

    ```mlir
    %o = gqa.attention scale 0.0883883461
        query(%q[b, hkv, g, dqk] : tensor<?x8x4x128xf16>)
        key(%k[page, hkv, slot, dqk] : tensor<?x8x16x128xi8>)
        value(%v[page, hkv, slot, dv] : tensor<?x8x16x128xi8>)
        kv_len(%len[b] : tensor<?xi32>)
        block_table(%t[b, block] : tensor<?x?xi32>)
        key_scale(%ks[page, hkv, slot] : tensor<?x8x16xf32>)
        value_scale(%vs[page, hkv, slot] : tensor<?x8x16xf32>)
        outs(%init[b, hkv, g, dv] : tensor<?x8x4x128xf16>)
    ```
  }];
  let arguments = (ins
    AnyRankedTensor:$query, AnyRankedTensor:$key, AnyRankedTensor:$value,
    Optional<AnyRankedTensor>:$bias, Optional<AnyRankedTensor>:$mask,
    Optional<AnyRankedTensor>:$kv_len, Optional<AnyRankedTensor>:$offset, Optional<AnyRankedTensor>:$sink,
    Optional<AnyRankedTensor>:$block_table, Optional<AnyRankedTensor>:$key_scale,
    Optional<AnyRankedTensor>:$value_scale, Optional<AnyRankedTensor>:$length,
    Variadic<AnyRankedTensor>:$outputs,
    AffineMapArrayAttr:$indexing_maps, F32Attr:$scale, OptionalAttr<F32Attr>:$softcap, UnitAttr:$causal,
    OptionalAttr<GQA_AlignmentAttr>:$alignment, OptionalAttr<I64Attr>:$window_left,
    OptionalAttr<I64Attr>:$window_right, OptionalAttr<I64Attr>:$ring_sinks, OptionalAttr<I64Attr>:$ring_slots,
    OptionalAttr<GQA_ScheduleAttr>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasCanonicalizer = 1;
  let extraClassDeclaration = commonDeclarations # [{
    Value getOutput() { return getOutputs().front(); }
    /// The destination of lse, or null.
    Value getLse() { return getOutputs().size() == 2 ? getOutputs()[1] : Value(); }
    AffineMap getOutputMap() { return getMap(getOutputsMutable()[0]); }
    /// Whether keys and values are stored as a KV cache stores them, not as plain tensors of floats.
    bool readsCache();
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
    `kv_len`, `causal` and windows compares these positions as in `gqa.attention`. `key_positions`, which a ring needs,
    gives other positions to compare in causal masks and windows (not in `kv_len`); keys at positions below `sinks` are
    in every window.

    `key_scale` and `value_scale` multiply keys and values as in `gqa.attention`; so do `dqk2` and `dv2` say that a byte
    holds two elements.

    | operand         | dimensions                              | element type                 |
    |-----------------|-----------------------------------------|------------------------------|
    | `query`         | some of b, hkv, g, m; dqk               | f32, f16, bf16               |
    | `key`           | some of b, hkv, g; n, dqk or dqk2       | f32, f16, bf16, i8, f8E4M3FN |
    | `value`         | some of b, hkv, g; n, dv or dv2         | f32, f16, bf16, i8, f8E4M3FN |
    | `bias`          | any of b, hkv, g, m, n                  | f32, f16, bf16               |
    | `mask`          | any of b, hkv, g, m, n                  | i1, or i8                    |
    | `kv_len`        | any of b                                | i32                          |
    | `positions`     | any of b, g, m                          | i32                          |
    | `key_scale`     | any of b, hkv, n                        | f32                          |
    | `value_scale`   | any of b, hkv, n                        | f32                          |
    | `key_positions` | any of b; n                             | i32                          |
    | outputs         | acc: b, hkv, g, m of query and dv; max, sum: b, hkv, g, m | f32        |

    Tiling (TilingInterface) cuts `b`, `hkv`, `g`, `m` in parallel and `n` in sequence; tiles of `n` add where they start
    to `key_start`. PartialReductionOpInterface cuts `n` into ranges whose states are computed in parallel and merged.

    `dot` lets the decomposition multiply pairs of bf16 and accumulate in f32. With `acc[m, dv]` it multiplies floats as
    matrix units do: weights are rounded to the element type of `value`, products accumulate in f32. Weights for a `value`
    of bf16 under a `query` of f16 are given in two parts, which keep more bits than f16 has, and its scales' range. Where
    `key` and `value` are i8, or bytes of two 4-bit elements, products are integers: query and weights become fixed-point
    numbers of three bytes, or, with `shorts`, of 16 bits.

    The order of an operand's dimensions says how a tile lies in memory, and the decomposition follows it: `acc[dv, m]`
    gives scores `[n, m]` (query rows in the vector lanes), `acc[m, dv]` gives scores `[m, n]`.

    Constraints:

    - C1 to C6, C8, C14, C15 as for `gqa.attention`; but with `dot`, quantised keys and values may have become floats
      before their scales.
    - C10: `causal` and `window` need `positions`; without them neither it nor `key_positions` is allowed. `sinks` needs
      `key_positions` and is not negative.
    - C11: there are three outputs, acc, max and sum, and a result of the same type for each; max and sum list the same
      dimensions in the same order.
    - C12: `dot` needs `query[m, dqk]`, `key[n, dqk]`, `value[n, dv]` and even `n` and `dqk`; with `acc[dv, m]` bf16 in
      query, key and value, with `acc[m, dv]` floats in all of them, or i8 in `key` and `value`, which may then list
      `dqk2` and `dv2`, and multiples of 4 in `n` and `dqk`. `shorts` needs `dot` of i8, a multiple of 32 up to 512 in
      `dqk`, and at most 512 in `n`.

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
    Optional<AnyRankedTensor>:$key_scale, Optional<AnyRankedTensor>:$value_scale,
    Optional<AnyRankedTensor>:$key_positions,
    Variadic<AnyRankedTensor>:$outputs, Optional<Index>:$key_start,
    AffineMapArrayAttr:$indexing_maps, F32Attr:$scale, OptionalAttr<F32Attr>:$softcap, UnitAttr:$causal,
    OptionalAttr<I64Attr>:$window_left, OptionalAttr<I64Attr>:$window_right, OptionalAttr<I64Attr>:$sinks,
    UnitAttr:$dot, UnitAttr:$shorts);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let extraClassDeclaration = commonDeclarations # [{
    AffineMap getAccMap() { return getMap(getOutputsMutable()[0]); }
    AffineMap getMaxMap() { return getMap(getOutputsMutable()[1]); }
  }];
}

def GQA_GatherPagesOp : Op<GQA_Dialect, "gather_pages", [Pure]> {
  let summary = "consecutive keys or values of one sequence and head, from the pages that hold them";
  let description = [{
    Row `i` of the result is row `(start + i) mod slots` of page `table[(start + i) / slots]`, for pages of `slots` rows.
    Blocks beyond the table count as its last, table entries outside of the pages as the nearest page; neither the table
    nor the pages are empty. `gqa-decompose-attention` reads the pages in place where the softmax permits, and copies
    them to a tile elsewhere.

    Constraints:

    - G1: pages `[page, slot, d]` and result `[n, d]` have one element type and `d`; `slot`, `n` and `d` are static.
    - G2: `start` is a multiple of the greatest common divisor of `n` and `slots`, so that runs of so many rows lie in
      one page. This is not verified where `start` is no constant.

    ```mlir
    %keys = gqa.gather_pages %k[%table] from %start
        : tensor<?x16x128xf16>, tensor<?xi32> -> tensor<64x128xf16>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$pages, AnyRankedTensor:$table, Index:$start);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $pages `[` $table `]` `from` $start attr-dict `:` type($pages) `,` type($table) `->` type($result)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Rows that are sure to lie in one page.
    int64_t getRun();
    /// Slice of the run that begins `offset` rows, a multiple of the run, after the start: [run, d].
    Value buildRun(OpBuilder &builder, Value offset);
    /// The result, copied run by run.
    Value buildCopy(OpBuilder &builder);
  }];
}

def GQA_DotShortsOp : Op<GQA_Dialect, "dot_shorts", [Pure, AllTypesMatch<["sums", "result"]>,
                                                     AllTypesMatch<["lhs", "rhs"]>]> {
  let summary = "dot products of pairs of 16-bit integers, one pair a lane";
  let description = [{
    `result[lane] = sums[lane] + lhs[2 * lane] * rhs[2 * lane] + lhs[2 * lane + 1] * rhs[2 * lane + 1]`, in i32: what one
    `vpdpwssd` of AVX-512 VNNI computes. `gqa-vectorize-tiles` makes it of tiles that `shorts` asks for, and
    `gqa-lower-vectors` turns it into LLVM's intrinsic, which by itself would count as an unknown effect on memory.

    ```mlir
    %1 = gqa.dot_shorts %0, %query, %keys : vector<16xi32>, vector<32xi16>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[16], [I32]>:$sums, VectorOfLengthAndType<[32], [I16]>:$lhs,
                       VectorOfLengthAndType<[32], [I16]>:$rhs);
  let results = (outs VectorOfLengthAndType<[16], [I32]>:$result);
  let assemblyFormat = "$sums `,` $lhs `,` $rhs attr-dict `:` type($sums) `,` type($lhs)";
}

#endif // GQA_OPS_TD
