#ifndef GQA_ATTRIBUTES_TD
#define GQA_ATTRIBUTES_TD

include "dialect/GQADialect.td"

def GQA_Alignment : I32EnumAttr<"Alignment", "where query row 0 stands among the keys", [
    I32EnumAttrCase<"TopLeft", 0, "top_left">,
    I32EnumAttrCase<"BottomRight", 1, "bottom_right">]> {
  let cppNamespace = "::mlir::gqa";
  let genSpecializedAttr = 0;
}

def GQA_AlignmentAttr : EnumAttr<GQA_Dialect, GQA_Alignment, "alignment"> {
  let assemblyFormat = "$value";
}

def GQA_Lanes : I32EnumAttr<"Lanes", "what the vector lanes hold", [
    I32EnumAttrCase<"Row", 0, "row">,
    I32EnumAttrCase<"HeadDim", 1, "head_dim">]> {
  let cppNamespace = "::mlir::gqa";
  let genSpecializedAttr = 0;
}

def GQA_LanesAttr : EnumAttr<GQA_Dialect, GQA_Lanes, "lanes"> {
  let assemblyFormat = "$value";
}

def GQA_ScheduleAttr : AttrDef<GQA_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "how one attention op is cut into tasks, tiles and vectors";
  let description = [{
    Written by `gqa-select-schedule` from the op's shape and the target, or by hand; later passes only obey it.

    - `lanes`: `row` keeps query rows (`g` and `m` flattened) in the vector lanes, `head_dim` the head dimension.
    - `g`, `m`: query heads and query positions in one task. Their product, padded to `rows`, is the tile's height.
    - `n`: keys in one block.
    - `split`: keys in one partial result when the keys are split over tasks; 0 leaves them together. It never depends
      on the batch or the number of threads, so neither do the bits of the result.
    - `dot`: the contractions multiply pairs of bf16 and accumulate in f32 (`vdpbf16ps`), or, with `lanes = head_dim`, bytes,
      and accumulate in i32.
    - `shorts`: with `dot` of bytes, the other factors are integers of 16 bits.

    Constraints:

    - S1: `g`, `m` and `n` are positive.
    - S2: `rows` is at least `g * m`.
    - S3: `split` is 0 or a positive multiple of `n`.
    - S4: `dot` needs an even `n`, `shorts` needs `dot` and `lanes = head_dim`.

    ```mlir
    #gqa.schedule<lanes = row, g = 4, m = 16, rows = 64, n = 64, split = 0, dot = false>
    ```
  }];
  let parameters = (ins "::mlir::gqa::Lanes":$lanes, "int64_t":$g, "int64_t":$m, "int64_t":$rows, "int64_t":$n,
                        "int64_t":$split, "bool":$dot, DefaultValuedParameter<"bool", "false">:$shorts);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

#endif // GQA_ATTRIBUTES_TD
