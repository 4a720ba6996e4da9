// Unfused attention through upstream passes alone, against numbers computed by hand.
//
// RUN: gqa-opt %s --gqa-unfuse-attention --one-shot-bufferize="bufferize-function-boundaries" \
// RUN:   --convert-linalg-to-loops --expand-strided-metadata --lower-affine --convert-scf-to-cf --convert-math-to-llvm \
// RUN:   --convert-math-to-libm --convert-vector-to-llvm --convert-arith-to-llvm --convert-index-to-llvm \
// RUN:   --finalize-memref-to-llvm --convert-func-to-llvm --convert-cf-to-llvm --reconcile-unrealized-casts \
// RUN: | mlir-runner -e main -entry-point-result=void \
// RUN:   -shared-libs=%llvm_libs/libmlir_runner_utils.so,%llvm_libs/libmlir_c_runner_utils.so | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>)

// Two query heads share a key head; two rows, three keys, of which kv_len lets two be seen; causal from the end, so row
// 0 sees key 0 and row 1 sees keys 0 and 1. Scores are 0 for head 0, and ln 3 for key 1 of head 1: weights 1/4 and 3/4.
// Key and value 2 are NaN and infinite and must not be met.
func.func @main() {
  %q = arith.constant dense<[[[0.0], [0.0]], [[1.0], [1.0]]]> : tensor<2x2x1xf32>
  %k = arith.constant dense<[[0.0], [1.098612289], [0x7FC00000]]> : tensor<3x1xf32>
  %v = arith.constant dense<[[4.0, 8.0], [8.0, 0.0], [0x7FC00000, 0x7F800000]]> : tensor<3x2xf32>
  %len = arith.constant dense<2> : tensor<i32>
  %init = tensor.empty() : tensor<2x2x2xf32>
  %linit = tensor.empty() : tensor<2x2xf32>
  %o, %lse = gqa.attention scale 1.0 causal align bottom_right
    query(%q[g, m, dqk] : tensor<2x2x1xf32>) key(%k[n, dqk] : tensor<3x1xf32>) value(%v[n, dv] : tensor<3x2xf32>)
    kv_len(%len[] : tensor<i32>)
    outs(%init[g, m, dv] : tensor<2x2x2xf32>, %linit[g, m] : tensor<2x2xf32>)
  %printed = tensor.cast %o : tensor<2x2x2xf32> to tensor<*xf32>
  // CHECK:      [4, 8],
  // CHECK-NEXT: [6, 4]
  // CHECK:      [4, 8],
  // CHECK-NEXT: [7, 2]
  func.call @printMemrefF32(%printed) : (tensor<*xf32>) -> ()
  %printedLse = tensor.cast %lse : tensor<2x2xf32> to tensor<*xf32>
  // ln 1, ln 2, ln 1, ln 4
  // CHECK:      [0, 0.693147]
  // CHECK-NEXT: [0, 1.38629]
  func.call @printMemrefF32(%printedLse) : (tensor<*xf32>) -> ()

  // A window that no key lies in, one row with a sink: 0 and -inf; then a sink of ln 2 beside one key of weight 1.
  %q1 = arith.constant dense<0.0> : tensor<1xf32>
  %sink = arith.constant dense<0.693147182> : tensor<f32>
  %i1 = tensor.empty() : tensor<2xf32>
  %l1 = tensor.empty() : tensor<f32>
  %far = arith.constant dense<100> : tensor<i64>
  %none, %noneLse = gqa.attention scale 1.0 window(left 1)
    query(%q1[dqk] : tensor<1xf32>) key(%k[n, dqk] : tensor<3x1xf32>) value(%v[n, dv] : tensor<3x2xf32>)
    kv_len(%len[] : tensor<i32>) offset(%far[] : tensor<i64>) sink(%sink[] : tensor<f32>)
    outs(%i1[dv] : tensor<2xf32>, %l1[] : tensor<f32>)
  %printedNone = tensor.cast %none : tensor<2xf32> to tensor<*xf32>
  // CHECK: [0, 0]
  func.call @printMemrefF32(%printedNone) : (tensor<*xf32>) -> ()
  %printedNoneLse = tensor.cast %noneLse : tensor<f32> to tensor<*xf32>
  // CHECK: [-inf]
  func.call @printMemrefF32(%printedNoneLse) : (tensor<*xf32>) -> ()
  %near = arith.constant dense<0> : tensor<i64>
  %one = gqa.attention scale 1.0 causal
    query(%q1[dqk] : tensor<1xf32>) key(%k[n, dqk] : tensor<3x1xf32>) value(%v[n, dv] : tensor<3x2xf32>)
    kv_len(%len[] : tensor<i32>) offset(%near[] : tensor<i64>) sink(%sink[] : tensor<f32>)
    outs(%i1[dv] : tensor<2xf32>)
  %printedOne = tensor.cast %one : tensor<2xf32> to tensor<*xf32>
  // CHECK: [1.33333, 2.66667]
  func.call @printMemrefF32(%printedOne) : (tensor<*xf32>) -> ()
  return
}
