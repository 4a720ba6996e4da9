// RUN: gqa-opt %s --gqa-select-schedule --split-input-file | FileCheck %s
// RUN: gqa-opt %s --gqa-select-schedule="vector-bits=256 registers=16 has-dot" --split-input-file | FileCheck %s --check-prefix=NARROW
// RUN: gqa-opt %s --gqa-select-schedule="has-dot has-matrix-tiles" --split-input-file | FileCheck %s --check-prefix=TILES
// RUN: gqa-opt %s --gqa-select-schedule="has-short-dot" --split-input-file | FileCheck %s --check-prefix=SHORTS
// RUN: gqa-opt %s --gqa-select-schedule="tile-g=1 tile-m=5 tile-n=24" --split-input-file | FileCheck %s --check-prefix=CHOSEN

// Many rows: four vectors of them, a power of two of heads that divides the group (2 of 6) times positions.
// Without an upper bound on the rows the same holds.
// CHECK-LABEL: func @prefill
// CHECK: schedule(#gqa.schedule<lanes = row, g = 2, m = 32, rows = 64, n = 48, split = 0, dot = false>)
// CHECK: schedule(#gqa.schedule<lanes = row, g = 2, m = 32, rows = 64, n = 48, split = 0, dot = false>)
// NARROW-LABEL: func @prefill
// NARROW: schedule(#gqa.schedule<lanes = row, g = 2, m = 16, rows = 32, n = 64, split = 0, dot = false>)
// Tiles chosen by the caller: rows are rounded up to whole vectors.
// CHOSEN-LABEL: func @prefill
// CHOSEN: schedule(#gqa.schedule<lanes = row, g = 1, m = 5, rows = 16, n = 24, split = 0, dot = false>)
func.func @prefill(%q: tensor<2x6x128x16xf32>, %dynamic: tensor<2x6x?x16xf32>, %k: tensor<2x?x16xf32>,
                   %o: tensor<2x6x128x16xf32>, %p: tensor<2x6x?x16xf32>)
    -> (tensor<2x6x128x16xf32>, tensor<2x6x?x16xf32>) {
  %a = gqa.attention scale 0.25
    query(%q[hkv, g, m, dqk] : tensor<2x6x128x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x?x16xf32>) outs(%o[hkv, g, m, dv] : tensor<2x6x128x16xf32>)
  %b = gqa.attention scale 0.25
    query(%dynamic[hkv, g, m, dqk] : tensor<2x6x?x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x?x16xf32>) outs(%p[hkv, g, m, dv] : tensor<2x6x?x16xf32>)
  return %a, %b : tensor<2x6x128x16xf32>, tensor<2x6x?x16xf32>
}

// -----

// Decoding with at most eight rows: vectors lie along the head dimension, rows are padded to a power of two, and keys
// are split, since their number is not known.
// CHECK-LABEL: func @decode
// CHECK: schedule(#gqa.schedule<lanes = head_dim, g = 6, m = 1, rows = 8, n = 64, split = 512, dot = false>)
// NARROW-LABEL: func @decode
// A split is a whole number of blocks: 528 = 22 * 24.
// CHOSEN-LABEL: func @decode
// CHOSEN: schedule(#gqa.schedule<lanes = head_dim, g = 1, m = 5, rows = 8, n = 24, split = 528, dot = false>)
func.func @decode(%q: tensor<2x6x16xf32>, %k: tensor<2x?x16xf32>, %o: tensor<2x6x16xf32>) -> tensor<2x6x16xf32> {
  %a = gqa.attention scale 0.25
    query(%q[hkv, g, dqk] : tensor<2x6x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x?x16xf32>) outs(%o[hkv, g, dv] : tensor<2x6x16xf32>)
  return %a : tensor<2x6x16xf32>
}

// -----

// 512 keys are one range, so they are not split; 513 are. With more than eight rows, or a head dimension that is no
// whole number of vectors, rows are in the lanes.
// CHECK-LABEL: func @keys
// CHECK: schedule(#gqa.schedule<lanes = row, g = 9, m = 1, rows = 16, n = 64, split = 0, dot = false>)
// CHECK: schedule(#gqa.schedule<lanes = row, g = 9, m = 1, rows = 16, n = 64, split = 512, dot = false>)
// CHECK: schedule(#gqa.schedule<lanes = row, g = 2, m = 1, rows = 16, n = 64, split = 512, dot = false>)
// NARROW-LABEL: func @keys
// CHOSEN-LABEL: func @keys
func.func @keys(%q: tensor<2x9x16xf32>, %k: tensor<2x512x16xf32>, %l: tensor<2x513x16xf32>, %s: tensor<2x2x20xf32>,
                %t: tensor<2x513x20xf32>) -> (tensor<2x9x16xf32>, tensor<2x9x16xf32>, tensor<2x2x20xf32>) {
  %a = gqa.attention scale 0.25
    query(%q[hkv, g, dqk] : tensor<2x9x16xf32>) key(%k[hkv, n, dqk] : tensor<2x512x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x512x16xf32>) outs(%q[hkv, g, dv] : tensor<2x9x16xf32>)
  %b = gqa.attention scale 0.25
    query(%q[hkv, g, dqk] : tensor<2x9x16xf32>) key(%l[hkv, n, dqk] : tensor<2x513x16xf32>)
    value(%l[hkv, n, dv] : tensor<2x513x16xf32>) outs(%q[hkv, g, dv] : tensor<2x9x16xf32>)
  %c = gqa.attention scale 0.25
    query(%s[hkv, g, dqk] : tensor<2x2x20xf32>) key(%t[hkv, n, dqk] : tensor<2x513x20xf32>)
    value(%t[hkv, n, dv] : tensor<2x513x20xf32>) outs(%s[hkv, g, dv] : tensor<2x2x20xf32>)
  return %a, %b, %c : tensor<2x9x16xf32>, tensor<2x9x16xf32>, tensor<2x2x20xf32>
}

// -----

// Products of pairs need a target that has them, and bf16 in query, key and value; f16 or a value of f32 will not do.
// CHECK-LABEL: func @pairs
// CHECK-COUNT-2: dot = false
// NARROW-LABEL: func @pairs
// NARROW: gqa.attention {{.*}} dot = true
// NARROW: gqa.attention {{.*}} dot = false
// CHOSEN-LABEL: func @pairs
// With matrix registers, twice as many rows share the transposition of a block of V; products of f32 gain nothing.
// TILES-LABEL: func @pairs
// TILES: schedule(#gqa.schedule<lanes = row, g = 1, m = 128, rows = 128, n = 64, split = 0, dot = true>)
// TILES: schedule(#gqa.schedule<lanes = row, g = 1, m = 64, rows = 64, n = 48, split = 0, dot = false>)
func.func @pairs(%q: tensor<2x128x16xbf16>, %k: tensor<2x?x16xbf16>, %v: tensor<2x?x16xf32>)
    -> (tensor<2x128x16xbf16>, tensor<2x128x16xbf16>) {
  %a = gqa.attention scale 0.25
    query(%q[hkv, m, dqk] : tensor<2x128x16xbf16>) key(%k[hkv, n, dqk] : tensor<2x?x16xbf16>)
    value(%k[hkv, n, dv] : tensor<2x?x16xbf16>) outs(%q[hkv, m, dv] : tensor<2x128x16xbf16>)
  %b = gqa.attention scale 0.25
    query(%q[hkv, m, dqk] : tensor<2x128x16xbf16>) key(%k[hkv, n, dqk] : tensor<2x?x16xbf16>)
    value(%v[hkv, n, dv] : tensor<2x?x16xf32>) outs(%q[hkv, m, dv] : tensor<2x128x16xbf16>)
  return %a, %b : tensor<2x128x16xbf16>, tensor<2x128x16xbf16>
}

// -----

// Near miss: a schedule written by hand stays, whatever the options say.
// CHECK-LABEL: func @by_hand
// CHECK: schedule(#gqa.schedule<lanes = row, g = 1, m = 3, rows = 4, n = 7, split = 14, dot = false>)
// NARROW-LABEL: func @by_hand
// CHOSEN-LABEL: func @by_hand
// CHOSEN: schedule(#gqa.schedule<lanes = row, g = 1, m = 3, rows = 4, n = 7, split = 14, dot = false>)
func.func @by_hand(%q: tensor<2x128x16xf32>, %k: tensor<2x?x16xf32>) -> tensor<2x128x16xf32> {
  %a = gqa.attention scale 0.25 schedule(#gqa.schedule<lanes = row, g = 1, m = 3, rows = 4, n = 7, split = 14, dot = false>)
    query(%q[hkv, m, dqk] : tensor<2x128x16xf32>) key(%k[hkv, n, dqk] : tensor<2x?x16xf32>)
    value(%k[hkv, n, dv] : tensor<2x?x16xf32>) outs(%q[hkv, m, dv] : tensor<2x128x16xf32>)
  return %a : tensor<2x128x16xf32>
}

// -----

// 40 heads take as many rows as 64 would: blocks of three vectors cost more than blocks of four.
// CHECK-LABEL: func @three_vectors
// CHECK: schedule(#gqa.schedule<lanes = row, g = 40, m = 1, rows = 64, n = 64, split = 512, dot = false>)
// NARROW-LABEL: func @three_vectors
// NARROW: schedule(#gqa.schedule<lanes = row, g = 32, m = 1, rows = 32, n = 64, split = 0, dot = false>)
// CHOSEN-LABEL: func @three_vectors
func.func @three_vectors(%q: tensor<40x128xf32>, %k: tensor<?x128xf32>) -> tensor<40x128xf32> {
  %a = gqa.attention scale 0.25
    query(%q[g, dqk] : tensor<40x128xf32>) key(%k[n, dqk] : tensor<?x128xf32>)
    value(%k[n, dv] : tensor<?x128xf32>) outs(%q[g, dv] : tensor<40x128xf32>)
  return %a : tensor<40x128xf32>
}

// -----

// Matrix registers multiply keys and values of bytes as they are, also of two elements each, for a few rows; not where
// one of them has another type.
// CHECK-LABEL: func @bytes
// CHECK-COUNT-2: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = false>)
// NARROW-LABEL: func @bytes
// CHOSEN-LABEL: func @bytes
// TILES-LABEL: func @bytes
// TILES: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = true>)
// TILES: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = false>)
// Without them, products of 16 bits do, but for queries of f32.
// SHORTS-LABEL: func @bytes
// SHORTS: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = true, shorts = true>)
// SHORTS: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = false>)
// SHORTS: func @bytes_f32
// SHORTS: schedule(#gqa.schedule<lanes = head_dim, g = 4, m = 1, rows = 4, n = 64, split = 512, dot = false>)
func.func @bytes(%q: tensor<4x128xf16>, %k: tensor<?x128xi8>, %v: tensor<?x64xi8>, %w: tensor<?x128xf16>)
    -> (tensor<4x128xf16>, tensor<4x128xf16>) {
  %a = gqa.attention scale 0.25
    query(%q[g, dqk] : tensor<4x128xf16>) key(%k[n, dqk] : tensor<?x128xi8>) value(%v[n, dv2] : tensor<?x64xi8>)
    outs(%q[g, dv] : tensor<4x128xf16>)
  %b = gqa.attention scale 0.25
    query(%q[g, dqk] : tensor<4x128xf16>) key(%k[n, dqk] : tensor<?x128xi8>) value(%w[n, dv] : tensor<?x128xf16>)
    outs(%q[g, dv] : tensor<4x128xf16>)
  return %a, %b : tensor<4x128xf16>, tensor<4x128xf16>
}
func.func @bytes_f32(%q: tensor<4x128xf32>, %k: tensor<?x128xi8>) -> tensor<4x128xf32> {
  %a = gqa.attention scale 0.25
    query(%q[g, dqk] : tensor<4x128xf32>) key(%k[n, dqk] : tensor<?x128xi8>) value(%k[n, dv] : tensor<?x128xi8>)
    outs(%q[g, dv] : tensor<4x128xf32>)
  return %a : tensor<4x128xf32>
}
