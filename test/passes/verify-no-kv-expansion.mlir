// RUN: gqa-opt %s --gqa-verify-no-kv-expansion --split-input-file --verify-diagnostics

#small = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#all = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
func.func @repeated_key(%q: tensor<1x4x5x8xf32>, %k: tensor<1x2x7x8xf32>, %v: tensor<1x4x7x8xf32>,
                        %e: tensor<1x2x2x7x8xf32>, %init: tensor<1x4x5x8xf32>) -> tensor<1x4x5x8xf32> {
  // expected-note @below {{repeated here}}
  %r = linalg.generic {indexing_maps = [#small, #all],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x7x8xf32>) outs(%e : tensor<1x2x2x7x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x2x7x8xf32>
  %c = tensor.collapse_shape %r [[0], [1, 2], [3], [4]] : tensor<1x2x2x7x8xf32> into tensor<1x4x7x8xf32>
  // expected-error @below {{key repeats its heads in memory: 'tensor<1x4x7x8xf32>' is made of 'tensor<1x2x7x8xf32>'}}
  %o = gqa.attention scale 0.25
    query(%q[b, hkv, m, dqk] : tensor<1x4x5x8xf32>)
    key(%c[b, hkv, n, dqk] : tensor<1x4x7x8xf32>)
    value(%v[b, hkv, n, dv] : tensor<1x4x7x8xf32>)
    outs(%init[b, hkv, m, dv] : tensor<1x4x5x8xf32>)
  return %o : tensor<1x4x5x8xf32>
}

// -----

// A transposed or converted key is no repeat.
func.func @transposed_key(%q: tensor<4x5x8xf32>, %k: tensor<7x4x8xf32>, %e: tensor<4x7x8xf32>,
                          %init: tensor<4x5x8xf32>) -> tensor<4x5x8xf32> {
  %t = linalg.transpose ins(%k : tensor<7x4x8xf32>) outs(%e : tensor<4x7x8xf32>) permutation = [1, 0, 2]
  %o = gqa.attention scale 0.25
    query(%q[hkv, m, dqk] : tensor<4x5x8xf32>)
    key(%t[hkv, n, dqk] : tensor<4x7x8xf32>)
    value(%t[hkv, n, dv] : tensor<4x7x8xf32>)
    outs(%init[hkv, m, dv] : tensor<4x5x8xf32>)
  return %o : tensor<4x5x8xf32>
}

// -----

// Scores of 2 batch entries, 3 x 4 heads, 5 rows and a dynamic number of keys.
func.func @scores(%n: index) attributes {gqa.score_shapes = [array<i64: 2, 3, 4, 5, -9223372036854775808>]} {
  // expected-error @below {{a buffer of type 'memref<24x5x?xf32>' holds a full score matrix}}
  %s = memref.alloc(%n) : memref<24x5x?xf32>
  return
}

// -----

// Partial results of split keys have a dynamic dimension, too, but no rows by keys.
func.func @partials(%splits: index) attributes {gqa.score_shapes = [array<i64: 2, 3, 4, 5, -9223372036854775808>]} {
  %s = memref.alloc(%splits) : memref<2x3x?x128x20xf32>
  return
}

// -----

// A tile of scores belongs to one task.
func.func @tile() attributes {gqa.score_shapes = [array<i64: 1, 1, 1, 64, 64>]} {
  scf.forall (%i) in (1) {
    %s = memref.alloca() : memref<64x64xf32>
  }
  return
}

// -----

// Rows and a number of key ranges, which is computed, are no rows by keys.
func.func @computed(%b: index, %k: memref<?x64xf32>)
    attributes {gqa.score_shapes = [array<i64: -9223372036854775808, 3, 4, 5, -9223372036854775808>]} {
  %c0 = arith.constant 0 : index
  %c512 = arith.constant 512 : index
  %n = memref.dim %k, %c0 : memref<?x64xf32>
  %splits = arith.ceildivui %n, %c512 : index
  %s = memref.alloc(%b, %splits) : memref<?x3x4x?x8x5xf32>
  return
}

// -----

// The scores of one key are no more than the rows.
func.func @one_key() attributes {gqa.score_shapes = [array<i64: 1, 1, 1, 8, 1>]} {
  %s = memref.alloc() : memref<8x1x45xf16>
  return
}
