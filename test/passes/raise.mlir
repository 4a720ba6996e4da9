// RUN: gqa-opt %s --gqa-raise --canonicalize --cse --split-input-file | FileCheck %s
// RUN: gqa-opt %s --gqa-raise=explain=true --split-input-file 2>&1 | FileCheck %s --check-prefix=WHY

// Attention as torch-mlir writes it, on 2 x 3 heads: K and V repeated, batch_matmul over all heads, a scale and an
// additive mask on the scores, the row maximum, exp of the difference, the row sum, a division and batch_matmul.
#rep = affine_map<(b, h, g, s, d) -> (b, h, s, d)>
#all5 = affine_map<(b, h, g, s, d) -> (b, h, g, s, d)>
#id = affine_map<(h, m, n) -> (h, m, n)>
#mn = affine_map<(h, m, n) -> (m, n)>
#row = affine_map<(h, m, n) -> (h, m)>
#kt = affine_map<(h, d, n) -> (h, n, d)>
// CHECK-LABEL: func @additive_mask
// CHECK: %[[O:.*]] = gqa.attention scale 2.500000e-01
// CHECK-NEXT: query(%{{.*}}[hkv, g, m, dqk] : tensor<2x3x5x16xf32>)
// CHECK-NEXT: key(%{{.*}}[hkv, n, dqk] : tensor<2x7x16xf32>)
// CHECK-NEXT: value(%{{.*}}[hkv, n, dv] : tensor<2x7x16xf32>)
// CHECK-NEXT: bias(%{{.*}}[m, n] : tensor<5x7xf32>)
// CHECK-NOT: math.exp
func.func @additive_mask(%q: tensor<6x5x16xf32>, %k: tensor<1x2x7x16xf32>, %v: tensor<1x2x7x16xf32>,
                         %mask: tensor<5x7xf32>) -> tensor<6x5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %ninf = arith.constant 0xFF800000 : f32
  %scale = arith.constant 2.500000e-01 : f32
  %e5 = tensor.empty() : tensor<1x2x3x7x16xf32>
  %rk = linalg.generic {indexing_maps = [#rep, #all5],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<1x2x7x16xf32>) outs(%e5 : tensor<1x2x3x7x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x3x7x16xf32>
  %rv = linalg.generic {indexing_maps = [#rep, #all5],
                        iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%v : tensor<1x2x7x16xf32>) outs(%e5 : tensor<1x2x3x7x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x2x3x7x16xf32>
  %ck = tensor.collapse_shape %rk [[0, 1, 2], [3], [4]] : tensor<1x2x3x7x16xf32> into tensor<6x7x16xf32>
  %cv = tensor.collapse_shape %rv [[0, 1, 2], [3], [4]] : tensor<1x2x3x7x16xf32> into tensor<6x7x16xf32>
  %et = tensor.empty() : tensor<6x16x7xf32>
  %t = linalg.generic {indexing_maps = [#kt, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%ck : tensor<6x7x16xf32>) outs(%et : tensor<6x16x7xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<6x16x7xf32>
  %es = tensor.empty() : tensor<6x5x7xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<6x5x7xf32>) -> tensor<6x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %t : tensor<6x5x16xf32>, tensor<6x16x7xf32>) outs(%zs : tensor<6x5x7xf32>)
      -> tensor<6x5x7xf32>
  %x = linalg.generic {indexing_maps = [#id, #mn, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %mask : tensor<6x5x7xf32>, tensor<5x7xf32>) outs(%es : tensor<6x5x7xf32>) {
  ^bb0(%in: f32, %bias: f32, %out: f32):
    %0 = arith.mulf %in, %scale : f32
    %1 = arith.addf %0, %bias : f32
    linalg.yield %1 : f32
  } -> tensor<6x5x7xf32>
  %er = tensor.empty() : tensor<6x5xf32>
  %m0 = linalg.fill ins(%ninf : f32) outs(%er : tensor<6x5xf32>) -> tensor<6x5xf32>
  %m = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x : tensor<6x5x7xf32>) outs(%m0 : tensor<6x5xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.maximumf %in, %out : f32
    linalg.yield %0 : f32
  } -> tensor<6x5xf32>
  %e = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %m : tensor<6x5x7xf32>, tensor<6x5xf32>) outs(%es : tensor<6x5x7xf32>) {
  ^bb0(%in: f32, %max: f32, %out: f32):
    %0 = arith.subf %in, %max : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> tensor<6x5x7xf32>
  %l0 = linalg.fill ins(%zero : f32) outs(%er : tensor<6x5xf32>) -> tensor<6x5xf32>
  %l = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%e : tensor<6x5x7xf32>) outs(%l0 : tensor<6x5xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  } -> tensor<6x5xf32>
  %p = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%e, %l : tensor<6x5x7xf32>, tensor<6x5xf32>) outs(%es : tensor<6x5x7xf32>) {
  ^bb0(%in: f32, %sum: f32, %out: f32):
    %0 = arith.divf %in, %sum : f32
    linalg.yield %0 : f32
  } -> tensor<6x5x7xf32>
  %eo = tensor.empty() : tensor<6x5x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<6x5x16xf32>) -> tensor<6x5x16xf32>
  %o = linalg.batch_matmul ins(%p, %cv : tensor<6x5x7xf32>, tensor<6x7x16xf32>) outs(%zo : tensor<6x5x16xf32>)
      -> tensor<6x5x16xf32>
  return %o : tensor<6x5x16xf32>
}

// -----

// Near miss: the softmax runs over the queries. The function stays as it was written.
#id = affine_map<(h, m, n) -> (h, m, n)>
#column = affine_map<(h, m, n) -> (h, n)>
// CHECK-LABEL: func @softmax_over_queries
// CHECK-NOT: gqa.attention
// CHECK: linalg.batch_matmul
// CHECK: linalg.batch_matmul
// WHY: remark: softmax is not raised to gqa.attention: this op divides by something that varies along the keys
func.func @softmax_over_queries(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %es = tensor.empty() : tensor<2x5x7xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>)
      -> tensor<2x5x7xf32>
  %e = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s : tensor<2x5x7xf32>) outs(%es : tensor<2x5x7xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.exp %in : f32
    linalg.yield %0 : f32
  } -> tensor<2x5x7xf32>
  %er = tensor.empty() : tensor<2x7xf32>
  %l0 = linalg.fill ins(%zero : f32) outs(%er : tensor<2x7xf32>) -> tensor<2x7xf32>
  %l = linalg.generic {indexing_maps = [#id, #column], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%e : tensor<2x5x7xf32>) outs(%l0 : tensor<2x7xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  } -> tensor<2x7xf32>
  %p = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%e, %l : tensor<2x5x7xf32>, tensor<2x7xf32>) outs(%es : tensor<2x5x7xf32>) {
  ^bb0(%in: f32, %sum: f32, %out: f32):
    %0 = arith.divf %in, %sum : f32
    linalg.yield %0 : f32
  } -> tensor<2x5x7xf32>
  %eo = tensor.empty() : tensor<2x5x16xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>)
      -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}
