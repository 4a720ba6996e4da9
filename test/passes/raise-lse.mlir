// RUN: gqa-opt %s --gqa-raise --canonicalize --cse | FileCheck %s

// Softmaxes whose lse, the logarithm of the sum of exponentials, is returned: it is the second result of gqa.attention.

#all = affine_map<(h, m, n) -> (h, m, n)>
#row = affine_map<(h, m, n) -> (h, m)>

func.func private @scores(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>) -> tensor<2x5x7xf32> {
  %z = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(h, m, n, d) -> (h, m, d)>, affine_map<(h, m, n, d) -> (h, n, d)>,
      affine_map<(h, m, n, d) -> (h, m, n)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x5x16xf32>, tensor<2x7x16xf32>) outs(%z : tensor<2x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %o, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x5x7xf32>
  return %s : tensor<2x5x7xf32>
}
func.func private @max(%s: tensor<2x5x7xf32>) -> tensor<2x5xf32> {
  %low = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low : tensor<2x5xf32>) dimensions = [2]
  return %m : tensor<2x5xf32>
}
func.func private @exp(%s: tensor<2x5x7xf32>, %m: tensor<2x5xf32>) -> tensor<2x5x7xf32> {
  %e = tensor.empty() : tensor<2x5x7xf32>
  %x = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %m : tensor<2x5x7xf32>, tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %d = arith.subf %a, %b : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  } -> tensor<2x5x7xf32>
  return %x : tensor<2x5x7xf32>
}
func.func private @sum(%x: tensor<2x5x7xf32>) -> tensor<2x5xf32> {
  %z = arith.constant dense<0.0> : tensor<2x5xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z : tensor<2x5xf32>) dimensions = [2]
  return %l : tensor<2x5xf32>
}
func.func private @output(%x: tensor<2x5x7xf32>, %l: tensor<2x5xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %p = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %l : tensor<2x5x7xf32>, tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%z : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// log(sum) + max, as [m, h, 1], reshaped in front of the second contraction.
// CHECK-LABEL: func.func @from_maximum(
// CHECK: %[[R:.*]]:2 = gqa.attention
// CHECK: outs(%{{.*}}[hkv, m, dv] : tensor<2x5x16xf32>, %{{.*}}[m, hkv] : tensor<5x2xf32>)
// CHECK: %[[LSE:.*]] = tensor.expand_shape %[[R]]#1 {{\[\[}}0], [1, 2]]
// CHECK: return %[[R]]#0, %[[LSE]]
func.func @from_maximum(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<5x2x1xf32>) {
  %s = func.call @scores(%q, %k) : (tensor<2x5x16xf32>, tensor<2x7x16xf32>) -> tensor<2x5x7xf32>
  %m = func.call @max(%s) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %x = func.call @exp(%s, %m) : (tensor<2x5x7xf32>, tensor<2x5xf32>) -> tensor<2x5x7xf32>
  %l = func.call @sum(%x) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %log = math.log %l : tensor<2x5xf32>
  %lse = arith.addf %log, %m : tensor<2x5xf32>
  %e = tensor.empty() : tensor<5x2xf32>
  %t = linalg.transpose ins(%lse : tensor<2x5xf32>) outs(%e : tensor<5x2xf32>) permutation = [1, 0]
  %u = tensor.expand_shape %t [[0], [1, 2]] output_shape [5, 2, 1] : tensor<5x2xf32> into tensor<5x2x1xf32>
  %o = func.call @output(%x, %l, %v) : (tensor<2x5x7xf32>, tensor<2x5xf32>, tensor<2x7x16xf32>) -> tensor<2x5x16xf32>
  return %o, %u : tensor<2x5x16xf32>, tensor<5x2x1xf32>
}

// What is added to the logarithm is no shift of the exponentials, so it is another function.
// CHECK-LABEL: func.func @unshifted(
// CHECK-NOT: gqa.attention
// CHECK: return
func.func @unshifted(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5xf32>) {
  %s = func.call @scores(%q, %k) : (tensor<2x5x16xf32>, tensor<2x7x16xf32>) -> tensor<2x5x7xf32>
  %m = func.call @max(%s) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %x = func.call @exp(%s, %m) : (tensor<2x5x7xf32>, tensor<2x5xf32>) -> tensor<2x5x7xf32>
  %l = func.call @sum(%x) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %lse = math.log %l : tensor<2x5xf32>
  %o = func.call @output(%x, %l, %v) : (tensor<2x5x7xf32>, tensor<2x5xf32>, tensor<2x7x16xf32>) -> tensor<2x5x16xf32>
  return %o, %lse : tensor<2x5x16xf32>, tensor<2x5xf32>
}

// The maximum is returned as well.
// CHECK-LABEL: func.func @with_maximum(
// CHECK-NOT: gqa.attention
// CHECK: return
func.func @with_maximum(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5xf32>, tensor<2x5xf32>) {
  %s = func.call @scores(%q, %k) : (tensor<2x5x16xf32>, tensor<2x7x16xf32>) -> tensor<2x5x7xf32>
  %m = func.call @max(%s) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %x = func.call @exp(%s, %m) : (tensor<2x5x7xf32>, tensor<2x5xf32>) -> tensor<2x5x7xf32>
  %l = func.call @sum(%x) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %log = math.log %l : tensor<2x5xf32>
  %lse = arith.addf %log, %m : tensor<2x5xf32>
  %o = func.call @output(%x, %l, %v) : (tensor<2x5x7xf32>, tensor<2x5xf32>, tensor<2x7x16xf32>) -> tensor<2x5x16xf32>
  return %o, %lse, %m : tensor<2x5x16xf32>, tensor<2x5xf32>, tensor<2x5xf32>
}

// The lse of other scores.
// CHECK-LABEL: func.func @of_other_scores(
// CHECK-NOT: gqa.attention
// CHECK: return
func.func @of_other_scores(%q: tensor<2x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>)
    -> (tensor<2x5x16xf32>, tensor<2x5xf32>) {
  %s = func.call @scores(%q, %k) : (tensor<2x5x16xf32>, tensor<2x7x16xf32>) -> tensor<2x5x7xf32>
  %m = func.call @max(%s) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %x = func.call @exp(%s, %m) : (tensor<2x5x7xf32>, tensor<2x5xf32>) -> tensor<2x5x7xf32>
  %l = func.call @sum(%x) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %twice = arith.addf %s, %s : tensor<2x5x7xf32>
  %y = func.call @exp(%twice, %m) : (tensor<2x5x7xf32>, tensor<2x5xf32>) -> tensor<2x5x7xf32>
  %other = func.call @sum(%y) : (tensor<2x5x7xf32>) -> tensor<2x5xf32>
  %log = math.log %other : tensor<2x5xf32>
  %lse = arith.addf %log, %m : tensor<2x5xf32>
  %o = func.call @output(%x, %l, %v) : (tensor<2x5x7xf32>, tensor<2x5xf32>, tensor<2x7x16xf32>) -> tensor<2x5x16xf32>
  return %o, %lse : tensor<2x5x16xf32>, tensor<2x5xf32>
}
