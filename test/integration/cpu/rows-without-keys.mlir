// Rows of which a mask or a bias leaves no key: 0 where all keys are masked, the mean of the values where a bias is the
// least finite number everywhere, and never NaN. Every other row is what it is without them.
//
// RUN: gqa-compile %s -o %t.so
// RUN: gqa-compile %s -o %t.unfused.so --unfused
// RUN: %python %S/Inputs/rows-without-keys.py %t
// RUN: gqa-run %t.so --function bias --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.bias.npy --expect @%t.biased.npy --atol 1e-5
// RUN: gqa-run %t.unfused.so --function bias --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.bias.npy --expect @%t.biased.npy --atol 1e-5
// RUN: gqa-run %t.so --function spelled_bias --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.bias.npy --expect @%t.biased.npy --atol 1e-5
// RUN: gqa-run %t.so --function bf16_bias --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.bf16.npy --expect @%t.biased.npy --atol 1e-5
// RUN: gqa-run %t.so --function spelled_fill --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.mask.npy --expect @%t.masked.npy --atol 1e-5
// RUN: gqa-run %t.so --function spelled_term --input @%t.q.npy --input @%t.k.npy --input @%t.v.npy --input @%t.mask.npy --expect @%t.masked.npy --atol 1e-5
// RUN: gqa-opt %s --gqa-raise | FileCheck %s

#query = affine_map<(b, hkv, g, m, n, dqk, dv) -> (hkv, g, m, dqk)>
#key = affine_map<(b, hkv, g, m, n, dqk, dv) -> (hkv, n, dqk)>
#value = affine_map<(b, hkv, g, m, n, dqk, dv) -> (hkv, n, dv)>
#bias = affine_map<(b, hkv, g, m, n, dqk, dv) -> (m, n)>
#output = affine_map<(b, hkv, g, m, n, dqk, dv) -> (hkv, g, m, dv)>

func.func @bias(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>, %v: tensor<1x130x16xf32>, %bias: tensor<9x130xf32>)
    -> tensor<1x2x9x16xf32> {
  %e = tensor.empty() : tensor<1x2x9x16xf32>
  %o = gqa.attention scale 0.25 query(%q[hkv, g, m, dqk] : tensor<1x2x9x16xf32>) key(%k[hkv, n, dqk] : tensor<1x130x16xf32>)
    value(%v[hkv, n, dv] : tensor<1x130x16xf32>) bias(%bias[m, n] : tensor<9x130xf32>)
    outs(%e[hkv, g, m, dv] : tensor<1x2x9x16xf32>)
  return %o : tensor<1x2x9x16xf32>
}

func.func @bf16_bias(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>, %v: tensor<1x130x16xf32>,
    %bias: tensor<9x130xbf16>) -> tensor<1x2x9x16xf32> {
  %e = tensor.empty() : tensor<1x2x9x16xf32>
  %o = gqa.attention scale 0.25 query(%q[hkv, g, m, dqk] : tensor<1x2x9x16xf32>) key(%k[hkv, n, dqk] : tensor<1x130x16xf32>)
    value(%v[hkv, n, dv] : tensor<1x130x16xf32>) bias(%bias[m, n] : tensor<9x130xbf16>)
    outs(%e[hkv, g, m, dv] : tensor<1x2x9x16xf32>)
  return %o : tensor<1x2x9x16xf32>
}

#s = affine_map<(h, m, n, d) -> (h, m, n)>
#mn = affine_map<(h, m, n) -> (m, n)>
#hmn = affine_map<(h, m, n) -> (h, m, n)>
#hm = affine_map<(h, m, n) -> (h, m)>

func.func private @scores(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>) -> tensor<2x9x130xf32> {
  %zero = arith.constant 0.0 : f32
  %scale = arith.constant 0.25 : f32
  %e = tensor.empty() : tensor<2x9x130xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<2x9x130xf32>) -> tensor<2x9x130xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(h, m, n, d) -> (0, h, m, d)>, affine_map<(h, m, n, d) -> (0, n, d)>, #s],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<1x2x9x16xf32>, tensor<1x130x16xf32>) outs(%z : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %o, %p : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %c = linalg.generic {indexing_maps = [#hmn, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s : tensor<2x9x130xf32>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.mulf %a, %scale : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  return %c : tensor<2x9x130xf32>
}

func.func private @softmax(%s: tensor<2x9x130xf32>, %v: tensor<1x130x16xf32>) -> tensor<1x2x9x16xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<2x9x130xf32>
  %row = tensor.empty() : tensor<2x9xf32>
  %out = tensor.empty() : tensor<1x2x9x16xf32>
  %z2 = linalg.fill ins(%zero : f32) outs(%row : tensor<2x9xf32>) -> tensor<2x9xf32>
  %l2 = linalg.fill ins(%low : f32) outs(%row : tensor<2x9xf32>) -> tensor<2x9xf32>
  %z = linalg.fill ins(%zero : f32) outs(%out : tensor<1x2x9x16xf32>) -> tensor<1x2x9x16xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x9x130xf32>) outs(%l2 : tensor<2x9xf32>) dimensions = [2]
  %x = linalg.generic {indexing_maps = [#hmn, #hm, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %m : tensor<2x9x130xf32>, tensor<2x9xf32>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %d = arith.subf %a, %b : f32
    %r = math.exp %d : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x9x130xf32>) outs(%z2 : tensor<2x9xf32>) dimensions = [2]
  %p = linalg.generic {indexing_maps = [#hmn, #hm, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %l : tensor<2x9x130xf32>, tensor<2x9xf32>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(h, m, d, n) -> (h, m, n)>, affine_map<(h, m, d, n) -> (0, n, d)>,
      affine_map<(h, m, d, n) -> (0, h, m, d)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%p, %v : tensor<2x9x130xf32>, tensor<1x130x16xf32>) outs(%z : tensor<1x2x9x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    %u = arith.addf %o, %t : f32
    linalg.yield %u : f32
  } -> tensor<1x2x9x16xf32>
  return %r : tensor<1x2x9x16xf32>
}

// CHECK-LABEL: func.func @spelled_bias(
// CHECK: gqa.attention
// CHECK: bias(%{{.*}}[m, n]
func.func @spelled_bias(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>, %v: tensor<1x130x16xf32>,
    %bias: tensor<9x130xf32>) -> tensor<1x2x9x16xf32> {
  %s = func.call @scores(%q, %k) : (tensor<1x2x9x16xf32>, tensor<1x130x16xf32>) -> tensor<2x9x130xf32>
  %e = tensor.empty() : tensor<2x9x130xf32>
  %b = linalg.generic {indexing_maps = [#hmn, #mn, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %bias : tensor<2x9x130xf32>, tensor<9x130xf32>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %r = arith.addf %a, %c : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %r = func.call @softmax(%b, %v) : (tensor<2x9x130xf32>, tensor<1x130x16xf32>) -> tensor<1x2x9x16xf32>
  return %r : tensor<1x2x9x16xf32>
}

// CHECK-LABEL: func.func @spelled_fill(
// CHECK: gqa.attention
// CHECK: mask(%{{.*}}[m, n]
func.func @spelled_fill(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>, %v: tensor<1x130x16xf32>,
    %mask: tensor<9x130xi1>) -> tensor<1x2x9x16xf32> {
  %fill = arith.constant -3.40282347E+38 : f32
  %s = func.call @scores(%q, %k) : (tensor<1x2x9x16xf32>, tensor<1x130x16xf32>) -> tensor<2x9x130xf32>
  %e = tensor.empty() : tensor<2x9x130xf32>
  %b = linalg.generic {indexing_maps = [#hmn, #mn, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %mask : tensor<2x9x130xf32>, tensor<9x130xi1>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %c: i1, %o: f32):
    %r = arith.select %c, %a, %fill : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %r = func.call @softmax(%b, %v) : (tensor<2x9x130xf32>, tensor<1x130x16xf32>) -> tensor<1x2x9x16xf32>
  return %r : tensor<1x2x9x16xf32>
}

// CHECK-LABEL: func.func @spelled_term(
// CHECK: gqa.attention
// CHECK: mask(%{{.*}}[m, n]
func.func @spelled_term(%q: tensor<1x2x9x16xf32>, %k: tensor<1x130x16xf32>, %v: tensor<1x130x16xf32>,
    %mask: tensor<9x130xi1>) -> tensor<1x2x9x16xf32> {
  %fill = arith.constant -3.40282347E+38 : f32
  %zero = arith.constant 0.0 : f32
  %s = func.call @scores(%q, %k) : (tensor<1x2x9x16xf32>, tensor<1x130x16xf32>) -> tensor<2x9x130xf32>
  %e = tensor.empty() : tensor<2x9x130xf32>
  %b = linalg.generic {indexing_maps = [#hmn, #mn, #hmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%s, %mask : tensor<2x9x130xf32>, tensor<9x130xi1>) outs(%e : tensor<2x9x130xf32>) {
  ^bb0(%a: f32, %c: i1, %o: f32):
    %t = arith.select %c, %zero, %fill : f32
    %r = arith.addf %a, %t : f32
    linalg.yield %r : f32
  } -> tensor<2x9x130xf32>
  %r = func.call @softmax(%b, %v) : (tensor<2x9x130xf32>, tensor<1x130x16xf32>) -> tensor<1x2x9x16xf32>
  return %r : tensor<1x2x9x16xf32>
}
