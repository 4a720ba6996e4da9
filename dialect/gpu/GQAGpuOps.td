#ifndef GQA_GPU_OPS_TD
#define GQA_GPU_OPS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def GQAGpu_Dialect : Dialect {
  let name = "gqa_gpu";
  let cppNamespace = "::mlir::gqa_gpu";
  let summary = "What a GPU kernel of attention is made of";
  let description = [{
    Three small sets of ops, each lowered to the next:

    - *Tiles.* A kernel is written for one warp, on tensors that the warp holds together: attention's own decomposition
      is linalg on such tiles. The ops here move tiles between memory and warps: `copy_rows`, `shared_tile`,
      `load_rows`, `store_rows`, `put_tile`, `get_tile`.
    - *Instructions.* `gqa-gpu-distribute` gives every lane its fragment of each tile and leaves the chip's instructions:
      `mma`, `ldmatrix`, `shuffle_xor`, `cp_async`, `barrier`. They have two lowerings: to NVVM, and to calls of the
      functional emulator (runtime/emulator), which runs kernels on a CPU, lane by lane.
    - *Hopper.* The same three levels for warpgroups: `start_product`, `wait_products` and `pack_pairs` on tiles; `wgmma`,
      `tma_load`, mbarriers and named barriers as instructions; tensor maps on the host's side.
    - *The host's side.* `launch` starts a kernel on tensors, then on buffers.

    Global memory is `!llvm.ptr<1>`, shared memory `!llvm.ptr<3>`. Rows of tiles in shared memory lie 16 bytes further
    apart than they are long, so that eight rows of 16 bytes, as `ldmatrix` reads them, fall into different banks.
  }];
  let dependentDialects = ["LLVM::LLVMDialect"];
  let useDefaultAttributePrinterParser = 1;
}

def GQAGpu_ScheduleAttr : AttrDef<GQAGpu_Dialect, "Schedule"> {
  let mnemonic = "schedule";
  let summary = "how one attention op is cut into thread blocks, warps and key blocks";
  let description = [{
    Written by `gqa-gpu-select-schedule` as the attribute `gqa_gpu.schedule` of `gqa.attention`, or by hand; later passes
    only obey it. Query rows are query positions and the heads of a group together, heads fastest: row `m * G + g`.

    - `warpRows`: query rows of one warp.
    - `rowWarps`: warps of a block that hold different rows.
    - `keyWarps`: warps of a block that hold the same rows and share the keys of each block of keys; each has a running
      softmax of its own, and they are merged at the end.
    - `n`: keys in one block.
    - `stages`: key blocks in shared memory, of which all but one are on their way.
    - `split`: keys in one partial result when the keys are split over blocks; 0 leaves them together. It never depends
      on the batch or the number of multiprocessors, so neither do the bits of the result.
    - `sharedQuery`: the query stays in shared memory, where it would take too many registers.

    Constraints:

    - S1: `warpRows` and `n / keyWarps` are positive multiples of 16, and `rowWarps`, `keyWarps` are positive with at
      most 32 warps in all.
    - S2: `stages` is at least 2.
    - S3: `split` is 0 or a positive multiple of `n`.

    ```mlir
    #gqa_gpu.schedule<warpRows = 16, rowWarps = 8, keyWarps = 1, n = 64, stages = 2, split = 0, sharedQuery = false>
    ```
  }];
  let parameters = (ins "int64_t":$warpRows, "int64_t":$rowWarps, "int64_t":$keyWarps, "int64_t":$n, "int64_t":$stages,
                        "int64_t":$split, "bool":$sharedQuery);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral kName = "gqa_gpu.schedule";
    int64_t getThreads() const { return 32 * getRowWarps() * getKeyWarps(); }
    /// Query rows of a block.
    int64_t getRows() const { return getWarpRows() * getRowWarps(); }
  }];
}

def GQAGpu_WarpgroupScheduleAttr : AttrDef<GQAGpu_Dialect, "WarpgroupSchedule"> {
  let mnemonic = "warpgroup_schedule";
  let summary = "how one attention op is cut for Hopper's warpgroups";
  let description = [{
    In place of `#gqa_gpu.schedule`. The first warpgroup of a block copies boxes of query, keys and values to shared
    memory; each of the others computes 64 rows.

    - `consumers`: warpgroups that compute.
    - `n`: keys in one block.
    - `stages`: blocks of keys, and of values, in shared memory.
    - `packed`: the heads of a group are rows of one tile, as in `#gqa_gpu.schedule`; else each head is tiles of its own.
    - `pingPong`: consumers take turns in starting products, so that one computes its softmax while another multiplies.
    - `overlap`: a consumer computes the softmax of a block while it multiplies the values of the block before, too.

    Constraints:

    - W1: `consumers` is 1, 2 or 3.
    - W2: `n` is a multiple of 16 from 16 to 256.
    - W3: `stages` is from 2 to 8.

    ```mlir
    #gqa_gpu.warpgroup_schedule<consumers = 2, n = 128, stages = 2, packed = true, pingPong = true,
                                overlap = true>
    ```
  }];
  let parameters = (ins "int64_t":$consumers, "int64_t":$n, "int64_t":$stages, "bool":$packed, "bool":$pingPong,
                        "bool":$overlap);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Rows of one consumer, and of a block.
    static constexpr int64_t kRows = 64;
    int64_t getRows() const { return kRows * getConsumers(); }
    int64_t getThreads() const { return 128 * (1 + getConsumers()); }
    /// Registers of a thread that copies, and of one that computes: together what the block has at its start.
    int64_t getProducerRegisters() const { return getConsumers() == 1 ? 56 : getConsumers() == 2 ? 40 : 32; }
    int64_t getConsumerRegisters() const { return getConsumers() == 1 ? 240 : getConsumers() == 2 ? 232 : 160; }
  }];
}

def GQAGpu_TensorMapAttr : AttrDef<GQAGpu_Dialect, "TensorMap"> {
  let mnemonic = "tensor_map";
  let summary = "which boxes of a launch's operand the kernel copies";
  let description = [{
    `dims` are the dimensions of operand number `operand`, innermost first, and `box` the extents of a box along them.
    The inner extent is 64 elements of two bytes, which lie in shared memory with the 128-byte swizzle.
  }];
  let parameters = (ins "int64_t":$operand, ArrayRefParameter<"int64_t">:$dims, ArrayRefParameter<"int64_t">:$box);
  let assemblyFormat = "`<` $operand `,` `dims` `=` `[` $dims `]` `,` `box` `=` `[` $box `]` `>`";
}

def GQAGpu_Global : LLVM_PointerInAddressSpace<1>;
def GQAGpu_Shared : LLVM_PointerInAddressSpace<3>;

class GQAGpu_Op<string mnemonic, list<Trait> traits = []> : Op<GQAGpu_Dialect, mnemonic, traits>;

def GQAGpu_Half : AnyTypeOf<[BF16, F16]>;
def GQAGpu_TileElement : AnyTypeOf<[BF16, F16, F32]>;
def GQAGpu_StoredElement : AnyTypeOf<[BF16, F16, F32, I8, F8E4M3FN]>;
def GQAGpu_Pair : AnyTypeOf<[VectorOfLengthAndType<[2], [BF16]>, VectorOfLengthAndType<[2], [F16]>],
                            "a pair of half-precision numbers">;

//===-- Tiles --------------------------------------------------------------------------------------------------===//

def GQAGpu_YieldOp : GQAGpu_Op<"yield", [Pure, Terminator]> {
  let summary = "says where a row of a tile lies";
  let description = [{
    `offset` is that of the row's first element, in elements; rows that are not `valid` are not stored, and are zeros
    where they are loaded.
  }];
  let arguments = (ins I64:$offset, I1:$valid);
  let assemblyFormat = "$offset `,` $valid attr-dict";
}

class GQAGpu_RowsOp<string mnemonic, list<Trait> traits = []> : GQAGpu_Op<mnemonic, !listconcat(traits, [SingleBlock])> {
  let regions = (region SizedRegion<1>:$address);
  code commonDeclarations = [{
    Operation *getYield() { return getAddress().front().getTerminator(); }
  }];
  let extraClassDeclaration = commonDeclarations;
}

def GQAGpu_CopyRowsOp : GQAGpu_RowsOp<"copy_rows", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "the block's threads begin to copy rows from global to shared memory";
  let description = [{
    All `threads` of the block copy `rows` rows of `columns` elements asynchronously: the rows are there after
    `cp_async_commit`, `cp_async_wait` and `barrier`. The region says where row `r` (i32) begins; rows that are not valid
    become zeros without being read. Rows go in chunks of 16, 8 or 4 bytes, the most that divides their length, of which
    row addresses are multiples. In shared memory rows lie `pitch` bytes apart and have `width` elements, of which those
    beyond `columns` are zeros.
  }];
  let arguments = (ins GQAGpu_Global:$source, GQAGpu_Shared:$destination, I64Attr:$rows, I64Attr:$columns,
                       I64Attr:$width, I64Attr:$pitch, I64Attr:$threads, TypeAttrOf<GQAGpu_StoredElement>:$element);
  let assemblyFormat = [{
    $source `to` $destination `rows` $rows `columns` $columns `width` $width `pitch` $pitch `threads` $threads `element`
    $element $address attr-dict `:` type($source) `,` type($destination)
  }];
}

def GQAGpu_ConvertRowsOp : GQAGpu_Op<"convert_rows", [
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>, AttrSizedOperandSegments]> {
  let summary = "the block's threads convert rows in shared memory to a tile of another element type";
  let description = [{
    `rows` rows of `width` elements, `pitch` bytes apart at the source, become rows of a tile at the destination. Where
    rows are `packed`, bytes hold two 4-bit integers, the even element in the low half. With `factors`, f32 in global
    memory, the element of column `c` is multiplied by number `c * stride` of them.
  }];
  let arguments = (ins GQAGpu_Shared:$source, GQAGpu_Shared:$destination, Optional<GQAGpu_Global>:$factors,
                       Optional<I64>:$stride, I64Attr:$rows, I64Attr:$columns, I64Attr:$width, I64Attr:$pitch,
                       I64Attr:$threads, TypeAttrOf<GQAGpu_StoredElement>:$from, UnitAttr:$packed,
                       TypeAttrOf<GQAGpu_TileElement>:$to);
  let assemblyFormat = [{
    $source `to` $destination (`factors` $factors^ `:` type($factors) `stride` $stride)? `rows` $rows `columns` $columns
    `width` $width `pitch` $pitch `threads` $threads `from` (`packed` $packed^)? $from `to` $to
    attr-dict `:` type($source) `,` type($destination)
  }];
}

def GQAGpu_LoadRowsOp : GQAGpu_RowsOp<"load_rows", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "a tile of rows in global memory, held by a warp";
  let description = [{
    Row `r` begins where the region says. All rows are read, so all must lie inside the tensor; `valid` is not used.
    Elements beyond `columns` are zeros.
  }];
  let arguments = (ins GQAGpu_Global:$source, I64Attr:$columns);
  let results = (outs 2DTensorOf<[BF16, F16, F32]>:$tile);
  let assemblyFormat = "$source `columns` $columns $address attr-dict `:` type($source) `->` type($tile)";
}

def GQAGpu_StoreRowsOp : GQAGpu_RowsOp<"store_rows", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "writes the valid rows of a tile to global memory";
  let description = [{
    The tile has rank 2, of which the first `columns` columns are written, or rank 1 with one element per row.
  }];
  let arguments = (ins AnyRankedTensor:$tile, GQAGpu_Global:$destination, I64Attr:$columns);
  let assemblyFormat = "$tile `to` $destination `columns` $columns $address attr-dict `:` type($tile) `,` type($destination)";
}

def GQAGpu_SharedTileOp : GQAGpu_Op<"shared_tile", [MemoryEffects<[MemRead]>]> {
  let summary = "a tile that lies in shared memory, as an operand of a contraction";
  let arguments = (ins GQAGpu_Shared:$address);
  let results = (outs 2DTensorOf<[BF16, F16, F32]>:$tile);
  let assemblyFormat = "$address attr-dict `:` type($address) `->` type($tile)";
}

def GQAGpu_PutTileOp : GQAGpu_Op<"put_tile", [MemoryEffects<[MemWrite]>]> {
  let summary = "every lane stores its elements of an f32 tile to shared memory";
  let description = "Element `i` of lane `l` goes to word `32 * i + l`.";
  let arguments = (ins AnyRankedTensor:$tile, GQAGpu_Shared:$address);
  let assemblyFormat = "$tile `to` $address attr-dict `:` type($tile) `,` type($address)";
}

def GQAGpu_GetTileOp : GQAGpu_Op<"get_tile", [MemoryEffects<[MemRead]>]> {
  let summary = "every lane loads its elements of a tile that another warp put";
  let arguments = (ins GQAGpu_Shared:$address);
  let results = (outs AnyRankedTensor:$tile);
  let assemblyFormat = "$address attr-dict `:` type($address) `->` type($tile)";
}

//===-- Instructions -------------------------------------------------------------------------------------------===//

def GQAGpu_ThreadIdOp : GQAGpu_Op<"thread_id", [Pure]> {
  let summary = "the thread's number in its block";
  let description = [{
    With `anew` it is read where it is asked for, and what is computed from it is not kept in registers from elsewhere.
  }];
  let arguments = (ins UnitAttr:$anew);
  let results = (outs I32:$id);
  let assemblyFormat = "(`anew` $anew^)? attr-dict";
}

def GQAGpu_BlockIdOp : GQAGpu_Op<"block_id", [Pure]> {
  let summary = "the block's number along an axis (0, 1, 2) of the grid";
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative, IntMaxValue<2>]>:$axis);
  let results = (outs I32:$id);
  let assemblyFormat = "$axis attr-dict";
}

def GQAGpu_SharedMemoryOp : GQAGpu_Op<"shared_memory", [Pure]> {
  let summary = "the block's dynamic shared memory";
  let results = (outs GQAGpu_Shared:$address);
  let assemblyFormat = "attr-dict `:` type($address)";
}

def GQAGpu_BarrierOp : GQAGpu_Op<"barrier"> {
  let summary = "waits for all threads of the block";
  let assemblyFormat = "attr-dict";
}

def GQAGpu_CpAsyncOp : GQAGpu_Op<"cp_async"> {
  let summary = "begins to copy `size` bytes to shared memory: `bytes` of them (0 or all) from global memory, else zeros";
  let arguments = (ins GQAGpu_Shared:$destination, GQAGpu_Global:$source, I32:$bytes,
                       I32Attr:$size);
  let assemblyFormat = [{
    $source `to` $destination `bytes` $bytes `of` $size attr-dict `:` type($source) `,` type($destination)
  }];
}

def GQAGpu_CpAsyncCommitOp : GQAGpu_Op<"cp_async_commit"> {
  let summary = "makes the copies that the thread began since the last commit a group";
  let assemblyFormat = "attr-dict";
}

def GQAGpu_CpAsyncWaitOp : GQAGpu_Op<"cp_async_wait"> {
  let summary = "waits until at most `pending` of the thread's groups are under way";
  let arguments = (ins I32Attr:$pending);
  let assemblyFormat = "$pending attr-dict";
}

def GQAGpu_LdMatrixOp : GQAGpu_Op<"ldmatrix", [MemoryEffects<[MemRead]>, AllTypesMatch<["r0", "r1", "r2", "r3"]>]> {
  let summary = "the warp loads four 8x8 matrices of half-precision numbers from shared memory";
  let description = [{
    Lane `l` gives the address of row `l mod 8` of matrix `l / 8`. Of each matrix, lane `l` gets elements `2 (l mod 4)`
    and the next of row `l / 4`, or, if `transpose`, of column `l / 4`.
  }];
  let arguments = (ins GQAGpu_Shared:$address, UnitAttr:$transpose);
  let results = (outs GQAGpu_Pair:$r0, GQAGpu_Pair:$r1, GQAGpu_Pair:$r2, GQAGpu_Pair:$r3);
  let assemblyFormat = "(`transpose` $transpose^)? $address attr-dict `:` type($address) `->` type($r0)";
}

def GQAGpu_MmaOp : GQAGpu_Op<"mma", [Pure]> {
  let summary = "the warp multiplies a 16x16 by a 16x8 matrix and adds, in f32 (mma.m16n8k16)";
  let description = [{
    With `q = lane / 4` and `c = 2 (lane mod 4)`, a lane holds of

    - `a` [16, 16]: (q, c..c+1), (q+8, c..c+1), (q, c+8..c+9), (q+8, c+8..c+9);
    - `b` [16, 8]: (c..c+1, q), (c+8..c+9, q);
    - `init` and the result [16, 8]: (q, c), (q, c+1), (q+8, c), (q+8, c+1).
  }];
  let arguments = (ins GQAGpu_Pair:$a0, GQAGpu_Pair:$a1, GQAGpu_Pair:$a2, GQAGpu_Pair:$a3, GQAGpu_Pair:$b0,
                       GQAGpu_Pair:$b1, F32:$c0, F32:$c1, F32:$c2, F32:$c3);
  let results = (outs F32:$r0, F32:$r1, F32:$r2, F32:$r3);
  let assemblyFormat = [{
    `a` `(` $a0 `,` $a1 `,` $a2 `,` $a3 `)` `b` `(` $b0 `,` $b1 `)` `init` `(` $c0 `,` $c1 `,` $c2 `,` $c3 `)`
    attr-dict `:` type($a0) `,` type($a1) `,` type($a2) `,` type($a3) `,` type($b0) `,` type($b1)
  }];
}

def GQAGpu_MmaTF32Op : GQAGpu_Op<"mma_tf32", [Pure]> {
  let summary = "the warp multiplies a 16x8 by an 8x8 matrix and adds, in f32 (mma.m16n8k8)";
  let description = [{
    Of the factors, the upper 19 bits count. With `q = lane / 4` and `t = lane mod 4`, a lane holds of

    - `a` [16, 8]: (q, t), (q+8, t), (q, t+4), (q+8, t+4);
    - `b` [8, 8]: (t, q), (t+4, q);
    - `init` and the result [16, 8]: (q, 2t), (q, 2t+1), (q+8, 2t), (q+8, 2t+1).
  }];
  let arguments = (ins F32:$a0, F32:$a1, F32:$a2, F32:$a3, F32:$b0, F32:$b1, F32:$c0, F32:$c1, F32:$c2, F32:$c3);
  let results = (outs F32:$r0, F32:$r1, F32:$r2, F32:$r3);
  let assemblyFormat = [{
    `a` `(` $a0 `,` $a1 `,` $a2 `,` $a3 `)` `b` `(` $b0 `,` $b1 `)` `init` `(` $c0 `,` $c1 `,` $c2 `,` $c3 `)` attr-dict
  }];
}

def GQAGpu_ShuffleXorOp : GQAGpu_Op<"shuffle_xor"> {
  let summary = "the value of the lane whose number differs by `mask`";
  let arguments = (ins F32:$value, I32Attr:$mask);
  let results = (outs F32:$result);
  let assemblyFormat = "$value `,` $mask attr-dict";
}

include "dialect/gpu/GQAGpuHopperOps.td"

//===-- The host's side ----------------------------------------------------------------------------------------===//

def GQAGpu_LaunchOp : GQAGpu_Op<"launch", [AttrSizedOperandSegments, DestinationStyleOpInterface,
                                           DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "starts a kernel";
  let description = [{
    `grid` blocks of `threads` threads run `kernel`. Its parameters are, for every tensor of `ins` and then of `outs`,
    the address of its first element (`!llvm.ptr<1>`) and the stride of each dimension in elements (i64), then the
    scalars, then the address of a tensor map for each of `tensor_maps`. Rows of the tensors numbered in
    `aligned_operands` must begin at multiples of what `alignments` says of each, in bytes, which the entry checks.

    Constraints:

    - L1: `grid` has three extents.
    - L2: `alignments` are as many as `aligned_operands`.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs, Variadic<I32>:$scalars,
                       Variadic<Index>:$grid, FlatSymbolRefAttr:$kernel, I64Attr:$threads, I64Attr:$shared_bytes,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$aligned_operands,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$alignments,
                       DefaultValuedAttr<TypedArrayAttrBase<GQAGpu_TensorMapAttr, "tensor maps">, "{}">:$tensor_maps);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `grid` `(` $grid `)` `threads` $threads `shared` $shared_bytes `ins` `(` $inputs `:` type($inputs) `)`
    `outs` `(` $outputs `:` type($outputs) `)` `scalars` `(` $scalars `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
  }];
}

#endif // GQA_GPU_OPS_TD
