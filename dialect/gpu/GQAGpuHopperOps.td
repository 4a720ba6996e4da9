#ifndef GQA_GPU_HOPPER_OPS_TD
#define GQA_GPU_HOPPER_OPS_TD

// What kernels for Hopper (sm_90a) are made of beside the ops of GQAGpuOps.td, which includes this file.

//===-- Tiles of a warpgroup -----------------------------------------------------------------------------------===//

def GQAGpu_StartProductOp : GQAGpu_Op<"start_product", [AttrSizedOperandSegments]> {
  let summary = "the warpgroup begins a product of 64 rows in f32";
  let description = [{
    init [64, columns] + a [64, k] * b [k, columns]. Every warp sees its 16 rows. The result is there after
    `wait_products`, and until then neither it nor what the product reads may be touched.

    - `a`: the warp's rows as `pack_pairs` makes them, or, as `aAddress`, the warpgroup's 64 rows in shared memory.
    - `b`: in shared memory, as [columns, k], or as [k, columns] if `transposeB`.

    A matrix of half-precision numbers in shared memory lies in slabs of 64 columns: slab s at 128 * rows * s bytes, its
    row r 128 * r further, with the 128-byte swizzle: 16-byte chunk c of a row lies at chunk c xor (r mod 8). Slabs
    begin at multiples of 1024 bytes. `aRows` and `bRows` are the rows of whole matrices.
  }];
  let arguments = (ins Optional<2DTensorOf<[I32]>>:$a, Optional<GQAGpu_Shared>:$aAddress, GQAGpu_Shared:$b,
                       Optional<2DTensorOf<[F32]>>:$init, I64Attr:$k, I64Attr:$aRows, I64Attr:$bRows,
                       UnitAttr:$transposeB, TypeAttrOf<GQAGpu_Half>:$element);
  let results = (outs 2DTensorOf<[F32]>:$result);
  let assemblyFormat = [{
    (`registers` $a^ `:` type($a))? (`shared` $aAddress^ `:` type($aAddress))? `by` $b `:` type($b)
    (`transposed` $transposeB^)? (`init` $init^ `:` type($init))? `k` $k `rows` $aRows `,` $bRows `element` $element
    attr-dict `->` type($result)
  }];
}

def GQAGpu_WaitProductsOp : GQAGpu_Op<"wait_products"> {
  let summary = "waits until at most `pending` products of the warpgroup are under way";
  let description = [{
    `tiles` are the results of all products that were under way; those of the older ones are finished, the others
    continue.
  }];
  let arguments = (ins I32Attr:$pending, Variadic<2DTensorOf<[F32]>>:$tiles);
  let results = (outs Variadic<2DTensorOf<[F32]>>:$results);
  let assemblyFormat = "$pending `,` $tiles attr-dict `:` type($tiles) `->` type($results)";
}

def GQAGpu_PackPairsOp : GQAGpu_Op<"pack_pairs", [Pure]> {
  let summary = "rounds a tile to half precision, as the first operand of a product";
  let description = "Word (r, c) of the result holds columns 2c (the low half) and 2c + 1 of row r.";
  let arguments = (ins 2DTensorOf<[F32]>:$tile, TypeAttrOf<GQAGpu_Half>:$element);
  let results = (outs 2DTensorOf<[I32]>:$words);
  let assemblyFormat = "$tile `to` $element attr-dict `:` type($tile) `->` type($words)";
}

//===-- Instructions -------------------------------------------------------------------------------------------===//

def GQAGpu_WarpgroupIdOp : GQAGpu_Op<"warpgroup_id", [Pure]> {
  let summary = "the number of the thread's group of four warps; the chip knows that a warp's lanes have the same";
  let results = (outs I32:$id);
  let assemblyFormat = "attr-dict";
}

def GQAGpu_SharedOffsetOp : GQAGpu_Op<"shared_offset", [Pure]> {
  let summary = "an address in shared memory as a number of bytes, as descriptors need it";
  let arguments = (ins GQAGpu_Shared:$address);
  let results = (outs I32:$offset);
  let assemblyFormat = "$address attr-dict `:` type($address)";
}

def GQAGpu_SetMaxRegistersOp : GQAGpu_Op<"set_max_registers"> {
  let summary = "the warpgroup gives registers back, or takes what others gave (setmaxnreg)";
  let arguments = (ins I32Attr:$count, UnitAttr:$increase);
  let assemblyFormat = "(`increase` $increase^)? $count attr-dict";
}

def GQAGpu_NamedBarrierOp : GQAGpu_Op<"named_barrier"> {
  let summary = "arrives at barrier `id` of `threads` threads, and waits for the others unless `arriveOnly`";
  let arguments = (ins I32:$id, I32Attr:$threads, UnitAttr:$arriveOnly);
  let assemblyFormat = "(`arrive` $arriveOnly^)? $id `threads` $threads attr-dict";
}

def GQAGpu_MBarrierInitOp : GQAGpu_Op<"mbarrier_init"> {
  let summary = "an mbarrier, of which a phase ends with `count` arrivals and all bytes that were announced";
  let arguments = (ins GQAGpu_Shared:$barrier, I32Attr:$count);
  let assemblyFormat = "$barrier `count` $count attr-dict `:` type($barrier)";
}

def GQAGpu_MBarrierFenceOp : GQAGpu_Op<"mbarrier_fence"> {
  let summary = "makes initialised mbarriers known to asynchronous copies";
  let assemblyFormat = "attr-dict";
}

def GQAGpu_MBarrierArriveOp : GQAGpu_Op<"mbarrier_arrive"> {
  let summary = "arrives, if `predicate`";
  let arguments = (ins GQAGpu_Shared:$barrier, I1:$predicate);
  let assemblyFormat = "$barrier `if` $predicate attr-dict `:` type($barrier)";
}

def GQAGpu_MBarrierExpectOp : GQAGpu_Op<"mbarrier_expect"> {
  let summary = "arrives, and announces bytes that asynchronous copies will bring";
  let arguments = (ins GQAGpu_Shared:$barrier, I32Attr:$bytes);
  let assemblyFormat = "$barrier `bytes` $bytes attr-dict `:` type($barrier)";
}

def GQAGpu_MBarrierWaitOp : GQAGpu_Op<"mbarrier_wait"> {
  let summary = "waits until the phase of this parity (0 for the first) has ended";
  let arguments = (ins GQAGpu_Shared:$barrier, I32:$parity);
  let assemblyFormat = "$barrier `parity` $parity attr-dict `:` type($barrier)";
}

def GQAGpu_TmaLoadOp : GQAGpu_Op<"tma_load"> {
  let summary = "begins to copy a box of a tensor to shared memory";
  let description = [{
    `map` is a kernel's parameter that `launch` encoded; `coordinates` of the box's corner count elements, innermost
    dimension first. Elements outside of the tensor become zeros. The bytes of the whole box arrive at `barrier`.
  }];
  let arguments = (ins LLVM_AnyPointer:$map, GQAGpu_Shared:$destination, GQAGpu_Shared:$barrier,
                       Variadic<I32>:$coordinates);
  let assemblyFormat = [{
    $map `[` $coordinates `]` `to` $destination `barrier` $barrier attr-dict `:` type($map) `,` type($destination)
  }];
}

def GQAGpu_AsyncProxyFenceOp : GQAGpu_Op<"async_proxy_fence"> {
  let summary = "lets products read what the thread has stored to shared memory";
  let assemblyFormat = "attr-dict";
}

def GQAGpu_WgmmaOp : GQAGpu_Op<"wgmma", [AttrSizedOperandSegments]> {
  let summary = "one group of wgmma.m64nNk16, one for every 16 of k";
  let description = [{
    Lane l of warp w in the warpgroup holds, of every 16x8 block of the warp's rows 16w to 16w + 15, what lanes of `mma`
    hold. `a` has four words per step, in the order of `mma`'s operand a; without them, `aDescriptor` and `aHigh` are the
    low and high word of the descriptor of the first step, to which `aSteps` adds; likewise for b. Without `init` the
    first step begins with zeros.
  }];
  let arguments = (ins Variadic<F32>:$init, Variadic<I32>:$a, Optional<I32>:$aDescriptor, I32:$bDescriptor,
                       I64Attr:$n, I64Attr:$aHigh, I64Attr:$bHigh, DenseI64ArrayAttr:$aSteps,
                       DenseI64ArrayAttr:$bSteps, UnitAttr:$transposeB, TypeAttrOf<GQAGpu_Half>:$element);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = [{
    `n` $n `element` $element (`registers` `(` $a^ `)`)? (`a` $aDescriptor^ `high` $aHigh `steps` $aSteps)?
    `b` $bDescriptor `high` $bHigh `steps` $bSteps (`transposed` $transposeB^)? (`init` `(` $init^ `)`)?
    attr-dict `:` type($results)
  }];
}

def GQAGpu_WgmmaWaitOp : GQAGpu_Op<"wgmma_wait"> {
  let summary = "waits until at most `pending` groups are under way; ties the accumulators that are";
  let arguments = (ins I32Attr:$pending, Variadic<F32>:$values);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = "$pending `,` $values attr-dict `:` type($results)";
}

#endif // GQA_GPU_HOPPER_OPS_TD
