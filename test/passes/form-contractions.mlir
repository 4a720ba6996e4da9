// RUN: gqa-opt %s --gqa-form-contractions --canonicalize | FileCheck %s

#q = affine_map<(h, m, n, d) -> (h, m, d)>
#k = affine_map<(h, m, n, d) -> (n, d)>
#out = affine_map<(h, m, n, d) -> (h, m, n)>
#all = affine_map<(h, m, n, d) -> (h, m, n, d)>

// The sum reads both factors; the broadcast of the second one becomes its map.
// CHECK-DAG: #[[Q:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
// CHECK-DAG: #[[K:.*]] = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: func @outer(
// CHECK-SAME:    %[[LEFT:.*]]: tensor<4x5x16xf32>, %[[RIGHT:.*]]: tensor<7x16xf32>
// CHECK-NOT:     tensor<4x5x7x16xf32>
// CHECK:         linalg.generic {indexing_maps = [#[[Q]], #[[K]], #[[OUT]]]
// CHECK-SAME:      "reduction"]} ins(%[[LEFT]], %[[RIGHT]] :
// CHECK:           arith.mulf
// CHECK:           arith.addf
func.func @outer(%q: tensor<4x5x16xf32>, %k: tensor<7x16xf32>) -> tensor<4x5x7xf32> {
  %zeros = arith.constant dense<0.0> : tensor<4x5x7xf32>
  %e = tensor.empty() : tensor<4x5x7x16xf32>
  %repeated = linalg.generic {indexing_maps = [#k, #all],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%k : tensor<7x16xf32>) outs(%e : tensor<4x5x7x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<4x5x7x16xf32>
  %products = linalg.generic {indexing_maps = [#q, #all, #all],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q, %repeated : tensor<4x5x16xf32>, tensor<4x5x7x16xf32>) outs(%e : tensor<4x5x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4x5x7x16xf32>
  %sum = linalg.reduce { arith.addf } ins(%products : tensor<4x5x7x16xf32>) outs(%zeros : tensor<4x5x7xf32>) dimensions = [3]
  return %sum : tensor<4x5x7xf32>
}

// A sum of squares is none, and a product that is used elsewhere has to be made anyway.
// CHECK-LABEL: func @squares(
// CHECK:         arith.mulf
// CHECK:         linalg.yield
// CHECK:         linalg.{{generic|reduce}}
func.func @squares(%x: tensor<4x16xf32>) -> tensor<4xf32> {
  %zeros = arith.constant dense<0.0> : tensor<4xf32>
  %e = tensor.empty() : tensor<4x16xf32>
  %squares = linalg.generic {indexing_maps = [affine_map<(m, d) -> (m, d)>, affine_map<(m, d) -> (m, d)>, affine_map<(m, d) -> (m, d)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%x, %x : tensor<4x16xf32>, tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4x16xf32>
  %sum = linalg.reduce { arith.addf } ins(%squares : tensor<4x16xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
  return %sum : tensor<4xf32>
}

// CHECK-LABEL: func @used_twice(
// CHECK:         %[[PRODUCTS:.*]] = linalg.generic
// CHECK:         linalg.{{generic|reduce}} {{.*}}ins(%[[PRODUCTS]]
// CHECK:         return %{{.*}}, %[[PRODUCTS]]
func.func @used_twice(%q: tensor<4x5x16xf32>, %k: tensor<7x16xf32>) -> (tensor<4x5x7xf32>, tensor<4x5x7x16xf32>) {
  %zeros = arith.constant dense<0.0> : tensor<4x5x7xf32>
  %e = tensor.empty() : tensor<4x5x7x16xf32>
  %products = linalg.generic {indexing_maps = [#q, #k, #all],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q, %k : tensor<4x5x16xf32>, tensor<7x16xf32>) outs(%e : tensor<4x5x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4x5x7x16xf32>
  %sum = linalg.reduce { arith.addf } ins(%products : tensor<4x5x7x16xf32>) outs(%zeros : tensor<4x5x7xf32>) dimensions = [3]
  return %sum, %products : tensor<4x5x7xf32>, tensor<4x5x7x16xf32>
}
