// RUN: gqa-opt %s --gqa-raise --canonicalize --cse | FileCheck %s

// Masks, biases, sinks and softmaxes in different spellings, and what becomes of them.

#b = affine_map<(b, m, n) -> (b)>
#bmn = affine_map<(b, m, n) -> (b, m, n)>

// n <= m.
// CHECK-LABEL: func.func @causal(
// CHECK: gqa.attention scale 1.000000e+00 causal align top_left
// CHECK-NOT: math.exp
func.func @causal(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %c = arith.cmpi ule, %n, %m : index
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// Not n > m.
// CHECK-LABEL: func.func @causal_negated(
// CHECK: gqa.attention scale 1.000000e+00 causal align top_left
// CHECK-NOT: math.exp
func.func @causal_negated(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %true = arith.constant true
    %g = arith.cmpi sgt, %n, %m : index
    %c = arith.xori %g, %true : i1
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// n - m <= N - M.
// CHECK-LABEL: func.func @bottom_right(
// CHECK: gqa.attention scale 1.000000e+00 causal align bottom_right
// CHECK-NOT: math.exp
func.func @bottom_right(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %two = arith.constant 2 : index
    %d = arith.subi %n, %m : index
    %c = arith.cmpi sle, %d, %two : index
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// n < m + 2: a constant offset of 1.
// CHECK-LABEL: func.func @causal_with_offset(
// CHECK: gqa.attention scale 1.000000e+00 causal
// CHECK: offset(%{{.*}}[] : tensor<i64>)
// CHECK-NOT: math.exp
func.func @causal_with_offset(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %two = arith.constant 2 : index
    %e2 = arith.addi %m, %two : index
    %c = arith.cmpi slt, %n, %e2 : index
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// n <= m + offset[b].
// CHECK-LABEL: func.func @offset_per_batch(
// CHECK: gqa.attention scale 1.000000e+00 causal
// CHECK: offset(%{{.*}}[b] : tensor<2xi32>)
// CHECK-NOT: math.exp
func.func @offset_per_batch(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %off: tensor<2xi32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#b, #bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%off : tensor<2xi32>) outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%x: i32, %out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %w = arith.index_cast %x : i32 to index
    %e2 = arith.addi %m, %w : index
    %c = arith.cmpi sle, %n, %e2 : index
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// n < len[b].
// CHECK-LABEL: func.func @lengths(
// CHECK: gqa.attention
// CHECK: query(%{{.*}}[b, m, dqk]
// CHECK: kv_len(%{{.*}}[b] : tensor<2xi32>)
// CHECK-NOT: math.exp
func.func @lengths(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %len: tensor<2xi32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#b, #bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%len : tensor<2xi32>) outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%x: i32, %out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %w = arith.index_cast %n : index to i32
    %c = arith.cmpi slt, %w, %x : i32
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// m - 2 <= n <= m, as a select instead of a conjunction.
// CHECK-LABEL: func.func @causal_window(
// CHECK: gqa.attention scale 1.000000e+00 causal window(left 2) align top_left
// CHECK-NOT: math.exp
func.func @causal_window(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %two = arith.constant 2 : index
    %false = arith.constant false
    %e2 = arith.addi %n, %two : index
    %a = arith.cmpi uge, %e2, %m : index
    %h = arith.cmpi ule, %n, %m : index
    %c = arith.select %a, %h, %false : i1
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// Both at once.
// CHECK-LABEL: func.func @lengths_and_causal(
// CHECK: gqa.attention scale 1.000000e+00 causal align top_left
// CHECK: kv_len(%{{.*}}[b] : tensor<2xi32>)
// CHECK-NOT: math.exp
func.func @lengths_and_causal(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %len: tensor<2xi32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#b, #bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%len : tensor<2xi32>) outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%x: i32, %out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %w = arith.index_cast %n : index to i32
    %a = arith.cmpi slt, %w, %x : i32
    %h = arith.cmpi ule, %n, %m : index
    %c = arith.andi %a, %h : i1
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// Causal or within the first two keys: a mask.
// CHECK-LABEL: func.func @prefix(
// CHECK: gqa.attention
// CHECK: mask(%{{.*}}[m, n] : tensor<5x7xi8>)
// CHECK-NOT: math.exp
func.func @prefix(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %two = arith.constant 2 : index
    %a = arith.cmpi ult, %n, %two : index
    %h = arith.cmpi ule, %n, %m : index
    %c = arith.ori %a, %h : i1
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// Causal, and a mask of what is left.
// CHECK-LABEL: func.func @causal_and_blocks(
// CHECK: gqa.attention scale 1.000000e+00 causal align top_left
// CHECK: mask(%{{.*}}[m, n] : tensor<5x7xi8>)
// CHECK-NOT: math.exp
func.func @causal_and_blocks(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %i1 = tensor.empty() : tensor<2x5x7xi1>
  %mask = linalg.generic {indexing_maps = [#bmn], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%i1 : tensor<2x5x7xi1>) {
  ^bb0(%out: i1):
    %m = linalg.index 1 : index
    %n = linalg.index 2 : index
    %two = arith.constant 2 : index
    %mb = arith.divui %m, %two : index
    %nb = arith.divui %n, %two : index
    %a = arith.cmpi eq, %mb, %nb : index
    %h = arith.cmpi ule, %n, %m : index
    %c = arith.andi %a, %h : i1
    linalg.yield %c : i1
  } -> tensor<2x5x7xi1>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// A boolean argument, selected.
// CHECK-LABEL: func.func @mask_argument(
// CHECK: gqa.attention
// CHECK: mask(%{{.*}}[b, m, n] : tensor<2x5x7xi1>)
// CHECK-NOT: math.exp
func.func @mask_argument(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %mask: tensor<2x5x7xi1>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %lows = arith.constant dense<0xFF800000> : tensor<2x5x7xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.select %mask, %s, %lows : tensor<2x5x7xi1>, tensor<2x5x7xf32>
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

// A float argument stays a bias, whatever is in it.
// CHECK-LABEL: func.func @finite_bias_argument(
// CHECK: gqa.attention
// CHECK: bias(%{{.*}}[{{.*}}, m, n] : tensor<2x5x7xf32>)
// CHECK-NOT: math.exp
func.func @finite_bias_argument(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %b: tensor<2x5x7xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %t = arith.addf %s, %b : tensor<2x5x7xf32>
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

// 3 * tanh(s / 3).
// CHECK-LABEL: func.func @softcap(
// CHECK: gqa.attention scale 1.000000e+00 softcap 3.000000e+00
// CHECK-NOT: math.exp
func.func @softcap(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %three = arith.constant dense<3.0> : tensor<2x5x7xf32>
  %a = arith.divf %s, %three : tensor<2x5x7xf32>
  %h = math.tanh %a : tensor<2x5x7xf32>
  %t = arith.mulf %h, %three : tensor<2x5x7xf32>
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

// A factor that does not vary along the keys moves to the query.
// CHECK-LABEL: func.func @scale_per_row(
// CHECK: arith.mulf
// CHECK: gqa.attention scale 1.000000e+00
// CHECK-NOT: math.exp
func.func @scale_per_row(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %f: tensor<2x5xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %w = linalg.broadcast ins(%f : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %t = arith.mulf %s, %w : tensor<2x5x7xf32>
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

// exp(s) / sum exp(s).
// CHECK-LABEL: func.func @no_maximum(
// CHECK: gqa.attention scale 1.000000e+00
// CHECK-NOT: math.exp
func.func @no_maximum(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %x = math.exp %s : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// exp(s - (max + log sum)).
// CHECK-LABEL: func.func @logsumexp(
// CHECK: gqa.attention scale 1.000000e+00
// CHECK-NOT: math.exp
func.func @logsumexp(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>) -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %g = math.log %l : tensor<2x5xf32>
  %lse = arith.addf %g, %m : tensor<2x5xf32>
  %lb = linalg.broadcast ins(%lse : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %r = arith.subf %s, %lb : tensor<2x5x7xf32>
  %p = math.exp %r : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// 1 added to a sum of plain exponentials is a sink of logit 0.
// CHECK-LABEL: func.func @softmax_one(
// CHECK: gqa.attention
// CHECK: sink(%{{.*}}[] : tensor<f32>)
// CHECK-NOT: math.exp
func.func @softmax_one(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %ones = arith.constant dense<1.0> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %x = math.exp %s : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %l1 = arith.addf %l, %ones : tensor<2x5xf32>
  %lb = linalg.broadcast ins(%l1 : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// exp(sink - max) added to the sum.
// CHECK-LABEL: func.func @sink_in_the_sum(
// CHECK: gqa.attention
// CHECK: sink(%{{.*}}[hkv] : tensor<2xf32>)
// CHECK-NOT: math.exp
func.func @sink_in_the_sum(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>, %sink: tensor<2xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %sb = linalg.broadcast ins(%sink : tensor<2xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [1]
  %sd = arith.subf %sb, %m : tensor<2x5xf32>
  %sx = math.exp %sd : tensor<2x5xf32>
  %l1 = arith.addf %l, %sx : tensor<2x5xf32>
  %lb = linalg.broadcast ins(%l1 : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %p = arith.divf %x, %lb : tensor<2x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}

// The division comes after the second contraction.
// CHECK-LABEL: func.func @division_after(
// CHECK: gqa.attention scale 1.000000e+00
// CHECK-NOT: math.exp
func.func @division_after(%q: tensor<2x5x16xf32>, %k: tensor<2x16x7xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<2x5x16xf32> {
  %z2x5 = arith.constant dense<0.0> : tensor<2x5xf32>
  %zs = arith.constant dense<0.0> : tensor<2x5x7xf32>
  %zo = arith.constant dense<0.0> : tensor<2x5x16xf32>
  %low2x5 = arith.constant dense<0xFF800000> : tensor<2x5xf32>
  %e = tensor.empty() : tensor<2x5x7xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x5x16xf32>, tensor<2x16x7xf32>) outs(%zs : tensor<2x5x7xf32>) -> tensor<2x5x7xf32>
  %m = linalg.reduce { arith.maximumf } ins(%s : tensor<2x5x7xf32>) outs(%low2x5 : tensor<2x5xf32>) dimensions = [2]
  %mb = linalg.broadcast ins(%m : tensor<2x5xf32>) outs(%e : tensor<2x5x7xf32>) dimensions = [2]
  %d = arith.subf %s, %mb : tensor<2x5x7xf32>
  %x = math.exp %d : tensor<2x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<2x5x7xf32>) outs(%z2x5 : tensor<2x5xf32>) dimensions = [2]
  %u = linalg.batch_matmul ins(%x, %v : tensor<2x5x7xf32>, tensor<2x7x16xf32>) outs(%zo : tensor<2x5x16xf32>) -> tensor<2x5x16xf32>
  %eq = tensor.empty() : tensor<2x5x16xf32>
  %lb = linalg.broadcast ins(%l : tensor<2x5xf32>) outs(%eq : tensor<2x5x16xf32>) dimensions = [2]
  %o = arith.divf %u, %lb : tensor<2x5x16xf32>
  return %o : tensor<2x5x16xf32>
}
