// RUN: gqa-opt %s --verify-diagnostics --split-input-file

// expected-error@below {{a block must have 1 to 32 warps, got 8 * 8 (S1)}}
module attributes {s = #gqa_gpu.schedule<warpRows = 16, rowWarps = 8, keyWarps = 8, n = 128, stages = 2, split = 0, sharedQuery = false>} {}

// -----

// expected-error@below {{warpRows must be a positive multiple of 16, got 24 (S1)}}
module attributes {s = #gqa_gpu.schedule<warpRows = 24, rowWarps = 8, keyWarps = 1, n = 128, stages = 2, split = 0, sharedQuery = false>} {}

// -----

// expected-error@below {{n (96) must give each of 4 key warps a multiple of 16 keys (S1)}}
module attributes {s = #gqa_gpu.schedule<warpRows = 16, rowWarps = 1, keyWarps = 4, n = 96, stages = 2, split = 0, sharedQuery = false>} {}

// -----

// expected-error@below {{stages must be at least 2, got 1 (S2)}}
module attributes {s = #gqa_gpu.schedule<warpRows = 16, rowWarps = 8, keyWarps = 1, n = 64, stages = 1, split = 0, sharedQuery = false>} {}

// -----

// expected-error@below {{split (100) must be a multiple of n (64), or 0 (S3)}}
module attributes {s = #gqa_gpu.schedule<warpRows = 16, rowWarps = 8, keyWarps = 1, n = 64, stages = 2, split = 100, sharedQuery = false>} {}

// -----

// expected-error@below {{consumers must be 1 to 3, got 4 (W1)}}
module attributes {s = #gqa_gpu.warpgroup_schedule<consumers = 4, n = 128, stages = 2, packed = true, pingPong = true, overlap = true>} {}

// -----

// expected-error@below {{n must be a multiple of 16 from 16 to 256, got 272 (W2)}}
module attributes {s = #gqa_gpu.warpgroup_schedule<consumers = 2, n = 272, stages = 2, packed = true, pingPong = true, overlap = true>} {}

// -----

// expected-error@below {{stages must be 2 to 8, got 1 (W3)}}
module attributes {s = #gqa_gpu.warpgroup_schedule<consumers = 2, n = 128, stages = 1, packed = true, pingPong = true, overlap = true>} {}

// -----

func.func @grid(%x: index, %t: memref<4xf32>) {
  // expected-error@below {{grid must have three extents, got 2 (L1)}}
  gqa_gpu.launch @k grid(%x, %x) threads 32 shared 0 ins(%t : memref<4xf32>) outs(%t : memref<4xf32>) scalars()
  return
}

// -----

func.func @alignments(%x: index, %t: memref<4xf32>) {
  // expected-error@below {{has 1 alignments for 2 aligned operands (L2)}}
  gqa_gpu.launch @k grid(%x, %x, %x) threads 32 shared 0 ins(%t : memref<4xf32>) outs(%t : memref<4xf32>) scalars()
      {aligned_operands = array<i64: 0, 1>, alignments = array<i64: 16>}
  return
}
