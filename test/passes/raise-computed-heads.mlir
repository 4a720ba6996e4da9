// RUN: gqa-opt %s --gqa-raise --canonicalize --cse | FileCheck %s
// RUN: gqa-opt %s --gqa-raise --canonicalize --cse --gqa-verify-no-kv-expansion -o /dev/null

// Keys and values that are computed from repeated heads: 6 query heads on 2 K/V heads. Where the computation is the same
// for all heads of a group, attention reads what it gives for one of them.

#all = affine_map<(h, m, n) -> (h, m, n)>
#row = affine_map<(h, m, n) -> (h, m)>

func.func private @repeat(%x: tensor<2x7x16xf32>) -> tensor<6x7x16xf32> {
  %e = tensor.empty() : tensor<2x3x7x16xf32>
  %b = linalg.broadcast ins(%x : tensor<2x7x16xf32>) outs(%e : tensor<2x3x7x16xf32>) dimensions = [1]
  %c = tensor.collapse_shape %b [[0, 1], [2], [3]] : tensor<2x3x7x16xf32> into tensor<6x7x16xf32>
  return %c : tensor<6x7x16xf32>
}

func.func private @attend(%q: tensor<6x5x16xf32>, %k: tensor<6x7x16xf32>, %v: tensor<6x7x16xf32>) -> tensor<6x5x16xf32> {
  %zs = arith.constant dense<0.0> : tensor<6x5x7xf32>
  %zr = arith.constant dense<0.0> : tensor<6x5xf32>
  %zo = arith.constant dense<0.0> : tensor<6x5x16xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(h, m, n, d) -> (h, m, d)>, affine_map<(h, m, n, d) -> (h, n, d)>,
      affine_map<(h, m, n, d) -> (h, m, n)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<6x5x16xf32>, tensor<6x7x16xf32>) outs(%zs : tensor<6x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %r = arith.addf %o, %p : f32
    linalg.yield %r : f32
  } -> tensor<6x5x7xf32>
  %x = math.exp %s : tensor<6x5x7xf32>
  %l = linalg.reduce { arith.addf } ins(%x : tensor<6x5x7xf32>) outs(%zr : tensor<6x5xf32>) dimensions = [2]
  %e = tensor.empty() : tensor<6x5x7xf32>
  %p = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %l : tensor<6x5x7xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.divf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<6x5x7xf32>
  %o = linalg.batch_matmul ins(%p, %v : tensor<6x5x7xf32>, tensor<6x7x16xf32>) outs(%zo : tensor<6x5x16xf32>) -> tensor<6x5x16xf32>
  return %o : tensor<6x5x16xf32>
}

// Rotary embedding, as concatenated halves times a table.
// CHECK-LABEL: func.func @rotary(
// CHECK-SAME: %{{[^:]*}}: tensor<6x5x16xf32>, %[[K:[^:]*]]: tensor<2x7x16xf32>
// CHECK: tensor.extract_slice %[[K]][0, 0, 8] [2, 7, 8]
// CHECK: gqa.attention
// CHECK: key(%{{.*}}[hkv, n, dqk] : tensor<2x7x16xf32>)
// CHECK-NEXT: value(%{{.*}}[hkv, n, dv] : tensor<2x7x16xf32>)
func.func @rotary(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>, %table: tensor<7x16xf32>)
    -> tensor<6x5x16xf32> {
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %first = tensor.extract_slice %rk[0, 0, 0] [6, 7, 8] [1, 1, 1] : tensor<6x7x16xf32> to tensor<6x7x8xf32>
  %second = tensor.extract_slice %rk[0, 0, 8] [6, 7, 8] [1, 1, 1] : tensor<6x7x16xf32> to tensor<6x7x8xf32>
  %negated = arith.negf %second : tensor<6x7x8xf32>
  %turned = tensor.concat dim(2) %negated, %first : (tensor<6x7x8xf32>, tensor<6x7x8xf32>) -> tensor<6x7x16xf32>
  %e = tensor.empty() : tensor<6x7x16xf32>
  %rotated = linalg.generic {indexing_maps = [#all, #all, affine_map<(h, m, n) -> (m, n)>, #all],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%rk, %turned, %table : tensor<6x7x16xf32>, tensor<6x7x16xf32>, tensor<7x16xf32>) outs(%e : tensor<6x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %t: f32, %o: f32):
    %p = arith.mulf %b, %t : f32
    %r = arith.addf %a, %p : f32
    linalg.yield %r : f32
  } -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %rotated, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}

// Keys divided by their norms, values as well: no operand shows the groups.
// CHECK-LABEL: func.func @norms(
// CHECK: gqa.attention
// CHECK: key(%{{.*}}[hkv, n, dqk] : tensor<2x7x16xf32>)
// CHECK-NEXT: value(%{{.*}}[hkv, n, dv] : tensor<2x7x16xf32>)
func.func private @norm(%x: tensor<6x7x16xf32>) -> tensor<6x7x16xf32> {
  %z = arith.constant dense<0.0> : tensor<6x7xf32>
  %e = tensor.empty() : tensor<6x7x16xf32>
  %squares = arith.mulf %x, %x : tensor<6x7x16xf32>
  %sum = linalg.reduce { arith.addf } ins(%squares : tensor<6x7x16xf32>) outs(%z : tensor<6x7xf32>) dimensions = [2]
  %r = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %sum : tensor<6x7x16xf32>, tensor<6x7xf32>) outs(%e : tensor<6x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = math.rsqrt %b : f32
    %t = arith.mulf %a, %s : f32
    linalg.yield %t : f32
  } -> tensor<6x7x16xf32>
  return %r : tensor<6x7x16xf32>
}
func.func @norms(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>) -> tensor<6x5x16xf32> {
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %nk = func.call @norm(%rk) : (tensor<6x7x16xf32>) -> tensor<6x7x16xf32>
  %nv = func.call @norm(%rv) : (tensor<6x7x16xf32>) -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %nk, %nv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}

// A concatenation spelled as a choice in a loop.
// CHECK-LABEL: func.func @chosen(
// CHECK: gqa.attention
// CHECK: key(%{{.*}}[hkv, n, dqk] : tensor<2x7x16xf32>)
func.func @chosen(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>) -> tensor<6x5x16xf32> {
  %c8 = arith.constant 8 : index
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %sine = math.sin %rk : tensor<6x7x16xf32>
  %cosine = math.cos %rk : tensor<6x7x16xf32>
  %e = tensor.empty() : tensor<6x7x16xf32>
  %turned = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%e : tensor<6x7x16xf32>) {
  ^bb0(%o: f32):
    %h = linalg.index 0 : index
    %n = linalg.index 1 : index
    %d = linalg.index 2 : index
    %isFirst = arith.cmpi ult, %d, %c8 : index
    %r = scf.if %isFirst -> f32 {
      %x = tensor.extract %sine[%h, %n, %d] : tensor<6x7x16xf32>
      scf.yield %x : f32
    } else {
      %x = tensor.extract %cosine[%h, %n, %d] : tensor<6x7x16xf32>
      scf.yield %x : f32
    }
    linalg.yield %r : f32
  } -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %turned, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}

// One key head: the group is all heads.
// CHECK-LABEL: func.func @one_head(
// CHECK: gqa.attention
// CHECK: key(%{{.*}}[n, dqk] : tensor<7x16xf32>)
// CHECK-NEXT: value(%{{.*}}[n, dv] : tensor<7x16xf32>)
func.func @one_head(%q: tensor<6x5x16xf32>, %k: tensor<7x16xf32>, %v: tensor<7x16xf32>) -> tensor<6x5x16xf32> {
  %e = tensor.empty() : tensor<6x7x16xf32>
  %rk = linalg.broadcast ins(%k : tensor<7x16xf32>) outs(%e : tensor<6x7x16xf32>) dimensions = [0]
  %rv = linalg.broadcast ins(%v : tensor<7x16xf32>) outs(%e : tensor<6x7x16xf32>) dimensions = [0]
  %sine = math.sin %rk : tensor<6x7x16xf32>
  %r = func.call @attend(%q, %sine, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}

// Keys that differ within a group stay apart: a term per query head, also one that comes from the index.
// CHECK-LABEL: func.func @factor_per_head(
// CHECK-NOT: key({{.*}} : tensor<2x7x16xf32>)
func.func @factor_per_head(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>, %f: tensor<6xf32>)
    -> tensor<6x5x16xf32> {
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %e = tensor.empty() : tensor<6x7x16xf32>
  %scaled = linalg.generic {indexing_maps = [#all, affine_map<(h, m, n) -> (h)>, #all],
      iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%rk, %f : tensor<6x7x16xf32>, tensor<6xf32>) outs(%e : tensor<6x7x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %scaled, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}
// CHECK-LABEL: func.func @index_per_head(
// CHECK-NOT: key({{.*}} : tensor<2x7x16xf32>)
func.func @index_per_head(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>)
    -> tensor<6x5x16xf32> {
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %e = tensor.empty() : tensor<6x7x16xf32>
  %shifted = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%rk : tensor<6x7x16xf32>) outs(%e : tensor<6x7x16xf32>) {
  ^bb0(%a: f32, %o: f32):
    %h = linalg.index 0 : index
    %i = arith.index_cast %h : index to i32
    %f = arith.sitofp %i : i32 to f32
    %r = arith.addf %a, %f : f32
    linalg.yield %r : f32
  } -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %shifted, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  return %r : tensor<6x5x16xf32>
}

// The output is written as the transposition behind it leaves it, with the heads merged.
// CHECK-LABEL: func.func @merged_output(
// CHECK: %[[O:.*]] = gqa.attention
// CHECK: outs(%{{.*}}[m, hkv, g, dv] : tensor<5x2x3x16xf32>)
// CHECK: %[[MERGED:.*]] = tensor.collapse_shape %[[O]] {{\[\[}}0], [1, 2, 3]] : tensor<5x2x3x16xf32> into tensor<5x96xf32>
// CHECK-NEXT: return %[[MERGED]]
func.func @merged_output(%q: tensor<6x5x16xf32>, %k: tensor<2x7x16xf32>, %v: tensor<2x7x16xf32>) -> tensor<5x96xf32> {
  %rk = func.call @repeat(%k) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %rv = func.call @repeat(%v) : (tensor<2x7x16xf32>) -> tensor<6x7x16xf32>
  %r = func.call @attend(%q, %rk, %rv) : (tensor<6x5x16xf32>, tensor<6x7x16xf32>, tensor<6x7x16xf32>) -> tensor<6x5x16xf32>
  %e = tensor.empty() : tensor<5x6x16xf32>
  %t = linalg.transpose ins(%r : tensor<6x5x16xf32>) outs(%e : tensor<5x6x16xf32>) permutation = [1, 0, 2]
  %merged = tensor.collapse_shape %t [[0], [1, 2]] : tensor<5x6x16xf32> into tensor<5x96xf32>
  return %merged : tensor<5x96xf32>
}
