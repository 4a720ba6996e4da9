// RUN: gqa-opt %s --gqa-raise --canonicalize --cse | FileCheck %s

// Spellings that need more than the roles of raise-roles.mlir.

// scores * mask - 1e4 * (1 - mask), as GPT-2 has it.
// CHECK-LABEL: func.func @gate(
// CHECK:       gqa.attention
// CHECK:         mask(%{{.*}}[b, m, n] : tensor<2x5x7xi1>)
// CHECK-NOT:   math.exp
func.func @gate(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %ones3 = arith.constant dense<1.0> : tensor<2x5x7xf32>
  %big = arith.constant dense<1.0e4> : tensor<2x5x7xf32>
  %b = arith.uitofp %mask : tensor<2x5x7xi1> to tensor<2x5x7xf32>
  %kept = arith.mulf %s, %b : tensor<2x5x7xf32>
  %c = arith.subf %ones3, %b : tensor<2x5x7xf32>
  %fill = arith.mulf %c, %big : tensor<2x5x7xf32>
  %t = arith.subf %kept, %fill : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Scores that are only set to 0 are not masked.
// CHECK-LABEL: func.func @gate_alone(
// CHECK-NOT:   gqa.attention
// CHECK:       math.exp
func.func @gate_alone(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %b = arith.uitofp %mask : tensor<2x5x7xi1> to tensor<2x5x7xf32>
  %t = arith.mulf %s, %b : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Powers of 2 scale by ln(2).
// CHECK-LABEL: func.func @power_of_two(
// CHECK:       gqa.attention scale 0.346573591
// CHECK-NOT:   math.powf
func.func @power_of_two(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %half = arith.constant dense<0.5> : tensor<2x5x7xf32>
  %t = arith.mulf %s, %half : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %two = arith.constant dense<2.0> : tensor<2x5x7xf32>
  %x = math.powf %two, %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Powers of another number are not recognised.
// CHECK-LABEL: func.func @power_of_three(
// CHECK-NOT:   gqa.attention
// CHECK:       math.powf
func.func @power_of_three(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %half = arith.constant dense<0.5> : tensor<2x5x7xf32>
  %t = arith.mulf %s, %half : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %two = arith.constant dense<3.0> : tensor<2x5x7xf32>
  %x = math.powf %two, %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Weights that are NaN become 0, those that are infinite, which none is, something else. Both tests are of the weights
// as they were.
// CHECK-LABEL: func.func @nan_to_num(
// CHECK:       gqa.attention
// CHECK:         mask(%{{.*}}[b, m, n] : tensor<2x5x7xi1>)
// CHECK-NOT:   math.exp
func.func @nan_to_num(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %low = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %t = arith.select %mask, %s, %low : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %inf = arith.constant dense<0x7F800000> : tensor<2x5x7xf32>
  %large = arith.constant dense<3.4e38> : tensor<2x5x7xf32>
  %number = arith.cmpf oeq, %p, %p : tensor<2x5x7xf32>
  %w0 = arith.select %number, %p, %zs : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %isinf = arith.cmpf oeq, %p, %inf : tensor<2x5x7xf32>
  %w = arith.select %isinf, %large, %w0 : tensor<2x5x7xi1>, tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%w, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// What is padded by an operand, here before the pass folds it, is not all padding.
// CHECK-LABEL: func.func @padded_bias(
// CHECK:       %[[PADDED:.*]] = tensor.pad
// CHECK:       gqa.attention
// CHECK:         bias(%[[PADDED]][n] : tensor<7xf32>)
func.func @padded_bias(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %bias: tensor<6xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %one = arith.constant 1 : index
  %none = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %padded = tensor.pad %bias low[%one] high[%none] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<6xf32> to tensor<7xf32>
  %whole = linalg.broadcast ins(%padded : tensor<7xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [0, 1]
  %t = arith.addf %s, %whole : tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%t : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %t, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// Several dimensions of a batch are merged, and apart again in the result. A bias that varies along one of them is made
// to vary along both.
// CHECK-LABEL: func.func @batches(
// CHECK-SAME:    %[[Q:.*]]: tensor<2x3x4x5x16xf32>
// CHECK-DAG:   %[[QUERY:.*]] = tensor.collapse_shape %[[Q]] {{\[}}[0, 1], [2], [3], [4]]
// CHECK:       %[[OUT:.*]] = gqa.attention
// CHECK-NEXT:    query(%[[QUERY]][b, hkv, m, dqk] : tensor<6x4x5x16xf32>)
// CHECK:         bias(%{{.*}}[b, n] : tensor<6x7xf32>)
// CHECK:       tensor.expand_shape %[[OUT]] {{\[}}[0, 1], [2], [3], [4]]
#qk = affine_map<(a, b, h, m, n, d) -> (a, b, h, m, d)>
#kn = affine_map<(a, b, h, m, n, d) -> (a, b, h, n, d)>
#mn = affine_map<(a, b, h, m, n, d) -> (a, b, h, m, n)>
#pn = affine_map<(a, b, h, m, d, n) -> (a, b, h, m, n)>
#vn = affine_map<(a, b, h, m, d, n) -> (a, b, h, n, d)>
#on = affine_map<(a, b, h, m, d, n) -> (a, b, h, m, d)>
#all = affine_map<(a, b, h, m, n) -> (a, b, h, m, n)>
#row = affine_map<(a, b, h, m, n) -> (a, b, h, m)>
#first = affine_map<(a, b, h, m, n) -> (a, n)>
func.func @batches(%q: tensor<2x3x4x5x16xf32>, %k: tensor<2x3x4x7x16xf32>, %v: tensor<2x3x4x7x16xf32>,
                   %bias: tensor<2x7xf32>) -> tensor<2x3x4x5x16xf32> {
  %zero = arith.constant 0.0 : f32
  %zs = arith.constant dense<0.0> : tensor<2x3x4x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x3x4x5x16xf32>
  %zr = arith.constant dense<0.0> : tensor<2x3x4x5xf32>
  %s = linalg.generic {indexing_maps = [#qk, #kn, #mn],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x3x4x5x16xf32>, tensor<2x3x4x7x16xf32>) outs(%zs : tensor<2x3x4x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %c, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x3x4x5x7xf32>
  %e = tensor.empty() : tensor<2x3x4x5x7xf32>
  %x = linalg.generic {indexing_maps = [#all, #first, #all],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%s, %bias : tensor<2x3x4x5x7xf32>, tensor<2x7xf32>) outs(%e : tensor<2x3x4x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %t = arith.addf %a, %b : f32
    %r = math.exp %t : f32
    linalg.yield %r : f32
  } -> tensor<2x3x4x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x3x4x5x7xf32>) outs(%zr : tensor<2x3x4x5xf32>) dimensions = [4]
  %p = linalg.generic {indexing_maps = [#all, #row, #all],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}
      ins(%x, %l : tensor<2x3x4x5x7xf32>, tensor<2x3x4x5xf32>) outs(%e : tensor<2x3x4x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x3x4x5x7xf32>
  %o = linalg.generic {indexing_maps = [#pn, #vn, #on],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%p, %v : tensor<2x3x4x5x7xf32>, tensor<2x3x4x7x16xf32>) outs(%zo : tensor<2x3x4x5x16xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %t = arith.mulf %a, %b : f32
    %r = arith.addf %c, %t : f32
    linalg.yield %r : f32
  } -> tensor<2x3x4x5x16xf32>
  return %o : tensor<2x3x4x5x16xf32>
}

// Keys of which one part is shared by all heads (DeepSeek's latent attention): the parts stay put together.
// CHECK-LABEL: func.func @shared_part(
// CHECK:       %[[KEY:.*]] = tensor.concat dim(2)
// CHECK:       gqa.attention
// CHECK:         key(%[[KEY]][hkv, n, dqk] : tensor<2x7x16xf32>)
func.func @shared_part(%q: tensor<2x5x16xf32>, %own: tensor<2x7x12xf32>, %shared: tensor<7x4xf32>,
                       %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %er = tensor.empty() : tensor<2x7x4xf32>
  %et = tensor.empty() : tensor<2x16x7xf32>
  %repeated = linalg.broadcast ins(%shared : tensor<7x4xf32>) outs(%er : tensor<2x7x4xf32>) dimensions = [0]
  %key = tensor.concat dim(2) %own, %repeated : (tensor<2x7x12xf32>, tensor<2x7x4xf32>) -> tensor<2x7x16xf32>
  %k = linalg.transpose ins(%key : tensor<2x7x16xf32>) outs(%et : tensor<2x16x7xf32>) permutation = [0, 2, 1]
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %x = math.exp %s : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}
