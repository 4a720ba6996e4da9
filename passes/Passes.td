#ifndef GQA_PASSES_TD
#define GQA_PASSES_TD

include "mlir/Pass/PassBase.td"

def RaiseAttention : Pass<"gqa-raise", "::mlir::ModuleOp"> {
  let summary = "attention spelled out in linalg becomes gqa.attention";
  let description = [{
    First inlines private functions and lowers TOSA to linalg. Then, for each softmax, says what one element of its output
    is, as an expression of loops, through all ops that only move or map elements (reshapes, broadcasts, transposes,
    slices, concatenations, gathers at computed indices, elementwise ops). Repeats of K and V have become indices by then,
    and whatever spelled them is gone. The expression is matched by role: sum over the keys of weights times value;
    weights as exponentials divided by their sum; exponents as scale, softcap, biases and masks on a sum of products of
    query and key. Masks that compare positions become `causal`, windows, offsets and lengths; others are combined into
    one mask operand.

    What does not match stays as it was written, and keeps no other softmax from being raised. With `explain` a remark
    says what each softmax was raised to, or at which op the match ended and why.
  }];
  let options = [
    Option<"explain", "explain", "bool", "false", "say what each softmax is raised to, or why it is not">,
  ];
}

def FoldRepeatedKV : Pass<"gqa-fold-repeated-kv", "::mlir::func::FuncOp"> {
  let summary = "K and V heads repeated in memory become a group dimension";
  let description = [{
    Attention over `H` heads whose key and value repeat fewer heads in a row (`repeat_interleave`) becomes attention on the
    small key and value: the query's heads split into `hkv` and `g`, and the repeats are dead. A key that lists `g` itself
    but only repeats along it loses the dimension.

    Each head is followed back on its own through copies, broadcasts, transpositions, reshapes, slices, concatenations and
    gathers, with indices that are constant or computed from constants and loop indices. If query head `h` reads K/V head
    `h floordiv G` for every `h`, the heads are shared, however the repeat is spelled.
    `tile` order, in which query head `h` reads K/V head `h mod Hkv`, is another function and stays as it is.
  }];
  let dependentDialects = ["tensor::TensorDialect"];
}

def ExpandGathers : Pass<"gqa-expand-gathers", "::mlir::func::FuncOp"> {
  let summary = "tensor.gather and tensor.concat, which have no buffer form, become linalg and slices";
  let dependentDialects = ["arith::ArithDialect", "linalg::LinalgDialect", "tensor::TensorDialect"];
}

def VerifyNoKVExpansion : Pass<"gqa-verify-no-kv-expansion", "::mlir::func::FuncOp"> {
  let summary = "fail if K/V heads are repeated or a full score matrix is held in memory";
  let description = [{
    On `gqa.attention`: fails if the key or the value is made by repeating a smaller tensor. On buffers that outlive a
    task: fails if one has the extents of a score matrix `[b, hkv, g, m, n]` of an attention that was tiled;
    `gqa-tile-attention` leaves these extents in the function's attribute `gqa.score_shapes`. `--lower-gqa` runs it
    after bufferisation.
  }];
}

def SelectSchedule : Pass<"gqa-select-schedule", "::mlir::func::FuncOp"> {
  let summary = "choose tiles, orientation and key split of each attention";
  let description = [{
    The cost model: writes a `#gqa.schedule` on each `gqa.attention` that has none, from its shape and the target.
    Later passes obey the attribute, so it can also be written by hand. Where the number of query positions is dynamic,
    `gqa.few_rows_schedules` beside it says how to decode (`gqa-specialize-rows`).
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a vector register in bits">,
    Option<"registers", "registers", "int64_t", "32", "number of vector registers">,
    Option<"hasDot", "has-dot", "bool", "false", "the target multiplies pairs of bf16 and accumulates in f32">,
    Option<"hasShortDot", "has-short-dot", "bool", "false",
           "the target multiplies pairs of 16-bit integers and accumulates in i32">,
    Option<"hasMatrixTiles", "has-matrix-tiles", "bool", "false", "matrix registers multiply pairs of bf16, and bytes">,
    Option<"tileG", "tile-g", "int64_t", "0", "query heads per tile; 0: chosen">,
    Option<"tileM", "tile-m", "int64_t", "0", "query positions per tile; 0: chosen">,
    Option<"tileN", "tile-n", "int64_t", "0", "keys per block; 0: chosen">,
  ];
}

def SpecializeRows : Pass<"gqa-specialize-rows", "::mlir::func::FuncOp"> {
  let summary = "attention on any number of query positions gets branches for few of them";
  let description = [{
    An op that carries `gqa.few_rows_schedules`, as `gqa-select-schedule` leaves them where the number of query positions
    is known at run time alone, becomes an `scf.if` for each: up to as many positions as the schedule's tile holds run by
    that schedule, more by the next or by the op's own. So one function decodes as fast as code for one position, and
    prefills as before. Which branch runs depends on the number of positions only, so a sequence gives the same bits alone
    and in a batch.
  }];
  let dependentDialects = ["arith::ArithDialect", "scf::SCFDialect"];
}

def SinkResults : Pass<"gqa-sink-results", "::mlir::func::FuncOp"> {
  let summary = "results that branches choose are stored in the branches";
  let description = [{
    A result of an `scf.if` that goes, as it is or reshaped, to `bufferization.materialize_in_destination` and nowhere
    else is stored at the end of each branch instead. So each branch can compute in the destination; upstream's
    elimination of empty tensors would let only one of them, and copy what any of them computed.
  }];
  let dependentDialects = ["bufferization::BufferizationDialect", "scf::SCFDialect", "tensor::TensorDialect"];
}

def TileAttention : Pass<"gqa-tile-attention", "::mlir::func::FuncOp"> {
  let summary = "gqa.attention becomes parallel tasks that run online attention over key blocks";
  let description = [{
    Obeys the op's `#gqa.schedule`. One task takes one batch entry, one key/value head and a tile of `g x m` query rows
    (and one range of keys, if the keys are split); it loops over the key blocks that its rows can see. Blocks in which
    nothing is masked by position run in a loop of their own. Tiles are static: what sticks out of a tensor is padded,
    and the padding masked or dropped. Blocks of keys that lie in pages are gathered.
  }];
  let dependentDialects = ["affine::AffineDialect", "arith::ArithDialect", "bufferization::BufferizationDialect",
                           "linalg::LinalgDialect", "scf::SCFDialect", "tensor::TensorDialect"];
}

def DecomposeAttention : Pass<"gqa-decompose-attention", "::mlir::func::FuncOp"> {
  let summary = "gqa.online_attention on tiles becomes linalg";
  let description = [{
    Calls each op's `decomposeOperation`, which writes scores, masks, the running softmax and the weighted values as
    linalg ops in the layouts that the tile's operands have, then moves what depends on the query alone out of the loop
    over key blocks.
  }];
  let dependentDialects = ["arith::ArithDialect", "bufferization::BufferizationDialect", "linalg::LinalgDialect",
                           "math::MathDialect", "scf::SCFDialect", "tensor::TensorDialect"];
}

def ChooseMatrixTiles : Pass<"gqa-choose-matrix-tiles", "::mlir::func::FuncOp"> {
  let summary = "contractions of words go to the matrix registers";
  let description = [{
    For targets with Intel AMX. A contraction of words, pairs of bf16 or four bytes, as `gqa-decompose-attention` writes
    it for schedules with `dot`, is marked `gqa.matrix_tiles` if its rows and lanes are whole tiles of 16 and its words
    divide into parts of 4 to 16; later passes leave it alone until `gqa-lower-matrix-tiles`. Its left operand has to list
    rows first: pairs that are brought together for it are transposed on the way. What starts from zeros is marked
    `gqa.from_zeros` and does not read them.
  }];
  let dependentDialects = ["linalg::LinalgDialect", "tensor::TensorDialect"];
}

def LowerMatrixTiles : Pass<"gqa-lower-matrix-tiles", "::mlir::func::FuncOp"> {
  let summary = "marked contractions on buffers become AMX tile operations";
  let description = [{
    Each contraction that `gqa-choose-matrix-tiles` marked becomes loops over blocks of 2 x 2 tiles of its result, each
    loaded or zeroed, added to by `tdpbf16ps` or `tdpbssd` along all words, and stored.
  }];
  let dependentDialects = ["amx::AMXDialect", "arith::ArithDialect", "memref::MemRefDialect", "scf::SCFDialect"];
}

def TileToRegisters : Pass<"gqa-tile-to-registers", "::mlir::func::FuncOp"> {
  let summary = "cut static linalg tiles into blocks that fit the vector registers";
  let description = [{
    Takes linalg ops of static shape and tiles each by its role, so that one vector operation is left per block:

    - contractions, `out[..., lanes] += lhs * rhs`: all lanes times as many other rows as the registers hold
      accumulators for, one step of the reduction at a time; what initialises the accumulators is fused;
    - transpositions: square blocks of one vector;
    - everything else: one row of the innermost output dimension.

    Block sizes divide the extents, so every block is whole.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a vector register in bits">,
    Option<"registers", "registers", "int64_t", "32", "number of vector registers">,
  ];
  let dependentDialects = ["scf::SCFDialect", "affine::AffineDialect"];
}

def VectorizeTiles : Pass<"gqa-vectorize-tiles", "::mlir::func::FuncOp"> {
  let summary = "turn register blocks into vector operations and keep accumulators in registers";
  let description = [{
    Vectorises linalg ops of static shape on tensors, folds tensor subsets into vector transfers, forms contractions,
    and hoists the accumulators of reduction loops out of them. Ops that have no vector form, such as a search for the
    index of a maximum, stay as they are; `gqa-expand-copies` makes loops of them.
  }];
  let dependentDialects = ["arith::ArithDialect", "gqa::GQADialect", "math::MathDialect", "vector::VectorDialect",
                           "x86vector::X86VectorDialect"];
}

def ExpandMath : Pass<"gqa-expand-math", "::mlir::func::FuncOp"> {
  let summary = "exp2, tanh and log2 as polynomials instead of calls to libm";
  let description = [{
    `exp2` splits its argument into an integer and a fraction in [-1/2, 1/2]; a polynomial of degree 5 serves the
    fraction (relative error below 2.5e-7), and the integer scales the exponent. Arguments below -126 give 0, NaN stays
    NaN. The other functions use upstream's approximations, and so do conversions to bf16 on targets without them. f8E4M3FN becomes f32 by way of f16.
  }];
  let options = [
    Option<"hasScale", "has-scale", "bool", "false",
           "the target scales floats by powers of two in one instruction (AVX-512 vscalef)">,
    Option<"hasBF16", "has-bf16", "bool", "false", "the target converts to bf16 in one instruction">,
  ];
  let dependentDialects = ["arith::ArithDialect", "math::MathDialect", "vector::VectorDialect", "LLVM::LLVMDialect"];
}

def BuildEntries : Pass<"gqa-build-entries", "::mlir::ModuleOp"> {
  let summary = "give public functions the calling convention of artifact entries";
  let description = [{
    A public function `@f(tensors) -> tensors` becomes `@f(host, buffers of the arguments, buffers of the results) -> i32`,
    and a function `@gqa_shape_f` beside it writes the extents of the results. Buffers have any strides but the innermost,
    which is 1; i1 tensors become bytes. The description of the entries goes into the module's attribute
    `gqa.description` as JSON (docs/design.md, "Artifact").
  }];
  let dependentDialects = ["bufferization::BufferizationDialect", "linalg::LinalgDialect", "LLVM::LLVMDialect",
                           "memref::MemRefDialect", "tensor::TensorDialect"];
}

def StackBuffers : Pass<"gqa-stack-buffers", "::mlir::func::FuncOp"> {
  let summary = "buffers of one task move to its stack";
  let description = [{
    An allocation of static size up to `max-bytes` that does not leave its block becomes one `memref.alloca` at the start
    of the `scf.forall` body or function around it, so that loops inside a task neither allocate nor grow the stack.
  }];
  let options = [
    Option<"maxBytes", "max-bytes", "int64_t", "1048576", "largest buffer that may live on the stack">,
  ];
  let dependentDialects = ["memref::MemRefDialect"];
}

def PrefetchTiles : Pass<"gqa-prefetch-tiles", "::mlir::func::FuncOp"> {
  let summary = "fetch the next block of K and V while this one is computed on";
  let description = [{
    Where a loop runs over blocks of a buffer and reads them as vectors, each read is joined by prefetches of the same
    place in the next block. Spread over the arithmetic like this, the time of reading K and V from memory hides behind
    it. Prefetches past the end of a buffer have no effect.

    In attention, the loop over blocks is the one that holds the exponentials, and everything in it that depends on the
    block is fetched: rows that are read where they lie, rows in pages (the block table is looked up one block early),
    and copies to tiles. Blocks that matrix registers read are fetched in equal parts before each step of the loop's body:
    the registers read them in no time, in which prefetches would wait for each other.
  }];
  let dependentDialects = ["arith::ArithDialect", "memref::MemRefDialect"];
}

def LowerVectors : Pass<"gqa-lower-vectors", "::mlir::func::FuncOp"> {
  let summary = "reductions of vectors become one-dimensional, transfers of one or a few elements become loads";
  let dependentDialects = ["arith::ArithDialect", "memref::MemRefDialect", "vector::VectorDialect",
                           "LLVM::LLVMDialect"];
}

def ExpandCopies : Pass<"gqa-expand-copies", "::mlir::func::FuncOp"> {
  let summary = "memref.copy and remaining linalg ops on buffers become loops";
  let dependentDialects = ["linalg::LinalgDialect", "memref::MemRefDialect", "scf::SCFDialect"];
}

def OutlineTasks : Pass<"gqa-outline-tasks", "::mlir::ModuleOp"> {
  let summary = "scf.forall becomes calls of the host's parallel-for";
  let description = [{
    The body of each outermost `scf.forall` moves to a function of a task index and a frame that holds the captured
    values; the loop becomes one call of `gqa_host::parallel_for`. Foralls inside tasks become sequential loops.
  }];
  let dependentDialects = ["affine::AffineDialect", "arith::ArithDialect", "LLVM::LLVMDialect", "scf::SCFDialect"];
}

def ShareTasks : Pass<"gqa-share-tasks", "::mlir::ModuleOp"> {
  let summary = "private functions of the same code become one";
  let description = [{
    Tasks differ in what their frames hold, not in their code, where a model repeats its layers: one function is then
    compiled for all of them. Upstream's duplicate-function-elimination would also take away public entries.
  }];
}

def SeparateResults : Pass<"gqa-separate-results", "::mlir::func::FuncOp"> {
  let summary = "results that are states of one tensor get buffers of their own";
  let description = [{
    Upstream's elimination of empty tensors lets what leads to a result be computed in the result's own buffer, and its
    analysis does not see that this buffer is then written as a result. If a second result is another state of the same
    tensor, such as a second sum from the same zeros, it could lie there too. This pass saves the second one in a tensor
    of its own before the first result is written.

    Empty tensors outside of loops that results start from are not shared in the first place: each use gets its own. Of
    others, which all layers of a model may use, four uses of one block share one at most: bufferisation compares all uses
    of a tensor with each other, which would take quadratic time.

    A result that reshapes what an op computed is written in the op's shape, so that the op itself can write to the
    result's buffer.
  }];
  let dependentDialects = ["bufferization::BufferizationDialect", "memref::MemRefDialect", "tensor::TensorDialect"];
}

def BooleansAsBytes : Pass<"gqa-booleans-as-bytes", "::mlir::ModuleOp"> {
  let summary = "vectors of booleans lie in memory as bytes, as scalar booleans do";
  let description = [{
    LLVM packs the elements of a `vector<nxi1>` in memory to bits, but takes a byte for an `i1`. A buffer that is written
    in one way and read in another needs one form, so loads and stores of such vectors become ones of `vector<nxi8>`.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
}

def BindHost : Pass<"gqa-bind-host", "::mlir::ModuleOp"> {
  let summary = "allocations go to the host, entries take packed arguments";
  let description = [{
    On the LLVM dialect: calls of `malloc` and `free` become the host's `allocate` and `deallocate`; if memory is out the
    function returns with status out_of_memory. For each entry `@f` a function `@gqa_run_f(host, args)` unpacks an array
    of pointers to memref descriptors, and everything else becomes internal.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
}

def UnfuseAttention : Pass<"gqa-unfuse-attention", "::mlir::func::FuncOp"> {
  let summary = "gqa.attention spelled out: repeated K/V, all scores, softmax, second product";
  let description = [{
    The baseline that fused attention is compared with, and the meaning of the op in upstream ops: key and value are
    repeated in memory for every query head, scores exist whole as `[b, hkv, g, m, n]`, and the softmax and the second
    product follow. Value rows beyond `kv_len` become 0 in the copy, so nothing there reaches a result. Attention that reads a KV cache is an error.
  }];
  let dependentDialects = ["arith::ArithDialect", "linalg::LinalgDialect", "math::MathDialect", "tensor::TensorDialect"];
}

def TileContractions : Pass<"gqa-tile-contractions", "::mlir::func::FuncOp"> {
  let summary = "contractions outside parallel loops become parallel blocks with packed operands";
  let description = [{
    Takes any product of two float tensors summed over shared dimensions: matmuls with any maps, batched, transposed or
    broadcast, static or dynamic. A task computes one block of the result; it packs the operands' blocks as f32 into
    local tiles and multiplies them in static register blocks. Products of a matrix and a vector are left to
    `gqa-tile-rows`.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a vector register in bits">,
    Option<"registers", "registers", "int64_t", "32", "number of vector registers">,
  ];
  let dependentDialects = ["affine::AffineDialect", "arith::ArithDialect", "bufferization::BufferizationDialect",
                           "linalg::LinalgDialect", "scf::SCFDialect", "tensor::TensorDialect"];
}

def FormContractions : Pass<"gqa-form-contractions", "::mlir::func::FuncOp"> {
  let summary = "sums of outer products become contractions";
  let description = [{
    `(q[..., None, :] * k[..., None, :, :]).sum(-1)` makes all products only to sum them. The sum then reads the factors
    itself, and broadcasts of them, such as repeated heads, become maps. Products no larger than one of their factors
    stay: a sum of squares is no contraction.
  }];
  let dependentDialects = ["linalg::LinalgDialect"];
}

def FuseElementwise : Pass<"gqa-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "chains of elementwise ops become one op";
  let description = [{
    `linalg.softmax` is spelled out and named elementwise ops are generalised, then each producer goes into its only
    consumer. Contractions stay as they are, and what is costly is not repeated: a reciprocal of a row is not computed
    again for each of its elements.
  }];
}

def TileRows : Pass<"gqa-tile-rows", "::mlir::func::FuncOp"> {
  let summary = "linalg ops that are not contractions become parallel tasks of vectors";
  let description = [{
    Large ops outside parallel loops are divided into tasks along the outer dimensions of their output. Inside, loops cut
    them, and what other passes left with dynamic shape in their tasks, into vectors: four at a time, then one, then
    scalars, so every tile is static. Ops that do not vectorise (gathers, windows) become tasks and stay whole there.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a vector register in bits">,
  ];
  let dependentDialects = ["affine::AffineDialect", "arith::ArithDialect", "linalg::LinalgDialect",
                           "scf::SCFDialect", "tensor::TensorDialect"];
}

def WidenAccumulators : Pass<"gqa-widen-accumulators", "::mlir::func::FuncOp"> {
  let summary = "contractions of half types accumulate in f32";
  let description = [{
    A contraction whose result is f16 or bf16 becomes one with an f32 result, started from the widened init, and a
    conversion at its end: one rounding in place of one per step.
  }];
  let dependentDialects = ["arith::ArithDialect", "linalg::LinalgDialect", "tensor::TensorDialect"];
}

#endif // GQA_PASSES_TD
