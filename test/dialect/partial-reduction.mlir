// Ranges of keys are attended to in parallel, each with a state of its own, and the states are merged
// (PartialReductionOpInterface). test/integration/cpu/key-ranges.mlir runs this.
//
// RUN: gqa-opt %s --transform-interpreter --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func @ranges
// CHECK-SAME: %[[Q:[^:]*]]: tensor<4x8xf32>, %[[K:[^:]*]]: tensor<60x8xf32>
// Four states that have met no key: sums 0, maxima -inf.
// CHECK-DAG: %[[INF:.*]] = arith.constant 0xFF800000 : f32
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: linalg.fill ins(%[[ZERO]] : f32) outs(%{{.*}} : tensor<4x4x8xf32>)
// CHECK: linalg.fill ins(%[[INF]] : f32) outs(%{{.*}} : tensor<4x4xf32>)
// CHECK: linalg.fill ins(%[[ZERO]] : f32) outs(%{{.*}} : tensor<4x4xf32>)
// CHECK: %[[P:.*]]:3 = scf.forall (%[[I:.*]]) in (4)
// CHECK:   %[[START:.*]] = affine.apply {{.*}}(%[[I]])
// CHECK:   tensor.extract_slice %[[K]][%[[START]], 0] [15, 8]
// CHECK:   %[[STATE:.*]]:3 = gqa.online_attention
// CHECK:     query(%[[Q]][m, dqk]
// CHECK:     key_start(%[[START]])
// CHECK:   tensor.parallel_insert_slice %[[STATE]]#0 into %{{.*}}[%[[I]], 0, 0] [1, 4, 8]
// One state after the other is added to the op's own.
// CHECK: scf.for {{.*}} iter_args
// CHECK:   tensor.extract_slice %[[P]]#0
// CHECK:   arith.maxnumf
// CHECK:   math.exp2
// CHECK:   math.fma
func.func @ranges(%q: tensor<4x8xf32>, %k: tensor<60x8xf32>, %v: tensor<60x8xf32>, %len: tensor<i32>,
                  %a: tensor<4x8xf32>, %x: tensor<4xf32>, %s: tensor<4xf32>)
    -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) {
  %r:3 = gqa.online_attention scale 1.0
    query(%q[m, dqk] : tensor<4x8xf32>) key(%k[n, dqk] : tensor<60x8xf32>) value(%v[n, dv] : tensor<60x8xf32>)
    kv_len(%len[] : tensor<i32>)
    outs(%a[m, dv] : tensor<4x8xf32>, %x[m] : tensor<4xf32>, %s[m] : tensor<4xf32>)
  return %r#0, %r#1, %r#2 : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%module: !transform.any_op {transform.readonly}) {
    %online = transform.structured.match ops{["gqa.online_attention"]} in %module
        : (!transform.any_op) -> !transform.any_op
    %acc, %max, %sum, %tiled, %merge, %loop = transform.structured.tile_reduction_using_forall %online
        reduction_dims = [4] by num_threads = [0, 0, 0, 0, 4] : (!transform.any_op)
        -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op,
            !transform.any_op)
    transform.yield
  }
}
