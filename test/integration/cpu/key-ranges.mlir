// One online attention, and the same cut into four ranges of keys whose states are merged, against numbers by hand
// (PartialReductionOpInterface; test/dialect/partial-reduction.mlir shows the IR).
//
// RUN: gqa-opt %s --transform-preload-library="transform-library-paths=%S/Inputs/cut-key-ranges.mlir" \
// RUN:   --transform-interpreter --gqa-decompose-attention --one-shot-bufferize="bufferize-function-boundaries" \
// RUN:   --scf-forall-to-for --convert-linalg-to-loops --expand-strided-metadata --lower-affine --convert-scf-to-cf \
// RUN:   --convert-math-to-llvm --convert-math-to-libm --convert-arith-to-llvm --convert-index-to-llvm \
// RUN:   --finalize-memref-to-llvm --convert-func-to-llvm --convert-cf-to-llvm --reconcile-unrealized-casts \
// RUN: | mlir-runner -e main -entry-point-result=void \
// RUN:   -shared-libs=%llvm_libs/libmlir_runner_utils.so,%llvm_libs/libmlir_c_runner_utils.so | FileCheck %s

func.func private @printMemrefF32(tensor<*xf32>)

// Two rows and twelve keys, of which kv_len lets five be seen, so that of the ranges of three the last two see none. In
// base 2 the scores of row 0 are 0, 1, 0, 0, 1, those of row 1 twice as large. The state that the keys are added to has
// met one key of score 2 and value 8.
//   row 0: maximum 2; sum 1 + (3 * 1/4 + 2 * 1/2) = 2.75;  acc 8 + 1/4 * (1 + 3 + 4) + 1/2 * (2 + 5) = 13.5
//   row 1: maximum 2; sum 1 + (3 * 1/4 + 2 * 1)   = 3.75;  acc 8 + 1/4 * (1 + 3 + 4) + 1 * (2 + 5)   = 17
func.func @main() {
  %q = arith.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
  %k = arith.constant dense<[[0.0], [0.693147182], [0.0], [0.0], [0.693147182], [9.0], [9.0], [9.0], [9.0], [9.0], [9.0],
                             [9.0]]> : tensor<12x1xf32>
  %v = arith.constant dense<[[1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0], [9.0], [9.0], [9.0], [9.0]]>
      : tensor<12x1xf32>
  %len = arith.constant dense<5> : tensor<i32>
  %acc = arith.constant dense<8.0> : tensor<2x1xf32>
  %max = arith.constant dense<2.0> : tensor<2xf32>
  %sum = arith.constant dense<1.0> : tensor<2xf32>
  // CHECK: [13.5],
  // CHECK-NEXT: [17]
  // CHECK: [2, {{ *}}2]
  // CHECK: [2.75, {{ *}}3.75]
  %whole:3 = func.call @whole(%q, %k, %v, %len, %acc, %max, %sum)
      : (tensor<2x1xf32>, tensor<12x1xf32>, tensor<12x1xf32>, tensor<i32>, tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
      -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
  func.call @print(%whole#0, %whole#1, %whole#2) : (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>) -> ()
  // CHECK: [13.5],
  // CHECK-NEXT: [17]
  // CHECK: [2, {{ *}}2]
  // CHECK: [2.75, {{ *}}3.75]
  %ranges:3 = func.call @ranges(%q, %k, %v, %len, %acc, %max, %sum)
      : (tensor<2x1xf32>, tensor<12x1xf32>, tensor<12x1xf32>, tensor<i32>, tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
      -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>)
  func.call @print(%ranges#0, %ranges#1, %ranges#2) : (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>) -> ()
  return
}

func.func @whole(%q: tensor<2x1xf32>, %k: tensor<12x1xf32>, %v: tensor<12x1xf32>, %len: tensor<i32>,
    %acc: tensor<2x1xf32>, %max: tensor<2xf32>, %sum: tensor<2xf32>) -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>) {
  %r:3 = gqa.online_attention scale 1.0
    query(%q[m, dqk] : tensor<2x1xf32>) key(%k[n, dqk] : tensor<12x1xf32>) value(%v[n, dv] : tensor<12x1xf32>)
    kv_len(%len[] : tensor<i32>)
    outs(%acc[m, dv] : tensor<2x1xf32>, %max[m] : tensor<2xf32>, %sum[m] : tensor<2xf32>)
  return %r#0, %r#1, %r#2 : tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>
}

func.func @ranges(%q: tensor<2x1xf32>, %k: tensor<12x1xf32>, %v: tensor<12x1xf32>, %len: tensor<i32>,
    %acc: tensor<2x1xf32>, %max: tensor<2xf32>, %sum: tensor<2xf32>) -> (tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>) {
  %r:3 = gqa.online_attention scale 1.0
    query(%q[m, dqk] : tensor<2x1xf32>) key(%k[n, dqk] : tensor<12x1xf32>) value(%v[n, dv] : tensor<12x1xf32>)
    kv_len(%len[] : tensor<i32>)
    outs(%acc[m, dv] : tensor<2x1xf32>, %max[m] : tensor<2xf32>, %sum[m] : tensor<2xf32>) {cut}
  return %r#0, %r#1, %r#2 : tensor<2x1xf32>, tensor<2xf32>, tensor<2xf32>
}

func.func @print(%acc: tensor<2x1xf32>, %max: tensor<2xf32>, %sum: tensor<2xf32>) {
  %a = tensor.cast %acc : tensor<2x1xf32> to tensor<*xf32>
  func.call @printMemrefF32(%a) : (tensor<*xf32>) -> ()
  %x = tensor.cast %max : tensor<2xf32> to tensor<*xf32>
  func.call @printMemrefF32(%x) : (tensor<*xf32>) -> ()
  %s = tensor.cast %sum : tensor<2xf32> to tensor<*xf32>
  func.call @printMemrefF32(%s) : (tensor<*xf32>) -> ()
  return
}
