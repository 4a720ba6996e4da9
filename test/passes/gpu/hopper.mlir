// From attention to the instructions of Hopper, stage by stage.
//
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_90a stop-after=schedule" | FileCheck %s --check-prefix=SCHEDULE
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_90a stop-after=kernels" | FileCheck %s --check-prefixes=HOST,KERNEL
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_90a stop-after=distribute" | FileCheck %s --check-prefix=LANE
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_90a stop-after=instructions" | FileCheck %s --check-prefix=CHIP
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_90a emulate stop-after=instructions" | FileCheck %s --check-prefix=EMULATED

// Two consumers of 64 rows; four heads that share keys are rows of one tile.
// SCHEDULE-LABEL: func @prefill(
// SCHEDULE: gqa_gpu.schedule = #gqa_gpu.warpgroup_schedule<consumers = 2, n = 128, stages = 2, packed = true, pingPong = true, overlap = true>

// The query's boxes hold the four heads of 16 positions, those of keys and values 128 keys; 64 columns each.
// HOST-LABEL: func.func @prefill(
// HOST: gqa_gpu.launch @prefill_attention0
// HOST-SAME: threads 384 shared 166144
// HOST-SAME: tensor_maps = [#gqa_gpu.tensor_map<0, dims = [4, 2, 3, 0, 1], box = [64, 4, 16, 1, 1]>,
// HOST-SAME: #gqa_gpu.tensor_map<1, dims = [3, 2, 0, 1], box = [64, 128, 1, 1]>,
// HOST-SAME: #gqa_gpu.tensor_map<2, dims = [3, 2, 0, 1], box = [64, 128, 1, 1]>]

// KERNEL-LABEL: func.func @prefill_attention0(
// KERNEL-SAME: !llvm.ptr {gqa_gpu.tensor_map}
// One thread makes the barriers: a phase ends when one thread has announced bytes and these have come, or when all
// eight warps that compute have let go.
// KERNEL: gqa_gpu.mbarrier_init %{{.*}} count 1
// KERNEL: gqa_gpu.mbarrier_init %{{.*}} count 8
// KERNEL: gqa_gpu.mbarrier_fence
// KERNEL: gqa_gpu.barrier
// The producer gives registers back, and one of its threads copies: keys, the query, then keys and values in a loop.
// KERNEL: gqa_gpu.set_max_registers 40
// KERNEL: gqa_gpu.mbarrier_expect %{{.*}} bytes 32768
// KERNEL-COUNT-2: gqa_gpu.tma_load
// KERNEL: gqa_gpu.mbarrier_expect %{{.*}} bytes 32768
// KERNEL-COUNT-4: gqa_gpu.tma_load
// KERNEL: scf.for
// KERNEL: gqa_gpu.mbarrier_wait
// KERNEL-COUNT-4: gqa_gpu.tma_load
// Consumers: the first scores, then a loop for blocks that need masks and one for those that do not.
// KERNEL: gqa_gpu.set_max_registers increase 232
// A turn ends when products are started.
// KERNEL: gqa_gpu.named_barrier %
// KERNEL: gqa_gpu.start_product shared %{{.*}} k 128 rows 128, 128 element bf16 -> tensor<16x128xf32>
// KERNEL: gqa_gpu.named_barrier arrive %
// KERNEL-NOT: gqa_gpu.named_barrier
// KERNEL: gqa_gpu.wait_products 0
// KERNEL: gqa_gpu.pack_pairs
// KERNEL: scf.for
// KERNEL: arith.cmpi sle, %{{.*}} : i32
// KERNEL: scf.for
// Scores of a block and weighted values of the one before it are under way together.
// KERNEL: %[[S:.*]] = gqa_gpu.start_product shared
// KERNEL: %[[O:.*]] = gqa_gpu.start_product registers %{{.*}} transposed init %{{.*}} k 128 rows 0, 128
// KERNEL: gqa_gpu.wait_products 1, %[[S]], %[[O]]
// KERNEL: gqa_gpu.mbarrier_arrive
// KERNEL-NOT: arith.cmpi sle, %{{.*}} : i32
// The softmax is computed before the values are waited for.
// KERNEL: gqa_gpu.put_tile
// KERNEL-NEXT: gqa_gpu.wait_products 0
// KERNEL: gqa_gpu.start_product registers
// KERNEL: gqa_gpu.store_rows

// Descriptors: the stride of eight rows (1024 bytes) and the 128-byte swizzle in the high word. Along the query and the
// keys a step is 32 bytes, and the fifth is in the next slab of 128 rows; along the values, 16 rows of 128 bytes.
// LANE-LABEL: func.func @prefill_attention0(
// LANE: gqa_gpu.wgmma n 128 element bf16 a %{{[0-9]+}} high 1073741888 steps [0, 2, 4, 6, 1024, 1026, 1028, 1030]
// LANE-SAME: b %{{[0-9]+}} high 1073741888 steps [0, 2, 4, 6, 1024, 1026, 1028, 1030]
// LANE: gqa_gpu.wgmma n 128 element bf16 registers
// LANE-SAME: steps [0, 128, 256, 384, 512, 640, 768, 896] transposed init

// CHIP-LABEL: func.func @prefill_attention0(
// CHIP: nvvm.setmaxregister decrease 40
// CHIP: cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1, {$3, $4, $5, $6}], [$2];
// CHIP: nvvm.setmaxregister increase 232
// CHIP: wgmma.fence.sync.aligned; add.u32 la, $64, 0; mov.b64 da, {la, 1073741888}; add.u32 lb, $65, 0;
// CHIP-SAME: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// CHIP-SAME: da, db, p0, 1, 1, 0, 0;
// CHIP-SAME: da, db, p1, 1, 1, 0, 0;
// CHIP-SAME: wgmma.commit_group.sync.aligned;
// CHIP: wgmma.wait_group.sync.aligned 0;
// CHIP: {$64, $65, $66, $67}, db, p1, 1, 1, 1;
// The rows that a lane writes are computed anew, so that no loop keeps them in registers.
// CHIP: mov.u32 $0, %tid.x;

// EMULATED-LABEL: func.func @prefill_attention0(
// EMULATED: llvm.call @gqa_emulate_tma_load
// EMULATED-COUNT-8: llvm.call @gqa_emulate_wgmma(
// EMULATED: llvm.call @gqa_emulate_wgmma_commit(
// EMULATED: llvm.call @gqa_emulate_wgmma_wait(
func.func @prefill(%q: tensor<?x2x4x?x128xbf16>, %k: tensor<?x2x?x128xbf16>, %v: tensor<?x2x?x128xbf16>,
                   %init: tensor<?x2x4x?x128xbf16>) -> tensor<?x2x4x?x128xbf16> {
  %o = gqa.attention scale 0.0883883461 causal align bottom_right
      query(%q[b, hkv, g, m, dqk] : tensor<?x2x4x?x128xbf16>)
      key(%k[b, hkv, n, dqk] : tensor<?x2x?x128xbf16>) value(%v[b, hkv, n, dv] : tensor<?x2x?x128xbf16>)
      outs(%init[b, hkv, g, m, dv] : tensor<?x2x4x?x128xbf16>)
  return %o : tensor<?x2x4x?x128xbf16>
}

// Five heads do not fill 64 rows: each is a tile of its own.
// SCHEDULE-LABEL: func @odd_group(
// SCHEDULE: gqa_gpu.schedule = #gqa_gpu.warpgroup_schedule<consumers = 3, n = 128, stages = 2, packed = false, pingPong = true, overlap = false>
func.func @odd_group(%q: tensor<1x2x5x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>,
                     %init: tensor<1x2x5x?x64xf16>) -> tensor<1x2x5x?x64xf16> {
  %o = gqa.attention scale 0.125 query(%q[b, hkv, g, m, dqk] : tensor<1x2x5x?x64xf16>)
      key(%k[b, hkv, n, dqk] : tensor<1x2x?x64xf16>) value(%v[b, hkv, n, dv] : tensor<1x2x?x64xf16>)
      outs(%init[b, hkv, g, m, dv] : tensor<1x2x5x?x64xf16>)
  return %o : tensor<1x2x5x?x64xf16>
}

// What the kernel cannot do, or has no rows for, goes as on sm_80, and says why.
// SCHEDULE-LABEL: func @decode(
// SCHEDULE: gqa_gpu.fallback = "its rows do not fill the 64 of a warpgroup"
// SCHEDULE-SAME: #gqa_gpu.schedule<
func.func @decode(%q: tensor<1x2x4x1x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>,
                  %init: tensor<1x2x4x1x64xf16>) -> tensor<1x2x4x1x64xf16> {
  %o = gqa.attention scale 0.125 query(%q[b, hkv, g, m, dqk] : tensor<1x2x4x1x64xf16>)
      key(%k[b, hkv, n, dqk] : tensor<1x2x?x64xf16>) value(%v[b, hkv, n, dv] : tensor<1x2x?x64xf16>)
      outs(%init[b, hkv, g, m, dv] : tensor<1x2x4x1x64xf16>)
  return %o : tensor<1x2x4x1x64xf16>
}

// The same cuts as on sm_80, but where rows are long there is room for more keys on their way.
// RUN: gqa-opt %s --lower-gqa-gpu="gpu=sm_80 stop-after=schedule" | FileCheck %s --check-prefix=SM80
// SCHEDULE-LABEL: func @long_rows(
// SCHEDULE: #gqa_gpu.schedule<warpRows = 16, rowWarps = 1, keyWarps = 4, n = 64, stages = 3, split = 512,
// SM80-LABEL: func @long_rows(
// SM80: #gqa_gpu.schedule<warpRows = 16, rowWarps = 1, keyWarps = 4, n = 64, stages = 2, split = 512,
func.func @long_rows(%q: tensor<1x2x4x1x128xf16>, %k: tensor<1x2x?x128xf16>, %v: tensor<1x2x?x128xf16>,
                     %init: tensor<1x2x4x1x128xf16>) -> tensor<1x2x4x1x128xf16> {
  %o = gqa.attention scale 0.125 query(%q[b, hkv, g, m, dqk] : tensor<1x2x4x1x128xf16>)
      key(%k[b, hkv, n, dqk] : tensor<1x2x?x128xf16>) value(%v[b, hkv, n, dv] : tensor<1x2x?x128xf16>)
      outs(%init[b, hkv, g, m, dv] : tensor<1x2x4x1x128xf16>)
  return %o : tensor<1x2x4x1x128xf16>
}

// SCHEDULE-LABEL: func @biased(
// SCHEDULE: gqa_gpu.fallback = "there is a bias or a mask"
func.func @biased(%q: tensor<1x2x4x?x64xf16>, %k: tensor<1x2x?x64xf16>, %v: tensor<1x2x?x64xf16>,
                  %bias: tensor<?x?xf32>, %init: tensor<1x2x4x?x64xf16>) -> tensor<1x2x4x?x64xf16> {
  %o = gqa.attention scale 0.125 query(%q[b, hkv, g, m, dqk] : tensor<1x2x4x?x64xf16>)
      key(%k[b, hkv, n, dqk] : tensor<1x2x?x64xf16>) value(%v[b, hkv, n, dv] : tensor<1x2x?x64xf16>)
      bias(%bias[m, n] : tensor<?x?xf32>)
      outs(%init[b, hkv, g, m, dv] : tensor<1x2x4x?x64xf16>)
  return %o : tensor<1x2x4x?x64xf16>
}
